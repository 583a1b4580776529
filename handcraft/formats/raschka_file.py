"""A model as the state dict of `GPTModel` in Raschka, Build a Large Language Model (From Scratch)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.dtype import dtype_named
from handcraft.errors import CheckpointError
from handcraft.formats.tensors.safetensors_file import Pending, write_safetensors
from handcraft.model import Model, Shape
from handcraft.model.layers.attention import Array

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

NORM_EPSILON = 1e-5
"""What Raschka's LayerNorm adds to the variance."""

MOST_GROWTH = 64
"""How many times as large sums may become where a bias moves into the shift before them."""

Wide: TypeAlias = npt.NDArray[np.float64]
Maker: TypeAlias = Callable[[], Array]


def write_raschka(model: Model, folder: Path) -> None:
    """Write a model as ``model.safetensors`` and ``config.json`` for Raschka's ``GPTModel``.

    Its matrices are `nn.Linear`'s, [out, in]; query, key and value have one each and no bias; the head
    is not tied, so a tied one is written a second time; the causal masks are part of the state;
    the MLP is four times as wide as the stream, so a narrower one is padded with zeros.

    The model has no bias for query, key and value, so these are moved elsewhere without changing the
    result, up to rounding. The bias of the key adds the same to all scores of a query, which does not
    change softmax. The bias of the value passes through attention unchanged, because attention weights
    sum to 1, and joins the bias of the projection. The bias of the query moves into the shift of the
    LayerNorm before it, if there is a shift that the query matrix maps to it; what the shift adds to
    key and value is treated like a bias of theirs.

    Tensors are read one at a time.

    Raises:
        CheckpointError: Raschka's model computes something else, or a bias cannot be moved.
    """
    path = folder / WEIGHTS
    _check_model(model, path)
    make = _makers(model, path)
    dtype = dtype_named(model.dtype.name)
    tensors = {
        name: Pending(sizes, dtype, make[name]) for name, sizes in raschka_shapes(model.shape).items()
    }
    write_safetensors(path, tensors, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(_config(model.shape), indent=2) + "\n", encoding="utf-8")


def raschka_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The name and the shape of everything in the state dict of Raschka's model, in order.

    All are parameters except ``att.mask``.

    >>> raschka_shapes(Shape(50257, 1024, 768, 12, (3072,)))["out_head.weight"]
    (50257, 768)
    """
    d, length = shape.n_embd, shape.n_positions
    shapes: dict[str, tuple[int, ...]] = {
        "tok_emb.weight": (shape.n_vocab, d),
        "pos_emb.weight": (length, d),
    }
    for layer in range(shape.n_layer):
        block = f"trf_blocks.{layer}"
        shapes |= {
            f"{block}.att.W_query.weight": (d, d),
            f"{block}.att.W_key.weight": (d, d),
            f"{block}.att.W_value.weight": (d, d),
            f"{block}.att.out_proj.weight": (d, d),
            f"{block}.att.out_proj.bias": (d,),
            f"{block}.att.mask": (length, length),
            f"{block}.ff.layers.0.weight": (4 * d, d),
            f"{block}.ff.layers.0.bias": (4 * d,),
            f"{block}.ff.layers.2.weight": (d, 4 * d),
            f"{block}.ff.layers.2.bias": (d,),
            f"{block}.norm1.scale": (d,),
            f"{block}.norm1.shift": (d,),
            f"{block}.norm2.scale": (d,),
            f"{block}.norm2.shift": (d,),
        }
    return shapes | {
        "final_norm.scale": (d,),
        "final_norm.shift": (d,),
        "out_head.weight": (shape.n_vocab, d),
    }


def raschka_parameters(shape: Shape) -> int:
    """How many parameters Raschka's model of that shape has; the masks are none.

    >>> raschka_parameters(Shape(50257, 1024, 768, 12, (3072,) * 12))
    163009536
    """
    return sum(prod(s) for name, s in raschka_shapes(shape).items() if not name.endswith(".att.mask"))


def _config(shape: Shape) -> dict[str, Any]:
    return {
        "vocab_size": shape.n_vocab,
        "context_length": shape.n_positions,
        "emb_dim": shape.n_embd,
        "n_heads": shape.n_head,
        "n_layers": shape.n_layer,
        "drop_rate": 0.0,
        "qkv_bias": False,
    }


def _check_model(model: Model, path: Path) -> None:
    """Raise unless Raschka's model computes what this one does, biases aside."""
    architecture, shape = model.architecture, model.shape
    reasons = architecture.unlike_gpt2
    if architecture.has_norm and architecture.norm_epsilon != NORM_EPSILON:
        reasons.append(f"its LayerNorm adds {architecture.norm_epsilon}, not {NORM_EPSILON}")
    odd = [inner for inner in shape.n_inner if not 0 < inner <= 4 * shape.n_embd]
    if odd:
        reasons.append(f"an MLP has {odd[0]} hidden units, not from 1 to {4 * shape.n_embd}")
    if reasons:
        raise CheckpointError(
            f"Raschka's GPT is another architecture than `{architecture.name}`: {'; '.join(reasons)}",
            where=path,
            fix="compile for the architecture gpt2, or write ONNX",
        )


def _makers(model: Model, path: Path) -> dict[str, Maker]:
    """For everything in the state dict, what makes it when its turn comes."""
    tensors = model.tensors
    head = "wte.weight" if model.architecture.tied else "lm_head.weight"
    makers: dict[str, Maker] = {
        "tok_emb.weight": lambda: tensors["wte.weight"],
        "pos_emb.weight": lambda: tensors["wpe.weight"],
        "final_norm.scale": lambda: tensors["ln_f.weight"],
        "final_norm.shift": lambda: tensors["ln_f.bias"],
        "out_head.weight": lambda: tensors[head],
    }
    for layer in range(model.shape.n_layer):
        for name, make in _block_makers(model, layer, path).items():
            makers[f"trf_blocks.{layer}.{name}"] = make
    return makers


def _block_makers(model: Model, layer: int, path: Path) -> dict[str, Maker]:
    shape, tensors = model.shape, model.tensors
    block, square = f"h.{layer}", (shape.n_positions, shape.n_positions)
    more = (0, 4 * shape.n_embd - shape.n_inner[layer])  # hidden units of zeros

    def of(name: str) -> Array:
        return tensors[f"{block}.{name}"]

    def third(number: int) -> Array:
        return np.split(of("attn.c_attn.weight"), 3, axis=1)[number].T

    @cache
    def without_bias() -> tuple[Array, Array]:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found as a difference
            return _without_bias(model, layer, path)

    return {
        "att.W_query.weight": lambda: third(0),
        "att.W_key.weight": lambda: third(1),
        "att.W_value.weight": lambda: third(2),
        "att.out_proj.weight": lambda: of("attn.c_proj.weight").T,
        "att.out_proj.bias": lambda: without_bias()[1],
        "att.mask": lambda: np.triu(np.ones(square, dtype=model.dtype), k=1),  # 1: the source is later
        "ff.layers.0.weight": lambda: np.pad(of("mlp.c_fc.weight").T, (more, (0, 0))),
        "ff.layers.0.bias": lambda: np.pad(of("mlp.c_fc.bias"), more),
        "ff.layers.2.weight": lambda: np.pad(of("mlp.c_proj.weight").T, ((0, 0), more)),
        "ff.layers.2.bias": lambda: of("mlp.c_proj.bias"),
        "norm1.scale": lambda: of("ln_1.weight"),
        "norm1.shift": lambda: without_bias()[0],
        "norm2.scale": lambda: of("ln_2.weight"),
        "norm2.shift": lambda: of("ln_2.bias"),
    }


def _without_bias(model: Model, layer: int, path: Path) -> tuple[Array, Array]:
    """The shift of the first LayerNorm and the bias of the projection, with c_attn's bias in them.

    With x the input of LayerNorm's last step, s its shift and m what is added to it:

        query:  (x + s) W_q + b_q  =  (x + s + m) W_q          for every x, if  m W_q = b_q
        key:    (x + s) W_k + b_k  =  (x + s + m) W_k + c      c adds q.c to all scores of q: dropped
        value:  (x + s) W_v + b_v  =  (x + s + m) W_v + b_v - m W_v
        output: pattern (v + b) W_o + b_o  =  pattern v W_o + (b W_o + b_o)       a pattern sums to 1
    """
    block = f"h.{layer}"
    shift = model.tensors[f"{block}.ln_1.bias"]
    projection_bias = model.tensors[f"{block}.attn.c_proj.bias"]
    bias = _wide(model.tensors[f"{block}.attn.c_attn.bias"])
    if not bias.any():
        return shift, projection_bias
    where = f"{block}.attn.c_attn.bias, for {path}"
    weight = _wide(model.tensors[f"{block}.attn.c_attn.weight"])
    b_q, _, b_v = np.split(bias, 3)
    if b_q.any():
        moved = _shift_for(model, layer, weight, b_q, where)
        b_v = b_v - (_wide(moved) - _wide(shift)) @ np.split(weight, 3, axis=1)[2]
        shift = moved
    W_o = _wide(model.tensors[f"{block}.attn.c_proj.weight"])
    exact = _wide(projection_bias) + b_v @ W_o
    stored: Array = exact.astype(model.dtype)
    size = np.abs(_wide(projection_bias)) + np.abs(b_v) @ np.abs(W_o)
    if not _is_close(_wide(stored), exact, size, model):
        raise CheckpointError(
            f"{model.dtype.name} cannot represent the value bias after the projection: "
            f"{_worst(_wide(stored), exact)}",
            where=where,
            fix="compile with float32, or write the format huggingface, which has this bias",
        )
    return shift, stored


def _shift_for(model: Model, layer: int, weight: Wide, b_q: Wide, where: str) -> Array:
    """The shift of the first LayerNorm that makes the query's matrix yield the query's bias."""
    gain, shift = (_wide(model.tensors[f"h.{layer}.ln_1.{kind}"]) for kind in ("weight", "bias"))
    W_q = np.split(weight, 3, axis=1)[0]
    added = np.linalg.lstsq(W_q.T, b_q, rcond=None)[0]  # the shortest m with m W_q nearest to b_q
    exact = shift + added
    stored: Array = exact.astype(model.dtype)
    before, after = ((np.abs(gain) + np.abs(each)) @ np.abs(weight) for each in (shift, exact))
    before[: len(b_q)] += np.abs(b_q)
    tolerance = (before + after)[: len(b_q)]  # LayerNorm's own part is of the order of the gain
    lost = None
    if not _is_close(added @ W_q, b_q, tolerance, model):
        lost = f"no shift of the LayerNorm before them equals the model's: {_worst(added @ W_q, b_q)}"
    elif (after > MOST_GROWTH * before).any():
        lost = f"a shift of {np.abs(added).max():.6g}, which equals the model's, would cost precision"
    elif not _is_close((_wide(stored) - shift) @ W_q, b_q, tolerance, model):
        lost = f"{model.dtype.name} cannot represent that shift: {_worst(_wide(stored), exact)}"
    if lost:
        raise CheckpointError(
            f"Raschka's queries have no bias, and {lost}",
            where=where,
            fix="write the format huggingface, which has this bias",
        )
    return stored


def _wide(tensor: Array) -> Wide:
    return tensor.astype(np.float64)


def _is_close(found: Wide, wanted: Wide, size: Wide, model: Model) -> bool:
    """Whether numbers differ by no more than the forward pass itself rounds sums of that size."""
    tolerance = 4 * float(np.finfo(model.running_dtype).eps) * size
    return bool((np.abs(found - wanted) <= tolerance).all())


def _worst(found: Wide, wanted: Wide) -> str:
    place = int(np.abs(found - wanted).argmax())
    return f"{found[place]:.6g} instead of {wanted[place]:.6g} at {place}"
