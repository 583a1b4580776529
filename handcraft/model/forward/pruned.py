"""The matrices of a model without what is 0 in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from handcraft.model.forward.llama import gain_of
from handcraft.model.layers.attention import Flags
from handcraft.model.layers.linear import Block, Linear

if TYPE_CHECKING:
    from handcraft.model.model import Model

LARGEST = 1e12
"""If no number of a run can be larger, none overflows on the way to a weight that is 0: its cube, in
GELU, and products of two, in attention and gated units, are in the range of float32."""


def pruned_blocks(
    model: Model, blocks: tuple[Block, ...], *, keep_units: bool = False
) -> tuple[Block, ...]:
    """The same function of the residual stream, without hidden units, rows and columns that are 0.

    Of heads the last numbers are left out that are 0 in queries or keys, or that nothing reads.

    Sums leave out terms that are exactly 0, so they differ by rounding at most. The blocks stay whole
    where a number might overflow that is multiplied with 0, since infinity times 0 is not 0.

    With `keep_units`, hidden units and numbers of heads that nothing reads stay in their places.
    """
    if not _is_bounded(model, blocks):
        return blocks
    if keep_units:
        return tuple(map(_pruned_block, blocks))
    return tuple(_pruned_block(_without_unread(model, block)) for block in blocks)


def _pruned_block(block: Block) -> Block:
    c_fc = None if block.c_fc is None else _pruned(block.c_fc)
    mlp = None if block.mlp is None else _pruned(block.mlp)
    return replace(
        block, c_attn=_pruned(block.c_attn), attention=_pruned(block.attention), c_fc=c_fc, mlp=mlp
    )


def _without_unread(model: Model, block: Block) -> Block:
    """A whole block without hidden units that nothing reads, and with narrower heads."""
    shape, n_embd = model.shape, model.shape.n_embd
    heads, groups, width = shape.n_head, shape.kv_heads, shape.head_dim
    made = block.c_attn.weight.any(axis=0) | (block.c_attn.bias != 0)
    parts = np.split(made, [heads * width, (heads + groups) * width])
    queries, keys, values = (part.reshape(-1, width) for part in parts)  # [head, head_dim] each
    keys, values = (part.repeat(heads // groups, axis=0) for part in (keys, values))
    read = block.attention.weight.reshape(heads, width, n_embd)
    value_dims = _count((values & read.any(axis=2)).any(axis=0))
    attention = Linear(read[:, :value_dims].reshape(-1, n_embd), block.attention.bias)
    block = replace(block, attention=attention, value_dims=value_dims)
    if not model.architecture.is_rotary:  # rotated pairs are not side by side
        block = replace(block, score_dims=_count((queries & keys).any(axis=0)))
    if block.c_fc is None or block.mlp is None:
        return block
    units = np.flatnonzero(block.mlp.weight.any(axis=1))
    sums = units if not model.architecture.is_gated else np.append(units, units + len(block.mlp.weight))
    hidden = Linear(block.c_fc.weight[:, sums], block.c_fc.bias[sums])
    return replace(block, c_fc=hidden, mlp=Linear(block.mlp.weight[units], block.mlp.bias))


def _count(flags: Flags | np.bool_) -> int:
    """How many there are up to the last that is true."""
    return int(np.flatnonzero(flags).max(initial=-1)) + 1


def _pruned(linear: Linear) -> Linear:
    rows, columns = (np.flatnonzero(linear.weight.any(axis=axis)) for axis in (1, 0))
    weight = np.ascontiguousarray(linear.weight[rows][:, columns])
    return Linear(
        weight,
        linear.bias,
        None if len(rows) == len(linear.weight) else rows,
        None if len(columns) == linear.weight.shape[1] else columns,
    )


def _is_bounded(model: Model, blocks: tuple[Block, ...]) -> bool:
    """Whether no number of any run can be larger than `LARGEST`, by the sizes of the weights alone."""
    tensors = {name: np.abs(tensor).max(initial=0) for name, tensor in model.tensors.items()}
    if not all(np.isfinite(size) for size in tensors.values()):
        return False
    rotary = model.architecture.is_rotary
    embeddings = ["embed_tokens.weight"] if rotary else ["wte.weight", "wpe.weight"]
    stream = sum(float(tensors[name]) for name in embeddings)
    for layer, block in enumerate(blocks):

        def read(norm: str, stream: float, layer: int = layer) -> float:
            if not model.architecture.has_norm:
                return stream
            name = f"h.{layer}.{norm}"  # a normed vector has no number above the root of its length
            root = float(np.sqrt(model.shape.n_embd))
            if rotary:
                return root * float(tensors[gain_of(name)])
            return root * float(tensors[f"{name}.weight"]) + float(tensors[f"{name}.bias"])

        qkv = _most(block.c_attn, read("ln_1", stream))
        if not qkv * np.sqrt(model.shape.head_dim) <= LARGEST:
            return False  # at once: what follows might not even be a number
        stream += _most(block.attention, qkv)
        if block.c_fc is not None and block.mlp is not None and stream <= LARGEST:
            sums = _most(block.c_fc, read("ln_2", stream))
            hidden = sums * sums if model.architecture.is_gated else sums
            if not hidden <= LARGEST:
                return False
            stream += _most(block.mlp, hidden)
        if not stream <= LARGEST:
            return False
    return True


def _most(linear: Linear, size: float) -> float:
    """The largest number that may come out where none that comes in is larger than `size`."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is an answer too
        sums = np.abs(linear.weight).sum(axis=0, dtype=np.float64) * size
        return float((sums + np.abs(linear.bias)).max(initial=0))
