"""The residual stream of a Llama: named dimensions, each stored once, since RMSNorm has no mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from handcraft.conformance.layout.stream import Draft, dims_of
from handcraft.model.layers.attention import Array


@dataclass(frozen=True)
class PlainStream:
    """Named groups of dimensions; matrices are [out, in], as Llama stores them.

    Args:
        groups: the number of dimensions of each group, in order.
        width: of the stream.
    """

    groups: Mapping[str, int]
    width: int

    def dims(self, group: str) -> slice:
        """Where the dimensions of a group are."""
        return dims_of(self.groups, group)

    def rows(self, count: int, **values: Array | float | list[float]) -> Array:
        """Rows of an embedding or an unembedding: each group as given: [count, width]."""
        rows = np.zeros((count, self.width), dtype=np.float32)
        for group, value in values.items():
            rows[:, self.dims(group)] = value
        return rows

    def reader(self, group: str, columns: Array) -> Array:
        """A matrix that reads a group: [dimensions, out] -> [out, width]."""
        matrix = np.zeros((columns.shape[1], self.width), dtype=np.float32)
        matrix[:, self.dims(group)] = columns.T
        return matrix

    def writer(self, group: str, rows: Array) -> Array:
        """A matrix that writes into a group: [in, dimensions] -> [width, in]."""
        matrix = np.zeros((self.width, rows.shape[0]), dtype=np.float32)
        matrix[self.dims(group)] = rows.T
        return matrix


def lay_head(
    draft: Draft,
    layer: int,
    head: int,
    *,
    query: Array | None = None,
    write: Array | None = None,
) -> None:
    """Lay out what a query head has of its own.

    Args:
        draft: the tensors.
        layer: the block.
        head: the query head.
        query: [up to head_dim, width].
        write: [width, up to head_dim].
    """
    first, attention = head * draft.shape.head_dim, f"layers.{layer}.self_attn"
    if query is not None:
        draft.tensors[f"{attention}.q_proj.weight"][first : first + len(query)] = query
    if write is not None:
        draft.tensors[f"{attention}.o_proj.weight"][:, first : first + write.shape[1]] = write


def lay_group(
    draft: Draft,
    layer: int,
    group: int,
    *,
    key: Array | None = None,
    value: Array | None = None,
) -> None:
    """Lay out a key and value head, which serves several queries: [up to head_dim, width] each."""
    first, attention = group * draft.shape.head_dim, f"layers.{layer}.self_attn"
    if key is not None:
        draft.tensors[f"{attention}.k_proj.weight"][first : first + len(key)] = key
    if value is not None:
        draft.tensors[f"{attention}.v_proj.weight"][first : first + len(value)] = value
