"""Read a `GPTModel` of Raschka, Build a Large Language Model (From Scratch), from its state dict.

A reader who built that model from scratch can trace it, draw it and count its parameters here: save its
``state_dict()`` as ``model.safetensors``, and the dictionary that it was built from as ``config.json``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.architecture import GPT2
from handcraft.errors import CheckpointError, HandcraftError, raise_all
from handcraft.formats.folder import MANIFEST
from handcraft.formats.foreign_files import find_file, read_object, shown
from handcraft.formats.huggingface.tokenizer import read_vocabulary
from handcraft.formats.manifest.read_manifest import parse_manifest, read_manifest
from handcraft.formats.raschka_file import CONFIG, NORM_EPSILON, WEIGHTS, raschka_shapes
from handcraft.formats.tensors.shards import FLOATS, StoredTensor, read_header, type_that_holds
from handcraft.limits import check_memory
from handcraft.model import Model, Shape
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import Vocabulary, shorten

SIZES = ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers")
"""The keys of the config that decide the sizes."""

LARGEST = 2**31 - 1
"""The largest size that is accepted."""

MASK = re.compile(r"trf_blocks\.\d+\.att\.mask")
"""The causal mask: part of the state dict, and always the upper triangle."""


def is_raschka(folder: Path) -> bool:
    """Whether config.json of a folder has the keys of Raschka's config, and no `model_type`."""
    path = find_file(folder, CONFIG)
    if path is None:
        return False
    found = read_object(path)
    return "model_type" not in found and {"emb_dim", "context_length"} <= found.keys()


def read_raschka(folder: Path) -> Model:
    """The model in a folder with ``config.json`` and ``model.safetensors`` of Raschka's `GPTModel`.

    The three `nn.Linear` weights of query, key and value, each [out, in], become one ``c_attn``,
    [in, 3 * out]; the head is not tied. Biases of query, key and value are read where `qkv_bias` is
    true. Tokens have the names of handcraft.json or tokenizer.json, else ``#0``, ``#1``, ...

    Raises:
        CheckpointError: a file is missing or damaged, or has other tensors than the config says.
        SeveralErrors: several sizes in the config are wrong.
        LimitError: the tensors take more memory than may be used.
    """
    path = find_file(folder, WEIGHTS)
    if path is None:
        raise CheckpointError(
            f"the folder has no {WEIGHTS}",
            where=folder,
            fix=f'safetensors.torch.save_file(model.state_dict(), "{WEIGHTS}"); pickles are not read',
        )
    shape, has_bias = _read_config(folder)
    stored = {
        name: tensor for name, tensor in read_header(path).items() if MASK.fullmatch(name) is None
    }
    _check_tensors(stored, shape, has_bias, path)
    size = sum(prod(tensor.shape) for tensor in stored.values())
    dtype = type_that_holds({tensor.dtype for tensor in stored.values()})
    check_memory(size * dtype.itemsize, f"a model of {size:,} parameters", where=path)

    def read(name: str) -> Array:
        return stored[name].read().astype(dtype, copy=False)

    tensors = _tensors(read, shape, has_bias)
    architecture = replace(GPT2, tied=False, norm_epsilon=NORM_EPSILON)
    return Model(architecture, shape, _vocabulary(folder, shape.n_vocab), tensors)


def _read_config(folder: Path) -> tuple[Shape, bool]:
    """The sizes, and whether query, key and value have biases."""
    path = folder / CONFIG
    found = read_object(path)
    problems: list[HandcraftError] = []
    for key in SIZES:
        value = found.get(key)
        if type(value) is not int or not 1 <= value <= LARGEST:
            said = f"{key} is {shown(value)}" if key in found else f"there is no {key}"
            fix = f"it must be an integer from 1 to {LARGEST}"
            problems.append(CheckpointError(said, where=path, fix=fix))
    has_bias: Any = found.get("qkv_bias", False)
    if not isinstance(has_bias, bool):
        said = f"qkv_bias is {shown(has_bias)}"
        problems.append(CheckpointError(said, where=path, fix="it must be true or false"))
    raise_all(problems)
    vocabulary, length, width, heads, layers = (found[key] for key in SIZES)
    if width % heads:
        raise CheckpointError(
            f"emb_dim={width} dimensions do not make n_heads={heads} equal heads",
            where=path,
            fix="emb_dim must be a multiple of n_heads",
        )
    return Shape(vocabulary, length, width, heads, (4 * width,) * layers), has_bias


def _check_tensors(
    stored: Mapping[str, StoredTensor], shape: Shape, has_bias: bool, path: Path
) -> None:
    """Raise unless the tensors are those of the model, by name, shape and type."""
    blocks = {name.split(".")[1] for name in stored if name.startswith("trf_blocks.")}
    if len(blocks) != shape.n_layer:
        raise CheckpointError(
            f"n_layers is {shape.n_layer}, and the file has tensors of {len(blocks)} blocks",
            where=path,
            fix=f"use the weights that belong to this {CONFIG}, or correct n_layers",
        )
    expected = {n: s for n, s in raschka_shapes(shape).items() if MASK.fullmatch(n) is None}
    if has_bias:
        for layer in range(shape.n_layer):
            for part in ("query", "key", "value"):
                expected[f"trf_blocks.{layer}.att.W_{part}.bias"] = (shape.n_embd,)
    missing = [name for name in expected if name not in stored]
    foreign = [shown(name) for name in stored if name not in expected]
    if missing or foreign:
        lacks = [f"the file lacks {shorten(missing, 3)}"] if missing else []
        extra = [f"the file has {shorten(foreign, 3)}, unknown to GPTModel"] if foreign else []
        biases = any("W_query.bias" in name for name in (*missing, *foreign))
        raise CheckpointError(
            ", and ".join(lacks + extra),
            where=path,
            fix="qkv_bias says whether these exist: correct it"
            if biases
            else f"use the weights that belong to this {CONFIG}",
        )
    for name, sizes in expected.items():
        tensor = stored[name]
        if tensor.shape != sizes:
            raise CheckpointError(
                f"{name} is {list(tensor.shape)}, but by {CONFIG} it should be {list(sizes)}",
                where=path,
                fix=f"use the weights that belong to this {CONFIG}, or correct its sizes",
            )
        if tensor.dtype not in FLOATS:
            raise CheckpointError(
                f"{name} is of type {shown(tensor.dtype)}",
                where=path,
                fix=f"these types can be read: {', '.join(FLOATS)}",
            )


def _tensors(read: Callable[[str], Array], shape: Shape, has_bias: bool) -> dict[str, Array]:
    """The tensors by their GPT-2 names: matrices [in, out]."""
    tensors = {"wte.weight": read("tok_emb.weight"), "wpe.weight": read("pos_emb.weight")}
    for layer in range(shape.n_layer):
        theirs, ours = f"trf_blocks.{layer}", f"h.{layer}"
        parts = [f"{theirs}.att.W_{part}" for part in ("query", "key", "value")]
        weight = np.hstack([read(f"{part}.weight").T for part in parts])  # [in, 3 * out]
        bias = (
            np.concatenate([read(f"{part}.bias") for part in parts])
            if has_bias
            else np.zeros(3 * shape.n_embd, dtype=weight.dtype)
        )
        tensors |= {
            f"{ours}.ln_1.weight": read(f"{theirs}.norm1.scale"),
            f"{ours}.ln_1.bias": read(f"{theirs}.norm1.shift"),
            f"{ours}.attn.c_attn.weight": weight,
            f"{ours}.attn.c_attn.bias": bias,
            f"{ours}.attn.c_proj.weight": np.ascontiguousarray(read(f"{theirs}.att.out_proj.weight").T),
            f"{ours}.attn.c_proj.bias": read(f"{theirs}.att.out_proj.bias"),
            f"{ours}.ln_2.weight": read(f"{theirs}.norm2.scale"),
            f"{ours}.ln_2.bias": read(f"{theirs}.norm2.shift"),
            f"{ours}.mlp.c_fc.weight": np.ascontiguousarray(read(f"{theirs}.ff.layers.0.weight").T),
            f"{ours}.mlp.c_fc.bias": read(f"{theirs}.ff.layers.0.bias"),
            f"{ours}.mlp.c_proj.weight": np.ascontiguousarray(read(f"{theirs}.ff.layers.2.weight").T),
            f"{ours}.mlp.c_proj.bias": read(f"{theirs}.ff.layers.2.bias"),
        }
    return tensors | {
        "ln_f.weight": read("final_norm.scale"),
        "ln_f.bias": read("final_norm.shift"),
        "lm_head.weight": read("out_head.weight"),
    }


def _vocabulary(folder: Path, n_vocab: int) -> Vocabulary:
    """The tokens as a compiled folder names them, or as any other does."""
    if not (folder / MANIFEST).is_file():
        return read_vocabulary(folder, n_vocab)
    manifest, _ = read_manifest(parse_manifest(folder))
    return Vocabulary(manifest.vocabulary, ids=manifest.token_ids)
