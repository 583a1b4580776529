"""Hugging Face folders: what is read of good ones, and what is said of bad and hostile ones."""

from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from handcraft.architecture import GPT2
from handcraft.errors import CheckpointError, HandcraftError, SeveralErrors
from handcraft.formats.huggingface_read import read_huggingface
from handcraft.model import Shape

SHAPE = Shape(n_vocab=4, n_positions=6, n_embd=8, n_head=2, n_inner=(32, 32))
CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 4,
    "n_positions": 6,
    "n_embd": 8,
    "n_head": 2,
    "n_layer": 2,
}
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def random_tensors(*, prefix="transformer.", tied=True, dtype="float32"):
    random = np.random.default_rng(0)
    shapes = SHAPE.tensors(replace(GPT2, tied=tied))
    return {
        ("" if name.startswith("lm_head") else prefix) + name: random.normal(size=sizes).astype(dtype)
        for name, sizes in shapes.items()
    }


@pytest.fixture
def folder(tmp_path):
    """A good GPT-2, to be spoiled; beside it lies what nobody must read."""
    inside = tmp_path / "gpt2"
    inside.mkdir()
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    (tmp_path / "secret.json").write_text(json.dumps(CONFIG))
    write_config(inside)
    save_file(random_tensors(), inside / WEIGHTS)
    return inside


def write_config(folder, **facts):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **facts}))


def without(*names):
    return {name: fact for name, fact in CONFIG.items() if name not in names}


def write_tensors(folder, **changes):
    """The good tensors, some replaced, or left out where the change is None."""
    tensors = {**random_tensors(), **{name.replace("__", "."): t for name, t in changes.items()}}
    save_file({name: t for name, t in tensors.items() if t is not None}, folder / WEIGHTS)


def write_shards(folder, shards=None, weight_map=None):
    """Two shards and their index instead of one file."""
    (folder / WEIGHTS).unlink()
    tensors = random_tensors()
    names = sorted(tensors)
    halves = {FIRST: names[:10], SECOND: names[10:]} if shards is None else shards
    for shard, held in halves.items():
        save_file({name: tensors[name] for name in held}, folder / shard)
    if weight_map is None:
        weight_map = {name: FIRST if name in names[:10] else SECOND for name in names}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def write_header(folder, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    (folder / WEIGHTS).write_bytes(size.to_bytes(8, "little") + text + data)


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_tokenizer(folder, vocab, splitter=None, **more):
    splitter = splitter or {"type": "WhitespaceSplit"}
    record = {"model": {"type": "WordLevel", "vocab": vocab}, "pre_tokenizer": splitter, **more}
    (folder / "tokenizer.json").write_text(json.dumps(record))


CHARACTERS = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}


def link(folder, name, target):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)


def with_nan(value=np.nan):
    weight = np.zeros((8, 32), np.float32)
    weight[3, 2] = value
    return weight


# --- what is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["transformer.", ""], ids=["with", "without"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_tensors_are_read_with_or_without_the_prefix(folder, prefix, tied):
    tensors = random_tensors(prefix=prefix, tied=tied)
    save_file(tensors, folder / WEIGHTS)
    write_config(folder, tie_word_embeddings=tied)
    model = read_huggingface(folder)
    assert model.shape == SHAPE
    assert model.architecture == replace(GPT2, tied=tied)
    assert list(model.tensors) == list(SHAPE.tensors(model.architecture))
    for name, read in model.tensors.items():
        stored = tensors[name if name == "lm_head.weight" else prefix + name]
        assert read.dtype == stored.dtype
        assert np.array_equal(read, stored)


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ({}, {}),
        ({"n_inner": None}, {}),
        ({"layer_norm_epsilon": 1e-3}, {"norm_epsilon": 1e-3}),
        ({"layer_norm_epsilon": 0}, {"norm_epsilon": 0.0}),
        ({"activation_function": "gelu_new"}, {}),
        ({"activation_function": "gelu_pytorch_tanh"}, {}),
        ({"activation_function": "gelu"}, {"activation": "gelu_erf"}),
        ({"activation_function": "relu"}, {"activation": "relu"}),
        ({"scale_attn_weights": False}, {"scales_scores": False}),
        ({"scale_attn_by_inverse_layer_idx": True}, {"scales_by_layer": True}),
        ({"reorder_and_upcast_attn": True}, {}),
        ({"add_cross_attention": False}, {}),
        ({"hidden_size": 8, "num_hidden_layers": 2}, {}),
        ({"dtype": "float16", "torch_dtype": "float16"}, {}),
    ],
)
def test_every_fact_that_decides_logits_is_read(folder, facts, changes):
    write_config(folder, **facts)
    assert read_huggingface(folder).architecture == replace(GPT2, **changes)


def test_sizes_may_go_by_their_other_names(folder):
    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 6,
    }
    facts = {**without("n_embd", "n_layer", "n_head", "n_positions"), **sizes}
    (folder / "config.json").write_text(json.dumps(facts))
    assert read_huggingface(folder).shape == SHAPE


def test_shards_are_read_through_their_index(folder):
    whole = read_huggingface(folder)
    write_shards(folder)
    assert read_huggingface(folder) == whole


def test_one_file_goes_before_shards(folder):
    whole = read_huggingface(folder)
    (folder / INDEX).write_text("nonsense")
    assert read_huggingface(folder) == whole


@pytest.mark.parametrize(
    ("embedding", "others", "read"),
    [
        ("float64", "float64", "float64"),
        ("float32", "float32", "float32"),
        ("float16", "float16", "float16"),
        ("float16", "float32", "float32"),
        ("float32", "float16", "float32"),
        ("float64", "float16", "float64"),
    ],
)
def test_mixed_types_become_the_smallest_that_holds_all(folder, embedding, others, read):
    tensors = random_tensors(dtype=others)
    tensors["transformer.wte.weight"] = tensors["transformer.wte.weight"].astype(embedding)
    save_file(tensors, folder / WEIGHTS)
    model = read_huggingface(folder)
    assert {found.dtype.name for found in model.tensors.values()} == {read}
    for name, found in model.tensors.items():
        assert np.array_equal(found, tensors[f"transformer.{name}"])


def write_as_bfloat16(folder, chosen):
    """Some tensors as bfloat16, which is the upper half of float32; their values, by name."""
    tensors = random_tensors()
    header, data, values = {}, b"", {}
    for name, value in tensors.items():
        halves = value.view(np.uint32) >> 16
        stored = halves.astype(np.uint16).tobytes() if chosen(name) else value.tobytes()
        dtype = "BF16" if chosen(name) else "F32"
        header[name] = tensor(list(value.shape), len(data), len(data) + len(stored), dtype)
        values[name] = (halves << 16).view(np.float32) if chosen(name) else value
        data += stored
    write_header(folder, header, data)
    return values


@pytest.mark.parametrize(
    ("chosen", "dtype"),
    [(lambda name: True, "bfloat16"), (lambda name: ".mlp." in name, "float32")],
    ids=["everywhere", "in places"],
)
def test_bfloat16_is_read_to_the_last_bit(folder, chosen, dtype):
    values = write_as_bfloat16(folder, chosen)
    model = read_huggingface(folder)
    assert model.dtype.name == dtype
    assert model.running_dtype == np.float32
    for name, found in model.tensors.items():
        assert np.array_equal(found.astype(np.float32), values[f"transformer.{name}"])


def test_masks_and_a_tied_copy_of_the_embedding_are_left_out(folder):
    whole = read_huggingface(folder)
    tensors = random_tensors()
    mask = {f"transformer.h.{i}.attn.bias": np.ones((1, 1, 6, 6), np.uint8) for i in (0, 1)}
    floor = {"transformer.h.0.attn.masked_bias": np.array(-1e4, np.float32)}
    head = {"lm_head.weight": tensors["transformer.wte.weight"]}
    save_file({**tensors, **mask, **floor, **head}, folder / WEIGHTS)
    assert read_huggingface(folder) == whole


def test_a_model_without_blocks_is_read(folder):
    write_config(folder, n_layer=0)
    save_file({n: t for n, t in random_tensors().items() if ".h." not in n}, folder / WEIGHTS)
    assert read_huggingface(folder).forward([[0, 1, 2]]).shape == (1, 3, 4)


# --- its tokens -------------------------------------------------------------------------------------

PAD = {"id": 3, "content": "<pad>", "special": True}

NAMED = {
    "no tokenizer": (None, "#0 #1 #2 #3"),
    "words": (({"the": 0, "cat": 1, "sat": 2, "on": 3},), "the cat sat on"),
    "words in another order": (({"the": 2, "cat": 3, "sat": 1, "on": 0},), "on sat the cat"),
    "ids without a token": (({"the": 0, "on": 3},), "the #1 #2 on"),
    "a token that looks like the name of an id": (({"#1": 0, "on": 3},), "#1 ##1 #2 on"),
    "a token that no text can hold": (({"a b": 0, "cat": 1, "": 2, "on": 3},), "#0 cat #2 on"),
    "characters": (({"a": 0, "b": 1, "c": 2, "d": 3}, CHARACTERS), "a b c d"),
    "characters and a mark": (({"a": 0, "b": 1, "c": 2, "<x>": 3}, CHARACTERS), "a b c <x>"),
    "a blank beside a mark": (({"a": 0, "b": 1, " ": 2, "<x>": 3}, CHARACTERS), "a b #2 <x>"),
    "signs are split from words": (({"a": 0, "a-b": 1, "--": 2}, {"type": "Whitespace"}), "a #1 -- #3"),
    "another splitter": (({"a": 0}, {"type": "ByteLevel"}), "#0 #1 #2 #3"),
    "characters that are thrown away": (
        ({"a": 0}, {**CHARACTERS, "behavior": "Removed"}),
        "#0 #1 #2 #3",
    ),
    "a splitter that is nonsense": (({"a": 0}, [["x"], 3]), "#0 #1 #2 #3"),
}


@pytest.mark.parametrize(("tokenizer", "names"), NAMED.values(), ids=NAMED)
def test_tokens_have_the_names_of_tokenizer_json_or_of_their_ids(folder, tokenizer, names):
    if tokenizer:
        write_tokenizer(folder, *tokenizer)
    assert read_huggingface(folder).vocabulary.tokens == tuple(names.split())


def test_a_blank_is_a_token_where_all_are_characters(folder):
    write_tokenizer(folder, {"a": 0, " ": 1, "\n": 2, "d": 3}, CHARACTERS)
    assert read_huggingface(folder).prompt_ids("d a\n") == (3, 1, 0, 2)


def test_added_tokens_have_names_too(folder):
    write_tokenizer(folder, {"a": 0, "b": 1}, {"type": "Whitespace"}, added_tokens=[PAD])
    assert read_huggingface(folder).vocabulary.tokens == ("a", "b", "#2", "<pad>")


@pytest.mark.parametrize(
    "more",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"post_processor": {"type": "TemplateProcessing"}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}},
        {"model": {"type": "WordPiece", "vocab": {"a": 0}}},
        {"model": None},
        {"model": "WordLevel"},
    ],
)
def test_text_that_becomes_tokens_in_another_way_leaves_ids_as_names(folder, more):
    write_tokenizer(folder, {"a": 0}, **more)
    assert read_huggingface(folder).vocabulary.tokens == ("#0", "#1", "#2", "#3")


def write_padding(folder, row=0.0, **facts):
    embedding = random_tensors()["transformer.wte.weight"]
    embedding[3] = row
    write_tensors(folder, transformer__wte__weight=embedding)
    write_config(folder, **{"pad_token_id": 3, **facts})
    write_tokenizer(folder, {"a": 0, "b": 1, "c": 2, "<pad>": 3}, CHARACTERS, added_tokens=[PAD])


def test_a_last_id_that_only_pads_is_no_token(folder):
    write_padding(folder)
    model = read_huggingface(folder)
    assert model.shape.n_vocab == 4
    assert model.vocabulary.tokens == ("a", "b", "c")
    assert model.prompt_ids("cab") == (2, 0, 1)


@pytest.mark.parametrize(
    "difference",
    [
        {"row": 0.5},
        {"eos_token_id": 3},
        {"eos_token_id": [1, 3]},
        {"bos_token_id": 3},
        {"pad_token_id": 2},
        {"pad_token_id": None},
        {"pad_token_id": "3"},
    ],
)
def test_a_last_id_that_may_be_predicted_is_a_token(folder, difference):
    write_padding(folder, **difference)
    assert read_huggingface(folder).vocabulary.tokens == ("a", "b", "c", "<pad>")


# --- what is wrong ----------------------------------------------------------------------------------


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def config(**facts):
    return lambda folder: write_config(folder, **facts)


def tensors(**changes):
    return lambda folder: write_tensors(folder, **changes)


def header(*args, **more):
    return lambda folder: write_header(folder, *args, **more)


def shards(*args, **more):
    return lambda folder: write_shards(folder, *args, **more)


def tokenizer(*args, **more):
    return lambda folder: write_tokenizer(folder, *args, **more)


def deep(opening):
    return opening * 200_000


BAD_CONFIGS = {
    "missing": (lambda folder: (folder / "config.json").unlink(), "the folder holds no config.json"),
    "empty": (text("config.json", ""), "config.json cannot be read"),
    "no JSON": (text("config.json", "import os"), "config.json cannot be read"),
    "no object": (
        text("config.json", "[1]"),
        "config.json cannot be read: it holds [1] and no JSON object",
    ),
    "no text": (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), "cannot be read"),
    "very deep": (text("config.json", deep('{"a":')), "config.json cannot be read"),
    "very deep lists": (text("config.json", '{"a":' + deep("[")), "config.json cannot be read"),
    "a fact twice": (text("config.json", '{"n_embd": 8, "n_embd": 4}'), "it names 'n_embd' twice"),
    "NaN": (text("config.json", '{"layer_norm_epsilon": NaN}'), "it holds NaN, which is no JSON"),
    "very many digits": (text("config.json", '{"n_embd": ' + "9" * 5000 + "}"), "cannot be read"),
    "a directory": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
        "config.json is no regular file",
    ),
    "another architecture": (config(model_type="llama"), "of a model of type 'llama'"),
    "no architecture": (config(model_type=None), "of a model of type None"),
    "another activation": (config(activation_function="silu"), "activation_function is 'silu'"),
    "no activation": (config(activation_function=None), "activation_function is None"),
    "an unhashable activation": (
        config(activation_function=["relu"]),
        "activation_function is ['relu']",
    ),
    "cross-attention": (config(add_cross_attention=True), "add_cross_attention is true"),
    "a size with a point": (config(n_embd=8.0), "n_embd is 8.0"),
    "a size as text": (config(n_embd="8"), "n_embd is '8'"),
    "a size that is true": (config(n_head=True), "n_head is True"),
    "a size of null": (config(vocab_size=None), "vocab_size is None"),
    "a size of 0": (config(n_head=0), "n_head is 0"),
    "a negative size": (config(n_layer=-1), "n_layer is -1"),
    "an MLP without neurons": (config(n_inner=0), "n_inner is 0"),
    "an incredible size": (
        config(n_positions=10**30),
        "n_positions is 1000000000000000000000000000000",
    ),
    "another name that disagrees": (config(hidden_size=16), "n_embd is 8, and hidden_size 16"),
    "heads that do not fit": (config(n_head=3), "n_embd=8 dimensions do not make n_head=3 equal heads"),
    "a flag that is text": (config(scale_attn_weights="no"), "scale_attn_weights is 'no'"),
    "a flag that is 0": (config(tie_word_embeddings=0), "tie_word_embeddings is 0"),
    "an epsilon that is text": (config(layer_norm_epsilon="1e-5"), "layer_norm_epsilon is '1e-5'"),
    "a negative epsilon": (config(layer_norm_epsilon=-1e-5), "layer_norm_epsilon is -1e-05"),
    "an endless epsilon": (
        text("config.json", json.dumps(CONFIG)[:-1] + ', "layer_norm_epsilon": 1e999}'),
        "layer_norm_epsilon is inf",
    ),
}

LIES = {
    "vocab_size": (
        config(vocab_size=5),
        "transformer.wte.weight is [4, 8], and config.json makes it [5, 8]",
    ),
    "n_positions": (
        config(n_positions=7),
        "transformer.wpe.weight is [6, 8], and config.json makes it [7, 8]",
    ),
    "n_embd": (
        config(n_embd=12),
        "wte.weight is [4, 8], and config.json makes it [4, 12]; 27 more differ",
    ),
    "n_inner": (
        config(n_inner=31),
        "mlp.c_fc.weight is [8, 32], and config.json makes it [8, 31]; 5 more",
    ),
    "fewer blocks": (config(n_layer=1), "n_layer is 1, and the files hold tensors of 2 blocks"),
    "more blocks": (config(n_layer=3), "n_layer is 3, and the files hold tensors of 2 blocks"),
    "very many blocks": (config(n_layer=2**31 - 1), "n_layer is 2147483647, and the files hold"),
    "a very large vocabulary": (config(vocab_size=2**31 - 1), "makes it [2147483647, 8]"),
    "GPT2Config's own sizes": (text("config.json", '{"model_type": "gpt2"}'), "n_layer is 12"),
    "an untied head": (config(tie_word_embeddings=False), "the files lack lm_head.weight"),
    "a tied head": (
        tensors(lm_head__weight=np.ones((4, 8), np.float32)),
        "lm_head.weight differs from wte.weight, and config.json says that they are one tensor",
    ),
    "the shape of the head": (
        tensors(lm_head__weight=np.ones((3, 8), np.float32)),
        "lm_head.weight is [3, 8], and config.json makes it [4, 8]",
    ),
}

BAD_TENSORS = {
    "a missing one": (tensors(transformer__ln_f__bias=None), "the files lack ln_f.bias"),
    "five missing": (
        tensors(**{f"transformer__h__{i}__ln_{j}__bias": None for i in (0, 1) for j in (1, 2)}),
        "the files lack h.0.ln_1.bias h.0.ln_2.bias h.1.ln_1.bias and 1 more",
    ),
    "a foreign one": (
        tensors(score__weight=np.ones((2, 8), np.float32)),
        "the files hold 'score.weight', unknown to GPT-2",
    ),
    "cross-attention": (
        tensors(transformer__h__0__ln_cross_attn__bias=np.ones(8, np.float32)),
        "the files hold 'transformer.h.0.ln_cross_attn.bias'",
    ),
    "a renamed one": (
        tensors(transformer__ln_f__bias=None, transformer__ln_g__bias=np.ones(8, np.float32)),
        "the files lack ln_f.bias, and the files hold 'transformer.ln_g.bias'",
    ),
    "a prefix where there is none": (
        tensors(transformer__lm_head__weight=np.ones((4, 8), np.float32)),
        "the files hold 'transformer.lm_head.weight'",
    ),
    "two names for one": (
        tensors(ln_f__bias=np.ones(8, np.float32)),
        "two names of one tensor",
    ),
    "a transposed one": (
        tensors(transformer__h__1__attn__c_attn__weight=np.ones((24, 8), np.float32)),
        "transformer.h.1.attn.c_attn.weight is [24, 8], and config.json makes it [8, 24]",
    ),
    "a flat one": (
        tensors(transformer__wpe__weight=np.ones(48, np.float32)),
        "transformer.wpe.weight is [48], and config.json makes it [6, 8]",
    ),
    "integers": (tensors(transformer__ln_f__bias=np.ones(8, np.int32)), "ln_f.bias is of type 'I32'"),
    "NaN": (
        tensors(transformer__h__0__mlp__c_fc__weight=with_nan()),
        "'transformer.h.0.mlp.c_fc.weight' holds nan at [3, 2]",
    ),
    "infinity": (
        tensors(transformer__h__0__mlp__c_fc__weight=with_nan(-np.inf)),
        "'transformer.h.0.mlp.c_fc.weight' holds -inf at [3, 2]",
    ),
    "NaN in half precision": (
        tensors(transformer__h__0__mlp__c_fc__weight=with_nan().astype(np.float16)),
        "holds nan at [3, 2]",
    ),
}

BAD_HEADERS = {
    "an empty file": (text(WEIGHTS, ""), "its header should be 0 bytes long, and the file has 0"),
    "a short file": (text(WEIGHTS, "abc"), "and the file has 3"),
    "a Git LFS pointer": (text(WEIGHTS, "version https://git-lfs.github.com/spec/v1\n"), "bytes long"),
    "longer than the file": (
        header({}, length=1000),
        "its header should be 1000 bytes long, and the file",
    ),
    "longer than any file": (header({}, length=2**64 - 1), "should be 18446744073709551615 bytes long"),
    "no JSON": (header(b"#!/bin/sh"), "model.safetensors cannot be read"),
    "no object": (header([1, 2]), "and no JSON object"),
    "no text": (header(b"\xff\xff"), "model.safetensors cannot be read"),
    "very deep": (header(b'{"a":' * 200_000), "model.safetensors cannot be read"),
    "a tensor twice": (header(b'{"a": {}, "a": {}}'), "it names 'a' twice"),
    "a type twice": (header(b'{"a": {"dtype": "F32", "dtype": "F16"}}'), "it names 'dtype' twice"),
    "a tensor that is a number": (header({"wte.weight": 3}), "describes 'wte.weight' as 3"),
    "a type that is a number": (header({"a": tensor([1], 0, 4, dtype=3)}, b"1234"), "describes 'a' as"),
    "places that are text": (header({"a": tensor([1], "0", "4")}, b"1234"), "describes 'a' as"),
    "a shape with a point": (header({"a": tensor([1.0], 0, 4)}, b"1234"), "gives 'a' the shape [1.0]"),
    "a negative shape": (
        header({"a": tensor([-1, -1], 0, 4)}, b"1234"),
        "gives 'a' the shape [-1, -1]",
    ),
    "very many axes": (header({"a": tensor([1] * 1000, 0, 4)}, b"1234"), "gives 'a' the shape"),
    "an incredible shape": (header({"a": tensor([2**80], 0, 4)}, b"1234"), "gives 'a' the shape"),
    "a shape larger than its bytes": (
        header({"a": tensor([2**40, 2**20], 0, 4)}, b"1234"),
        "'a' of shape [1099511627776, 1048576] and type F32 takes 4611686018427387904 bytes, "
        "and the header gives it 4",
    ),
    "bytes behind the end": (header({"a": tensor([2], 0, 8)}, b"1234"), "at bytes 0 to 8 of 4"),
    "bytes backwards": (header({"a": tensor([0], 4, 0)}, b"1234"), "at bytes 4 to 0 of 4"),
    "bytes before the beginning": (header({"a": tensor([1], -4, 0)}, b"1234"), "at bytes -4 to 0 of 4"),
    "bytes shared by two": (
        header({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, b"1234"),
        "'b' begins at byte",
    ),
    "bytes of none": (header({"a": tensor([1], 4, 8)}, b"12345678"), "'a' begins at byte"),
    "bytes left over": (
        header({"a": tensor([1], 0, 4)}, b"12345678"),
        "its tensors should end at byte",
    ),
}

BAD_SHARDS = {
    "one missing": (
        lambda folder: (write_shards(folder), (folder / SECOND).unlink()),
        f"the shard {SECOND} is missing, and 18 tensors with it",
    ),
    "an index of nothing": (shards(weight_map={}), "has no weight_map, or an empty one"),
    "an index without a map": (shards(weight_map=[1]), "has no weight_map, or an empty one"),
    "a name that climbs": (
        shards(weight_map={"wte.weight": "../secret.safetensors"}),
        "has 'wte.weight' in '../secret.safetensors', which is no file name of a shard",
    ),
    "an absolute name": (shards(weight_map={"a": "/etc/x.safetensors"}), "no file name of a shard"),
    "a name with backslashes": (
        shards(weight_map={"a": "..\\x.safetensors"}),
        "no file name of a shard",
    ),
    "a name with a NUL": (shards(weight_map={"a": "\0.safetensors"}), "no file name of a shard"),
    "a name that is too long": (
        shards(weight_map={"a": "x" * 9000 + ".safetensors"}),
        "cannot be read",
    ),
    "a pickle as a shard": (shards(weight_map={"a": "pytorch_model.bin"}), "no file name of a shard"),
    "a number as a shard": (shards(weight_map={"a": 1}), "has 'a' in 1, which is no file name"),
    "a tensor that is not in its shard": (
        shards(weight_map={"ghost": FIRST, **dict.fromkeys(sorted(random_tensors())[:10], FIRST)}),
        f"{FIRST} lacks 'ghost', against what {INDEX} says",
    ),
    "a tensor that is in another shard too": (
        shards(shards={FIRST: sorted(random_tensors())[:11], SECOND: sorted(random_tensors())[10:]}),
        f"{FIRST} also holds",
    ),
    "an index that is no JSON": (
        lambda folder: (write_shards(folder), (folder / INDEX).write_text("{")),
        f"{INDEX} cannot be read",
    ),
}

BAD_TOKENIZERS = {
    "no JSON": (text("tokenizer.json", "{"), "tokenizer.json cannot be read"),
    "no object": (text("tokenizer.json", "3"), "tokenizer.json cannot be read"),
    "very deep": (text("tokenizer.json", deep('{"model":')), "tokenizer.json cannot be read"),
    "a token twice": (
        text("tokenizer.json", '{"model": {"vocab": {"a": 0, "a": 1}}}'),
        "it names 'a' twice",
    ),
    "a vocabulary that is a list": (tokenizer(["a", "b"]), "vocab is no object"),
    "an id twice": (tokenizer({"a": 0, "b": 0}), "'a' and 'b' both have the id 0"),
    "an id outside": (tokenizer({"a": 4}), "'a' has the id 4, and vocab_size is 4"),
    "a negative id": (tokenizer({"a": -1}), "'a' has the id -1"),
    "an id that is text": (tokenizer({"a": "0"}), "'a' has the id '0'"),
    "an id that is true": (tokenizer({"a": True}), "'a' has the id True"),
    "an id that is a list": (tokenizer({"a": [0]}), "'a' has the id [0]"),
    "half a character": (tokenizer({"\ud800": 0}), "tokenizer.json cannot be right"),
    "added tokens that are text": (tokenizer({"a": 0}, added_tokens="x"), "added_tokens is no list"),
    "an added token that is text": (tokenizer({"a": 0}, added_tokens=["x"]), "an added token is 'x'"),
    "an added token without id": (
        tokenizer({"a": 0}, added_tokens=[{"content": "x"}]),
        "an added token is {'content': 'x'}",
    ),
    "an added token with another id": (
        tokenizer({"<pad>": 0}, added_tokens=[PAD]),
        "'<pad>' has two ids, 0 and 3",
    ),
}

BAD_LINKS = {
    "weights": (lambda folder: link(folder, WEIGHTS, "../secret.safetensors"), WEIGHTS),
    "config": (lambda folder: link(folder, "config.json", "../secret.json"), "config.json"),
    "config, absolute": (
        lambda folder: link(folder, "config.json", folder.parent / "secret.json"),
        "config.json",
    ),
    "tokenizer": (lambda folder: link(folder, "tokenizer.json", "/etc/passwd"), "tokenizer.json"),
    "a shard": (
        lambda folder: (write_shards(folder), link(folder, SECOND, "../secret.safetensors")),
        SECOND,
    ),
    "the index": (
        lambda folder: ((folder / WEIGHTS).unlink(), link(folder, INDEX, "../secret.json")),
        INDEX,
    ),
    "to nothing": (lambda folder: link(folder, WEIGHTS, "../nothing"), WEIGHTS),
    "through a folder": (
        lambda folder: (
            (folder / "sub").symlink_to(folder.parent),
            link(folder, WEIGHTS, "sub/secret.safetensors"),
        ),
        WEIGHTS,
    ),
}

BAD = {
    f"{title}: {name}": case
    for title, cases in {
        "config": BAD_CONFIGS,
        "lie": LIES,
        "tensors": BAD_TENSORS,
        "header": BAD_HEADERS,
        "shards": BAD_SHARDS,
        "tokenizer": BAD_TOKENIZERS,
        "link": {
            name: (spoil, f"{file} is a link that leaves the folder")
            for name, (spoil, file) in BAD_LINKS.items()
        },
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD)
def test_a_bad_folder_is_refused_in_three_parts(folder, spoil, message):
    read_huggingface(folder)
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        read_huggingface(folder)
    assert message in caught.value.what
    assert str(folder) in caught.value.where
    assert caught.value.fix or "cannot be read" in caught.value.what


def test_all_that_is_wrong_with_a_config_is_said_at_once(folder):
    write_config(folder, n_embd=8.5, activation_function="swish", scale_attn_weights=None)
    with pytest.raises(SeveralErrors) as caught:
        read_huggingface(folder)
    said = [problem.what for problem in caught.value.problems]
    assert said == [
        "n_embd is 8.5",
        "activation_function is 'swish'",
        "scale_attn_weights is None",
    ]


def test_a_folder_that_is_none_is_refused(folder):
    for place in (folder / "nowhere", folder / "config.json"):
        with pytest.raises(CheckpointError, match="no folder|not a folder"):
            read_huggingface(place)


# --- what is hostile --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "model.pt", "model.pth", "epoch=3.ckpt", "gpt2.pkl", "weights.pickle"],
)
def test_a_pickle_is_refused_with_the_reason(folder, name):
    (folder / WEIGHTS).rename(folder / name)
    with pytest.raises(CheckpointError) as caught:
        read_huggingface(folder)
    assert caught.value.what == (
        f"{name!r} is a pickle, and reading a pickle runs whatever code is in it"
    )
    assert "save_pretrained" in caught.value.fix


def test_a_pickle_is_refused_even_where_the_config_is_missing(folder):
    (folder / WEIGHTS).rename(folder / "model.pt")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_huggingface(folder)


def test_a_pickle_beside_safetensors_is_not_looked_at(folder):
    whole = read_huggingface(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert read_huggingface(folder) == whole


def test_weights_of_another_kind_are_named(folder):
    (folder / WEIGHTS).rename(folder / "tf_model.h5")
    with pytest.raises(CheckpointError, match=r"holds no model.safetensors .* 'tf_model.h5'"):
        read_huggingface(folder)


def test_code_that_a_config_names_is_never_run(folder):
    whole = read_huggingface(folder)
    trap = "open(__file__ + '.sprung', 'w')"
    for name in ("modeling.py", "configuration_gpt2.py", "tokenizer.py", "__init__.py"):
        (folder / name).write_text(trap)
    write_config(
        folder,
        auto_map={"AutoModelForCausalLM": "modeling.Trap", "AutoConfig": "configuration_gpt2.Trap"},
        trust_remote_code=True,
        custom_pipelines={"text-generation": {"impl": "modeling.Trap"}},
        architectures=["modeling.Trap"],
    )
    assert read_huggingface(folder) == whole
    assert not list(folder.glob("*.sprung"))
    assert not list(folder.glob("__pycache__"))


@pytest.mark.parametrize(
    "spoil",
    [
        config(vocab_size=2**31 - 1, n_embd=2**31 - 1, n_head=1),
        config(n_layer=2**31 - 1),
        config(n_inner=2**31 - 1),
        header({"wte.weight": tensor([2**40, 2**20], 0, 4)}, b"1234"),
        header({"wte.weight": tensor([2**62], 0, 2**62, "F64")}, b"1234"),
        header({}, length=2**50),
        tokenizer({"a": 2**40}),
    ],
)
def test_a_size_that_is_only_declared_takes_no_memory(folder, spoil):
    spoil(folder)
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        read_huggingface(folder)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000


LONG = "\x1b[2J" + "x" * 100_000


@pytest.mark.parametrize(
    "spoil",
    [
        config(model_type=LONG),
        config(activation_function=LONG),
        config(n_embd=LONG),
        config(n_embd=int("9" * 4000)),
        config(activation_function=[[LONG] * 50] * 50),
        tensors(**{LONG: np.ones(3, np.float32)}),
        header({LONG: 3}),
        header({"a": {"dtype": LONG}}),
        shards(weight_map={LONG: FIRST}),
        shards(weight_map={"a": LONG}),
        tokenizer({LONG: 9}),
        tokenizer({"a": LONG}),
        text(
            "config.json", json.dumps(CONFIG)[:-1] + f', "{"x" * 100_000}": 1, "{"x" * 100_000}": 2}}'
        ),
    ],
)
def test_a_message_stays_short_and_harmless(folder, spoil):
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        read_huggingface(folder)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_pipe_is_not_waited_for(folder):
    (folder / "tokenizer.json").unlink(missing_ok=True)
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"tokenizer.json is no regular file"):
        read_huggingface(folder)


def test_links_in_a_circle_are_refused(folder):
    link(folder, WEIGHTS, "loop")
    (folder / "loop").symlink_to(WEIGHTS)
    with pytest.raises(CheckpointError, match=WEIGHTS):
        read_huggingface(folder)


def test_a_link_within_the_folder_is_followed(folder):
    whole = read_huggingface(folder)
    (folder / WEIGHTS).rename(folder / "weights.safetensors")
    link(folder, WEIGHTS, "weights.safetensors")
    assert read_huggingface(folder) == whole


def to_cache(folder, *, blobs="blobs"):
    """Where the Hugging Face hub would put the folder: links to blobs two floors up."""
    home = folder.parent / "models--openai-community--gpt2"
    snapshot = home / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (folder.parent / blobs).mkdir(exist_ok=True)
    (home / "blobs").symlink_to(folder.parent / blobs) if blobs != "blobs" else (home / "blobs").mkdir()
    for file in list(folder.iterdir()):
        file.rename(home / "blobs" / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    return snapshot


def test_the_links_of_the_hugging_face_cache_are_followed(folder):
    whole = read_huggingface(folder)
    assert read_huggingface(to_cache(folder)) == whole


def test_a_cache_whose_blobs_lie_elsewhere_is_not(folder):
    with pytest.raises(CheckpointError, match="leaves the folder"):
        read_huggingface(to_cache(folder, blobs="elsewhere"))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_damaged_anywhere_is_an_error_and_never_a_crash(folder, data):
    write_tokenizer(folder, {"a": 0, "b": 1}, CHARACTERS, added_tokens=[PAD])
    file = folder / data.draw(st.sampled_from([WEIGHTS, "config.json", "tokenizer.json"]))
    good = file.read_bytes()
    place = data.draw(st.integers(0, min(len(good), 2500)))
    kept = data.draw(st.sampled_from([place, place + 1]))
    put = data.draw(st.binary(max_size=2))
    file.write_bytes(good[:place] + put + good[kept:])
    try:
        model = read_huggingface(folder)
    except HandcraftError:
        pass
    else:
        assert len(model.vocabulary) in (3, 4)
        assert {name: t.shape for name, t in model.tensors.items()} == SHAPE.tensors(model.architecture)
    finally:
        file.write_bytes(good)


def test_reading_changes_nothing_in_the_folder(folder):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    model = read_huggingface(folder)
    model.tensors["wte.weight"][:] = 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert load_file(folder / WEIGHTS)["transformer.wte.weight"].any()
