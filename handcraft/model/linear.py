"""The matrices of a model as they run: whole, or without what is 0 in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handcraft.model.attention import Array, Flags
from handcraft.model.product import product

if TYPE_CHECKING:
    from handcraft.model.model import Model

Indices = npt.NDArray[np.intp]

LARGEST = 1e12
"""If no number of a run can be larger, none overflows on the way to a weight that is 0: its cube, in
GELU, and products of two, in attention, are in the range of float32."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A matrix and a bias.

    Args:
        weight: [in, out].
        bias: [all out].
        rows: which of the inputs are read; None for all.
        columns: the indices of the computed numbers among the outputs; None for all.
    """

    weight: Array
    bias: Array
    rows: Indices | None = None
    columns: Indices | None = None

    def __call__(self, x: Array) -> Array:
        """[.., all in] -> [.., all out]."""
        flat = x.reshape(-1, x.shape[-1])
        if self.rows is not None:
            flat = flat[:, self.rows]
        out = product(flat, self.weight)
        if self.columns is None:
            out += self.bias
        else:
            computed, out = out, np.tile(self.bias, (len(flat), 1))
            out[:, self.columns] = computed + self.bias[self.columns]
        return out.reshape(*x.shape[:-1], len(self.bias))


@dataclass(frozen=True, eq=False)
class Block:
    """The matrices that a block runs.

    Args:
        c_attn: to queries, keys and values.
        attention: W_O, from the outputs of the heads.
        c_fc: to the hidden units.
        mlp: from the hidden units; None where there are none.
        score_dims: how many numbers of each query and key are multiplied, the first ones; None for all.
        value_dims: how many numbers of each value `attention` reads, the first ones; None for all.
    """

    c_attn: Linear
    attention: Linear
    c_fc: Linear | None
    mlp: Linear | None
    score_dims: int | None = None
    value_dims: int | None = None

    @property
    def attends(self) -> bool:
        """Whether any output of the heads is read; otherwise attention writes only its bias."""
        return self.attention.weight.size > 0

    @property
    def has_units(self) -> bool:
        """Whether any hidden unit is read; else an MLP, where there is one, writes its bias alone."""
        return self.mlp is not None and self.mlp.weight.size > 0


def whole_blocks(tensors: Mapping[str, Array], inner: tuple[int, ...]) -> tuple[Block, ...]:
    """The blocks with every matrix as it is stored."""

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    return tuple(
        Block(
            linear(f"h.{layer}.attn.c_attn"),
            linear(f"h.{layer}.attn.c_proj"),
            linear(f"h.{layer}.mlp.c_fc") if units else None,
            linear(f"h.{layer}.mlp.c_proj") if units else None,
        )
        for layer, units in enumerate(inner)
    )


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
    return tuple(_pruned_block(_without_unread(block, model.shape.n_head)) for block in blocks)


def _pruned_block(block: Block) -> Block:
    c_fc = None if block.c_fc is None else _pruned(block.c_fc)
    mlp = None if block.mlp is None else _pruned(block.mlp)
    return replace(
        block, c_attn=_pruned(block.c_attn), attention=_pruned(block.attention), c_fc=c_fc, mlp=mlp
    )


def _without_unread(block: Block, n_head: int) -> Block:
    """A whole block without hidden units that nothing reads, and with narrower heads."""
    n_embd = len(block.attention.bias)
    made = block.c_attn.weight.any(axis=0) | (block.c_attn.bias != 0)
    queries, keys, values = made.reshape(3, n_head, -1)  # [head, head_dim] each
    heads = block.attention.weight.reshape(n_head, -1, n_embd)  # [head, head_dim, n_embd]
    score_dims = _count((queries & keys).any(axis=0))
    value_dims = _count((values & heads.any(axis=2)).any(axis=0))
    attention = Linear(heads[:, :value_dims].reshape(-1, n_embd), block.attention.bias)
    block = replace(block, attention=attention, score_dims=score_dims, value_dims=value_dims)
    if block.c_fc is None or block.mlp is None:
        return block
    units = np.flatnonzero(block.mlp.weight.any(axis=1))
    hidden = Linear(block.c_fc.weight[:, units], block.c_fc.bias[units])
    return replace(block, c_fc=hidden, mlp=Linear(block.mlp.weight[units], block.mlp.bias))


def _count(flags: Flags) -> int:
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
    stream = float(tensors["wte.weight"]) + float(tensors["wpe.weight"])
    for layer, block in enumerate(blocks):

        def read(norm: str, stream: float, layer: int = layer) -> float:
            if not model.architecture.has_norm:
                return stream
            name = f"h.{layer}.{norm}"  # a normed vector has no number above the root of its length
            root = float(np.sqrt(model.shape.n_embd))
            return root * float(tensors[f"{name}.weight"]) + float(tensors[f"{name}.bias"])

        qkv = _most(block.c_attn, read("ln_1", stream))
        if not qkv * np.sqrt(model.shape.head_dim) <= LARGEST:
            return False  # at once: what follows might not even be a number
        stream += _most(block.attention, qkv)
        if block.c_fc is not None and block.mlp is not None and stream <= LARGEST:
            hidden = _most(block.c_fc, read("ln_2", stream))
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
