"""What is read of good Hugging Face folders: facts, tensors, shards, types, tokens."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from handcraft.architecture import GPT2
from handcraft.formats.huggingface.read_repository import read_huggingface

from .gpt2_folder import (
    INDEX,
    SHAPE,
    WEIGHTS,
    good_gpt2,
    random_tensors,
    tensor,
    without,
    write_config,
    write_header,
    write_shards,
)


@pytest.fixture
def folder(tmp_path):
    return good_gpt2(tmp_path)


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


def test_reading_changes_nothing_in_the_folder(folder):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    model = read_huggingface(folder)
    model.tensors["wte.weight"][:] = 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert load_file(folder / WEIGHTS)["transformer.wte.weight"].any()
