"""The matrices of heads and MLPs as [in, out], of GPT-2 and of Llama alike.

In a Llama several heads share a key and a value. Each of them reads its own, as EAP-IG has it, which
makes as many of the shared ones as there are heads (`ungroup_grouped_query_attention`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from handcraft.ground_truth.circuit.edge_graph import READS
from handcraft.model import Model
from handcraft.model.forward.llama import gain_of
from handcraft.model.layers.attention import Array, Flags


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix and its bias.

    Args:
        weight: [in, out].
        bias: [out].
    """

    weight: Array
    bias: Array

    @property
    def used(self) -> Flags:
        """Which outputs can be other than 0: [out]."""
        used: Flags = self.weight.any(axis=0) | (self.bias != 0)
        return used


@dataclass(frozen=True, eq=False)
class HeadMatrices:
    """What a head reads, and W_O of its channels: [head_dim, n_embd]."""

    q: Matrix
    k: Matrix
    v: Matrix
    out: Array


@dataclass(frozen=True, eq=False)
class MlpMatrices:
    """What an MLP reads and writes.

    Args:
        read: the sums before the activation.
        up: what the activation is multiplied by, in a Llama; else None.
        write: what hidden units add.
    """

    read: Matrix
    up: Matrix | None
    write: Matrix

    @property
    def live(self) -> Flags:
        """Which hidden units can be other than 0, and write something: [n_inner].

        Without a bias a unit of a Llama is 0 where its gate or its factor reads nothing.
        """
        writes: Flags = np.any(self.write.weight != 0, axis=1)
        return writes if self.up is None else writes & self.read.used & self.up.used


def head_matrices(model: Model, tensors: Mapping[str, Array], layer: int) -> list[HeadMatrices]:
    """Those of every head of a block; `tensors` are those of the model, in some dtype."""
    shape = model.shape
    size, width = shape.head_dim, shape.n_embd

    def read(part: Literal["q", "k", "v"], head: int) -> Matrix:
        if model.architecture.is_rotary:
            first = (head if part == "q" else head // (shape.n_head // shape.kv_heads)) * size
            rows = tensors[f"layers.{layer}.self_attn.{part}_proj.weight"][first : first + size]
            return _without_bias(rows.T)
        first = READS.index(part) * width + head * size
        name, columns = f"h.{layer}.attn.c_attn", slice(first, first + size)
        return Matrix(tensors[f"{name}.weight"][:, columns], tensors[f"{name}.bias"][columns])

    matrix = model.output_matrix(layer, "attn")
    out = tensors[matrix.weight].T if matrix.axis else tensors[matrix.weight]
    return [
        HeadMatrices(
            read("q", head), read("k", head), read("v", head), out[head * size : (head + 1) * size]
        )
        for head in range(shape.n_head)
    ]


def mlp_matrices(model: Model, tensors: Mapping[str, Array], layer: int) -> MlpMatrices | None:
    """Those of the MLP of a block; None where it has none."""
    if not model.shape.n_inner[layer]:
        return None
    if model.architecture.is_rotary:
        gate, up, down = (
            _without_bias(tensors[f"layers.{layer}.mlp.{name}_proj.weight"].T)
            for name in ("gate", "up", "down")
        )
        return MlpMatrices(gate, up, down)
    read, write = (
        Matrix(tensors[f"h.{layer}.mlp.{name}.weight"], tensors[f"h.{layer}.mlp.{name}.bias"])
        for name in ("c_fc", "c_proj")
    )
    return MlpMatrices(read, None, write)


def embedding_of(model: Model, tensors: Mapping[str, Array]) -> Array:
    """The token embedding: [n_vocab, n_embd]."""
    return tensors["embed_tokens.weight" if model.architecture.is_rotary else "wte.weight"]


def unembedding_of(model: Model, tensors: Mapping[str, Array]) -> Array:
    """What logits are products with: [n_vocab, n_embd]."""
    return embedding_of(model, tensors) if model.architecture.tied else tensors["lm_head.weight"]


def gain_in(model: Model, tensors: Mapping[str, Array], norm: str) -> Array:
    """The gain of a norm, by its name in a `Trace`."""
    return tensors[gain_of(norm) if model.architecture.is_rotary else f"{norm}.weight"]


def _without_bias(weight: Array) -> Matrix:
    return Matrix(weight, np.zeros(weight.shape[1], dtype=weight.dtype))
