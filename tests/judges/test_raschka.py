"""Raschka's model loads what is written for it and answers what the NumPy forward does."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest
from judges import judge

from handcraft import Program, compile_program, predict
from handcraft.architecture import BLOCK, GPT2
from handcraft.dtype import numpy_dtype
from handcraft.errors import CheckpointError
from handcraft.formats.raschka_file import raschka_shapes, write_raschka
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

torch = judge("torch")
safetensors = judge("safetensors")
safetensors_torch = judge("safetensors.torch")
GPTModel = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "from_scratch.py"))["GPTModel"]

SMALL = Shape(n_vocab=7, n_positions=11, n_embd=12, n_head=3, n_inner=(48, 48))
UNTIED = replace(GPT2, tied=False)
DTYPES = ("float64", "float32", "float16", "bfloat16")

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
WORDS = Program("the cat sat", 4, [predict("cat").after("the"), predict("the").otherwise()])
CLASSES = Program(
    "abc", 4, [predict("c").after("[ab]c."), predict("b").after("start a"), predict("a").otherwise()]
)
PROGRAMS = {"characters": AAB, "words": WORDS, "classes and start": CLASSES}

GPT2_SMALL = Shape(50257, 1024, 768, 12, (3072,) * 12)
CONFIG = {
    "vocab_size": 50257,
    "context_length": 1024,
    "emb_dim": 768,
    "n_heads": 12,
    "n_layers": 12,
    "drop_rate": 0.0,
    "qkv_bias": False,
}
COUNTS = {
    "token_embedding": 38_597_376,
    "position_embedding": 786_432,
    "attention_per_block": 2_360_064,
    "feed_forward_per_block": 4_722_432,
    "layer_norms_per_block": 3_072,
    "block": 7_085_568,
    "blocks": 85_026_816,
    "final_norm": 1_536,
    "output_head": 38_597_376,
    "total": 163_009_536,
}
"""The parameters of GPT-2 small in Raschka's form, counted by others."""


def random_model(shape=SMALL, architecture=GPT2, dtype="float32", biases=()):
    """A model with random tensors, without the biases of query, key and value but those named."""
    generator = np.random.default_rng(0)
    tensors = {}
    for name, sizes in shape.tensors(architecture).items():
        centre = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        values = generator.normal(centre, 0.3, sizes)
        if name.endswith("c_attn.bias"):
            for third, part in zip(np.split(values, 3), ("query", "key", "value"), strict=True):
                third *= part in biases
        tensors[name] = values.astype(numpy_dtype(dtype))
    tokens = [chr(ord("A") + i) for i in range(shape.n_vocab)]
    return Model(architecture, shape, Vocabulary(tokens), tensors)


def with_tensor(model, name, values):
    return replace(model, tensors={**model.tensors, name: np.asarray(values, dtype=model.dtype)})


def read(folder):
    """Raschka's model, with the weights in the folder."""
    built = GPTModel(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    state = safetensors_torch.load_file(folder / "model.safetensors")
    built.to(state["tok_emb.weight"].dtype)
    built.load_state_dict(state, strict=True)
    return built.eval()


def answers(folder, ids, dtype="float32"):
    """The logits of Raschka's model, computed as the NumPy forward computes."""
    judged = read(folder).to(torch.float64 if dtype == "float64" else torch.float32)
    with torch.no_grad():
        return judged(torch.tensor(ids)).numpy()


def assert_answers_same(model, folder, tolerance=1e-5):
    generator = np.random.default_rng(1)
    for batch, length in ((1, 1), (3, model.shape.n_positions), (4, 5)):
        ids = generator.integers(0, model.shape.n_vocab, (batch, length))
        found, wanted = answers(folder, ids, model.dtype.name), model.forward(ids)
        assert found.dtype == wanted.dtype
        assert np.abs(found - wanted).max() <= tolerance * max(1.0, np.abs(wanted).max())
        assert (found.argmax(axis=-1) == wanted.argmax(axis=-1)).all()


@pytest.mark.parametrize("architecture", [GPT2, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_models_answer_the_same(tmp_path, dtype, architecture):
    model = random_model(architecture=architecture, dtype=dtype)
    write_raschka(model, tmp_path)
    assert_answers_same(model, tmp_path, 1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "biases",
    [("key",), ("value",), ("query",), ("query", "key", "value")],
    ids=["key", "value", "query", "all three"],
)
def test_biases_go_where_they_change_nothing(tmp_path, biases, dtype):
    model = random_model(dtype=dtype, biases=biases)
    write_raschka(model, tmp_path)
    assert_answers_same(model, tmp_path, 1e-11 if dtype == "float64" else 3e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_compiled_programs_answer_every_context_the_same(tmp_path, program, dtype):
    model = compile_program(program, dtype=dtype).model
    write_raschka(model, tmp_path)
    for length in range(1, program.context + 1):
        ids = np.array(list(product(range(len(program.vocabulary)), repeat=length)))
        found, wanted = answers(tmp_path, ids, dtype), model.forward(ids)
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
        assert (found.argmax(axis=-1) == wanted.argmax(axis=-1)).all()


def test_a_query_bias_on_whole_numbers_is_exact_in_every_dtype(tmp_path):
    for dtype in DTYPES:
        (tmp_path / dtype).mkdir()
        model = random_model(dtype=dtype)
        for layer in range(2):
            weight = model.tensors[f"h.{layer}.attn.c_attn.weight"]
            weight[:, :12] = 0
            weight[3, 1], weight[4, 1], weight[4, 5] = 8, 2, 4
            model = with_tensor(model, f"h.{layer}.ln_1.bias", np.zeros(12))
            model = with_tensor(model, f"h.{layer}.attn.c_attn.bias", [0, 18, 0, 0, 0, 4, *[0] * 30])
            # so that what is left of the shift in the value is held too
            weight[3:5, 24:] = 0
        write_raschka(model, tmp_path / dtype)
        state = safetensors_torch.load_file(tmp_path / dtype / "model.safetensors")
        assert state["trf_blocks.0.norm1.shift"].tolist() == [0, 0, 0, 2, 1, *[0] * 7]
        assert_answers_same(model, tmp_path / dtype)


def test_a_narrow_mlp_is_filled_up_with_zeros(tmp_path):
    model = random_model(replace(SMALL, n_inner=(5, 48)))
    write_raschka(model, tmp_path)
    state = safetensors_torch.load_file(tmp_path / "model.safetensors")
    assert state["trf_blocks.0.ff.layers.0.weight"].shape == (48, 12)
    assert not state["trf_blocks.0.ff.layers.0.weight"][5:].any()
    assert not state["trf_blocks.0.ff.layers.2.weight"][:, 5:].any()
    assert_answers_same(model, tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matrices_are_transposed_and_keep_their_bits(tmp_path, dtype):
    model = random_model(dtype=dtype)
    write_raschka(model, tmp_path)
    state = safetensors_torch.load_file(tmp_path / "model.safetensors")
    c_attn = model.tensors["h.1.attn.c_attn.weight"]
    expected = {
        "tok_emb.weight": model.tensors["wte.weight"],
        "pos_emb.weight": model.tensors["wpe.weight"],
        "out_head.weight": model.tensors["wte.weight"],
        "trf_blocks.1.att.W_query.weight": c_attn[:, :12].T,
        "trf_blocks.1.att.W_key.weight": c_attn[:, 12:24].T,
        "trf_blocks.1.att.W_value.weight": c_attn[:, 24:].T,
        "trf_blocks.1.att.out_proj.weight": model.tensors["h.1.attn.c_proj.weight"].T,
        "trf_blocks.1.ff.layers.0.weight": model.tensors["h.1.mlp.c_fc.weight"].T,
        "trf_blocks.1.ff.layers.2.weight": model.tensors["h.1.mlp.c_proj.weight"].T,
        "trf_blocks.1.norm2.shift": model.tensors["h.1.ln_2.bias"],
    }
    for name, values in expected.items():
        assert str(state[name].dtype) == f"torch.{dtype}"
        assert (state[name].double().numpy() == values.astype(np.float64)).all(), name


def test_the_state_dict_has_every_name_and_nothing_else(tmp_path):
    model = random_model()
    write_raschka(model, tmp_path)
    with safetensors.safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert shapes == raschka_shapes(SMALL)
    built = read(tmp_path)
    assert shapes == {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    mask = built.state_dict()["trf_blocks.0.att.mask"]
    assert torch.equal(mask, torch.triu(torch.ones(11, 11), diagonal=1))


def test_the_config_has_the_keys_of_raschka(tmp_path):
    write_raschka(random_model(), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == {
        "vocab_size": 7,
        "context_length": 11,
        "emb_dim": 12,
        "n_heads": 3,
        "n_layers": 2,
        "drop_rate": 0.0,
        "qkv_bias": False,
    }


def test_gpt2_small_has_exactly_the_parameters_of_raschka():
    with torch.device("meta"):  # sizes without numbers
        built = GPTModel(CONFIG)

    def count(part):
        return sum(parameter.numel() for parameter in part.parameters())

    block = built.trf_blocks[0]
    assert {
        "token_embedding": count(built.tok_emb),
        "position_embedding": count(built.pos_emb),
        "attention_per_block": count(block.att),
        "feed_forward_per_block": count(block.ff),
        "layer_norms_per_block": count(block.norm1) + count(block.norm2),
        "block": count(block),
        "blocks": count(built.trf_blocks),
        "final_norm": count(built.final_norm),
        "output_head": count(built.out_head),
        "total": count(built),
    } == COUNTS
    assert raschka_shapes(GPT2_SMALL) == {
        name: tuple(tensor.shape) for name, tensor in built.state_dict().items()
    }


def test_what_is_written_in_the_shape_of_gpt2_small_has_these_parameters():
    shapes = {name: sizes for name, sizes in raschka_shapes(GPT2_SMALL).items() if "mask" not in name}

    def count(*parts):
        return sum(prod(sizes) for name, sizes in shapes.items() if name.startswith(parts))

    block = "trf_blocks.0."
    assert {
        "token_embedding": count("tok_emb."),
        "position_embedding": count("pos_emb."),
        "attention_per_block": count(f"{block}att."),
        "feed_forward_per_block": count(f"{block}ff."),
        "layer_norms_per_block": count(f"{block}norm"),
        "block": count(block),
        "blocks": count("trf_blocks."),
        "final_norm": count("final_norm."),
        "output_head": count("out_head."),
        "total": count(""),
    } == COUNTS


REFUSED = {
    "block": (BLOCK, SMALL, "the model has no LayerNorm; its activation is relu, not gelu_tanh"),
    "another epsilon": (replace(GPT2, norm_epsilon=1e-3), SMALL, "its LayerNorm adds 0.001, not 1e-05"),
    "another activation": (
        replace(GPT2, activation="gelu_erf"),
        SMALL,
        "its activation is gelu_erf, not gelu_tanh",
    ),
    "later positions": (replace(GPT2, causal=False), SMALL, "its attention is not causal"),
    "scores divided by the layer": (
        replace(GPT2, scales_by_layer=True),
        SMALL,
        "its scores are not scaled by 1/sqrt(head_dim)",
    ),
    "scores not scaled": (
        replace(GPT2, scales_scores=False),
        SMALL,
        "its scores are not scaled by 1/sqrt(head_dim)",
    ),
    "a wide MLP": (
        GPT2,
        replace(SMALL, n_inner=(48, 49)),
        "an MLP has 49 hidden units, not from 1 to 48",
    ),
    "a block without MLP": (
        GPT2,
        replace(SMALL, n_inner=(48, 0)),
        "an MLP has 0 hidden units, not from 1 to 48",
    ),
}


@pytest.mark.parametrize(("architecture", "shape", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_raschka_does_not_compute_is_refused(tmp_path, architecture, shape, reason):
    with pytest.raises(CheckpointError) as caught:
        write_raschka(random_model(shape, architecture), tmp_path)
    assert str(caught.value) == (
        "CheckpointError: Raschka's GPT is another architecture than "
        f"`{architecture.name}`: {reason}\n"
        f"  where: {tmp_path / 'model.safetensors'}\n"
        "  fix:   compile for the architecture gpt2, or write ONNX"
    )
    assert not list(tmp_path.iterdir())


def query_bias(*, dtype="float32", rows, bias, shift=0.0):
    """A model whose first block has few numbers in the query's matrix, and a bias of the query."""
    model = random_model(dtype=dtype)
    weight = model.tensors["h.0.attn.c_attn.weight"]
    weight[:, :12] = 0
    for row, column, number in rows:
        weight[row, column] = number
    model = with_tensor(model, "h.0.ln_1.bias", [shift, *[0] * 11])
    return with_tensor(model, "h.0.attn.c_attn.bias", [*bias, *[0] * (36 - len(bias))])


UNHELD = {
    "a query that reads nothing": (
        query_bias(rows=[(0, 0, 1.0)], bias=[0, 1.5]),
        "no shift of the LayerNorm before them equals the model's: 0 instead of 1.5 at 1",
    ),
    "a shift of too many digits": (
        query_bias(dtype="float16", rows=[(0, 0, 3.0)], bias=[1.0]),
        "float16 cannot represent that shift: 0.333252 instead of 0.333333 at 0",
    ),
    "a shift beyond the dtype": (
        query_bias(dtype="float16", rows=[(0, 0, 1.0)], bias=[70.0], shift=65504.0),
        "float16 cannot represent that shift: inf instead of 65574 at 0",
    ),
    "a shift that drowns the query": (
        query_bias(rows=[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 2.0**-12)], bias=[0.0, 1.0]),
        "a shift of 4096, which equals the model's, would cost precision",
    ),
}


@pytest.mark.parametrize(("model", "reason"), UNHELD.values(), ids=UNHELD)
def test_a_bias_of_the_query_that_has_nowhere_to_go_is_refused(tmp_path, model, reason):
    with pytest.raises(CheckpointError) as caught:
        write_raschka(model, tmp_path)
    assert str(caught.value) == (
        f"CheckpointError: Raschka's queries have no bias, and {reason}\n"
        f"  where: h.0.attn.c_attn.bias, for {tmp_path / 'model.safetensors'}\n"
        "  fix:   write the format huggingface, which has this bias"
    )


def test_a_bias_of_the_value_that_the_dtype_rounds_is_refused(tmp_path):
    model = random_model(dtype="bfloat16", biases=("value",))
    with pytest.raises(CheckpointError, match="bfloat16 cannot represent the value bias"):
        write_raschka(model, tmp_path)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    written = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_raschka(random_model(biases=("query", "key", "value")), tmp_path / name)
        written.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert written[0].keys() == {"model.safetensors", "config.json"}
    assert written[0] == written[1]
