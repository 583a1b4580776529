"""GGUF files, read back by the gguf package and transformers, and run by llama.cpp if it is there."""

from __future__ import annotations

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from judges import judge

from handcraft import HandcraftWarning, Program, compile_program, predict
from handcraft.architecture import BLOCK, GPT2
from handcraft.compiler import complete
from handcraft.dtype import numpy_dtype
from handcraft.errors import CheckpointError
from handcraft.formats.gguf.gguf_file import write_gguf
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

gguf = judge("gguf")

SHAPE = Shape(n_vocab=7, n_positions=11, n_embd=12, n_head=3, n_inner=(20, 20))
UNTIED = replace(GPT2, tied=False, norm_epsilon=1e-3)
DTYPES = ("float32", "float16", "bfloat16")

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
LETTERS = Program(
    list("aé€😀 \n<'1"),
    5,
    [predict("é").after("a"), predict("😀").after("é"), predict("a").otherwise()],
)
DIGITS = Program("0123456789+=", 4, [predict("=").after("1"), predict("1").otherwise()])
WORDS = Program(
    "the cat cats a don't <x1> a.b 1234567 café",
    5,
    [predict("cat").after("the"), predict("the").otherwise()],
)
PROGRAMS = {
    "two letters": AAB,
    "characters of several bytes": LETTERS,
    "digits": DIGITS,
    "words": WORDS,
}


def random_model(shape=SHAPE, architecture=GPT2, dtype="float32", vocabulary="abcdef"):
    """A model with random tensors; gains are near 1."""
    generator = np.random.default_rng(0)
    tensors = {}
    for name, sizes in shape.tensors(architecture).items():
        centre = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        tensors[name] = generator.normal(centre, 0.4, sizes).astype(numpy_dtype(dtype))
    return Model(architecture, shape, Vocabulary(vocabulary), tensors)


def facts_of(folder):
    """All keys and values of the file."""
    reader = gguf.GGUFReader(folder / "model.gguf")
    return {
        key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")
    }


@pytest.mark.parametrize("architecture", [GPT2, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_tensor_is_there_under_its_name_to_the_last_bit(tmp_path, dtype, architecture):
    model = random_model(architecture=architecture, dtype=dtype)
    write_gguf(model, tmp_path)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, SHAPE.n_layer)
    kinds = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    expected = {}
    for name, tensor in model.tensors.items():
        full = name if name.startswith("lm_head") else f"transformer.{name}"
        is_matrix = tensor.ndim == 2 and name != "wpe.weight"
        kind = kinds[dtype] if is_matrix else "F32"
        values = tensor if is_matrix else tensor.astype(np.float32)
        rows = values.T if is_matrix and name.startswith("h.") else values
        key = names.get_name(full, try_suffixes=(".weight", ".bias"))
        expected[key] = (kind, list(rows.shape[::-1]), rows.tobytes())
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    assert {
        tensor.name: (tensor.tensor_type.name, tensor.shape.tolist(), tensor.data.tobytes())
        for tensor in reader.tensors
    } == expected


def test_every_key_is_there_with_its_value(tmp_path):
    write_gguf(random_model(architecture=UNTIED, dtype="float16"), tmp_path)
    assert facts_of(tmp_path) == {
        "general.architecture": "gpt2",
        "general.type": "model",
        "general.file_type": gguf.LlamaFileType.MOSTLY_F16,
        "gpt2.block_count": 2,
        "gpt2.context_length": 11,
        "gpt2.embedding_length": 12,
        "gpt2.feed_forward_length": 20,
        "gpt2.attention.head_count": 3,
        "gpt2.attention.layer_norm_epsilon": pytest.approx(1e-3),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": ["a", "b", "c", "d", "e", "f", "<pad>"],
        "tokenizer.ggml.token_type": [1, 1, 1, 1, 1, 1, 3],
        "tokenizer.ggml.merges": ["<none> <none>"],
        "tokenizer.ggml.bos_token_id": 6,
        "tokenizer.ggml.eos_token_id": 6,
        "tokenizer.ggml.padding_token_id": 6,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
    }


@pytest.mark.parametrize(
    ("dtype", "kind"), [("float32", "ALL_F32"), ("float16", "MOSTLY_F16"), ("bfloat16", "MOSTLY_BF16")]
)
def test_the_file_type_is_that_of_the_matrices(tmp_path, dtype, kind):
    write_gguf(random_model(dtype=dtype), tmp_path)
    assert facts_of(tmp_path)["general.file_type"] == gguf.LlamaFileType[kind]


def test_characters_are_written_as_bytes_and_merged_from_them(tmp_path):
    write_gguf(random_model(vocabulary=list("a é€\n<")), tmp_path)
    facts = facts_of(tmp_path)
    assert facts["tokenizer.ggml.tokens"] == ["a", "Ġ", "Ã©", "âĤ¬", "Ċ", "<", "<pad>"]
    assert facts["tokenizer.ggml.token_type"] == [1, 1, 1, 1, 1, 1, 3]
    assert facts["tokenizer.ggml.merges"] == ["Ã ©", "â Ĥ", "âĤ ¬"]


def test_every_byte_has_the_letter_that_gpt2_gives_it(tmp_path):
    tokenizers = judge("tokenizers")
    characters = [
        chr(code) for code in [*range(1, 0x800), *range(0x4E00, 0x4E40), *range(0x1F600, 0x1F640)]
    ]
    shape = Shape(n_vocab=len(characters) + 1, n_positions=2, n_embd=2, n_head=1, n_inner=(2,))
    write_gguf(random_model(shape, vocabulary=characters), tmp_path)
    split = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    ).pre_tokenize_str
    expected = [split(character)[0][0] for character in characters]
    assert facts_of(tmp_path)["tokenizer.ggml.tokens"] == [*expected, "<pad>"]


def test_words_are_tokens_that_the_user_defined(tmp_path):
    write_gguf(random_model(vocabulary=["the", "café", "<pad>", "x1"]), tmp_path)
    facts = facts_of(tmp_path)
    assert facts["tokenizer.ggml.tokens"] == [
        *("the", "café", "<pad>", "x1"),
        *("<unused4>", "<unused5>", "<pad>_"),
    ]
    assert facts["tokenizer.ggml.token_type"] == [4, 4, 4, 4, 5, 5, 3]
    assert facts["tokenizer.ggml.merges"] == ["<none> <none>"]


def test_tokens_stand_at_the_ids_that_were_chosen_for_them(tmp_path):
    model = replace(random_model(), vocabulary=Vocabulary("ab", ids=[6, 2]))
    write_gguf(model, tmp_path)
    facts = facts_of(tmp_path)
    assert facts["tokenizer.ggml.tokens"] == [
        *("<unused0>", "<unused1>", "b", "<unused3>", "<unused4>", "<pad>", "a")
    ]
    assert facts["tokenizer.ggml.token_type"] == [5, 5, 1, 5, 5, 3, 1]
    assert facts["tokenizer.ggml.eos_token_id"] == 5


def test_a_token_that_would_end_texts_is_reported(tmp_path):
    shape = replace(SHAPE, n_vocab=12)
    with pytest.warns(HandcraftWarning, match="will end a text at the token 'l'"):
        write_gguf(random_model(shape, vocabulary="abcdefghijkl"), tmp_path)
    assert "tokenizer.ggml.eos_token_id" not in facts_of(tmp_path)


def test_eleven_tokens_need_no_end(tmp_path):
    write_gguf(random_model(replace(SHAPE, n_vocab=11), vocabulary="abcdefghijk"), tmp_path)
    assert "tokenizer.ggml.eos_token_id" not in facts_of(tmp_path)


REFUSED = {
    "block": (BLOCK, SHAPE, "the model has no LayerNorm; its activation is relu, not gelu_tanh"),
    "another activation": (
        replace(GPT2, activation="gelu_erf"),
        SHAPE,
        "its activation is gelu_erf, not gelu_tanh",
    ),
    "later positions": (replace(GPT2, causal=False), SHAPE, "its attention is not causal"),
    "scores not scaled": (
        replace(GPT2, scales_scores=False),
        SHAPE,
        "its scores are not scaled by 1/sqrt(head_dim)",
    ),
    "scores divided by the layer": (
        replace(GPT2, scales_by_layer=True),
        SHAPE,
        "its scores are not scaled by 1/sqrt(head_dim)",
    ),
    "MLPs of two sizes": (
        GPT2,
        replace(SHAPE, n_inner=(20, 24)),
        "its MLPs have 20 and 24 hidden units, not one size",
    ),
    "a block without MLP": (
        GPT2,
        replace(SHAPE, n_inner=(0, 20)),
        "its MLPs have 0 and 20 hidden units, not one size",
    ),
    "no block": (GPT2, replace(SHAPE, n_inner=()), "its MLPs have no hidden units, not one size"),
}


@pytest.mark.parametrize(("architecture", "shape", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_llama_cpp_does_not_compute_is_refused(tmp_path, architecture, shape, reason):
    with pytest.raises(CheckpointError) as caught:
        write_gguf(random_model(shape, architecture), tmp_path)
    assert str(caught.value) == (
        f"CheckpointError: GGUF's GPT-2 is another architecture than `{architecture.name}`: {reason}\n"
        f"  where: {tmp_path / 'model.gguf'}\n"
        "  fix:   compile for the architecture gpt2, or write ONNX"
    )
    assert not list(tmp_path.iterdir())


def test_float64_is_refused(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        write_gguf(random_model(dtype="float64"), tmp_path)
    assert str(caught.value) == (
        "CheckpointError: the weights are float64, and llama.cpp computes in float32 at most\n"
        f"  where: {tmp_path / 'model.gguf'}\n"
        "  fix:   compile with one of: float32, float16, bfloat16"
    )


def test_without_the_package_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(CheckpointError) as caught:
        write_gguf(random_model(), tmp_path)
    assert str(caught.value) == (
        "CheckpointError: writing GGUF needs the gguf package, which is not installed\n"
        "  fix:   pip install 'handcraft[gguf]'"
    )
    assert not list(tmp_path.iterdir())


def test_the_same_model_gives_the_same_bytes(tmp_path):
    written = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_gguf(random_model(), tmp_path / name)
        written.append((tmp_path / name / "model.gguf").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_transformers_reads_the_file_and_answers_the_same(tmp_path, program, dtype, capfd):
    torch, transformers = judge("torch"), judge("transformers")
    model = compile_program(program, dtype=dtype).model
    write_gguf(model, tmp_path)
    judged = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, gguf_file="model.gguf")
    generator = np.random.default_rng(0)
    ids = generator.choice(model.vocabulary.numbers, (8, 40))
    with torch.no_grad():
        found = judged(torch.tensor(ids)).logits.numpy()
    wanted = model.forward(ids)
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


class Llama:
    """llama.cpp with a file, and with keys and values in float32."""

    def __init__(self, folder):
        llama_cpp = pytest.importorskip(
            "llama_cpp", reason="llama-cpp-python is not installed; it is a judge only where it is"
        )
        path = str(folder / "model.gguf")
        self.model = llama_cpp.Llama(
            path, n_ctx=0, n_threads=1, logits_all=True, type_k=0, type_v=0, verbose=False
        )

    def logits(self, ids):
        self.model.reset()
        self.model.eval(list(ids))
        return np.array(self.model.scores[: len(ids)])

    def ids(self, text):
        return tuple(self.model.tokenize(text.encode(), add_bos=False))

    def complete(self, text, n):
        return self.model.create_completion(text, max_tokens=n, temperature=0)["choices"][0]["text"]


def long_texts(vocabulary, count=20, length=60):
    chooser = random.Random(0)
    for _ in range(count):
        yield vocabulary.join(chooser.choices(vocabulary.tokens, k=length))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_llama_cpp_answers_compiled_programs_the_same(tmp_path, program, dtype):
    model = compile_program(program, dtype=dtype).model
    write_gguf(model, tmp_path)
    llama = Llama(tmp_path)
    for text in long_texts(model.vocabulary):
        ids = model.vocabulary.ids(text)
        assert llama.ids(text) == ids
        found, wanted = llama.logits(ids), model.forward([ids])[0]
        assert (found.argmax(axis=-1) == wanted.argmax(axis=-1)).all()
        if dtype == "float32":
            assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_llama_cpp_continues_a_text_without_stopping(tmp_path, program):
    model = compile_program(program).model
    write_gguf(model, tmp_path)
    prompt = model.vocabulary.join(program.vocabulary.tokens)
    expected = complete(model, prompt, 100).replace(model.vocabulary.separator or "\0", "")
    assert Llama(tmp_path).complete(prompt, 100) == expected


@pytest.mark.parametrize("architecture", [GPT2, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_llama_cpp_answers_random_models_nearly_the_same(tmp_path, dtype, architecture):
    """Its gelu is a table in half precision, so that logits of the order of 1 are off by some 0.01."""
    model = random_model(architecture=architecture, dtype=dtype)
    write_gguf(model, tmp_path)
    ids = [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
    found, wanted = Llama(tmp_path).logits(ids), model.forward([ids])[0]
    assert np.abs(found - wanted).max() <= (0.1 if dtype == "bfloat16" else 0.02)
