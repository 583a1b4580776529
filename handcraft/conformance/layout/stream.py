"""The residual stream of a diagnostic model: named dimensions, each stored as x and -x."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from handcraft.architecture import Architecture
from handcraft.model import Model, Shape
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import Vocabulary


def dims_of(groups: Mapping[str, int], group: str) -> slice:
    """Where the dimensions of a group are, if groups of these sizes lie side by side.

    Raises:
        KeyError: there is no such group.
    """
    start = 0
    for name, size in groups.items():
        if name == group:
            return slice(start, start + size)
        start += size
    raise KeyError(group)


@dataclass(frozen=True)
class Stream:
    """Named groups of dimensions.

    Every dimension is stored twice, as x and as -x half the width further on. So the mean of the
    stream is 0, and what reads a dimension as half the difference is not moved by any mean.

    Args:
        groups: the number of dimensions of each group, in order.
        half: half the width of the stream; dimensions without a group are 0.
    """

    groups: Mapping[str, int]
    half: int

    def __post_init__(self) -> None:
        if sum(self.groups.values()) > self.half:
            raise ValueError(f"{sum(self.groups.values())} dimensions in half a width of {self.half}")

    @property
    def width(self) -> int:
        """The width of the stream, n_embd."""
        return 2 * self.half

    def dims(self, group: str) -> slice:
        """Where the dimensions of a group are, in the first half."""
        return dims_of(self.groups, group)

    def rows(self, count: int, **values: Array | float | list[float]) -> Array:
        """Rows of an embedding: each group as given, all others 0: [count, width]."""
        half = np.zeros((count, self.half), dtype=np.float32)
        for group, value in values.items():
            half[:, self.dims(group)] = value
        return self.mirrored(half)

    def mirrored(self, half: Array) -> Array:
        """What writes `half` and its negative: [.., half] -> [.., width]."""
        both: Array = np.concatenate([half, -half], axis=-1)
        return both

    def reader(self, group: str, columns: Array) -> Array:
        """A matrix that reads a group: [dimensions, out] -> [width, out]."""
        half = np.zeros((self.half, columns.shape[1]), dtype=np.float32)
        half[self.dims(group)] = columns
        both: Array = np.concatenate([half, -half]) / 2
        return both

    def writer(self, group: str, rows: Array) -> Array:
        """A matrix that writes into a group: [in, dimensions] -> [in, width]."""
        half = np.zeros((rows.shape[0], self.half), dtype=np.float32)
        half[:, self.dims(group)] = rows
        return self.mirrored(half)


@dataclass
class Draft:
    """The tensors of a model while they are laid out; all begin as 0, and gains of norms as 1."""

    architecture: Architecture
    shape: Shape
    vocabulary: Vocabulary
    tensors: dict[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = {
            name: np.zeros(sizes, dtype=np.float32)
            for name, sizes in self.shape.tensors(self.architecture).items()
        }
        for name, tensor in self.tensors.items():
            if ("ln_" in name and name.endswith("weight")) or name.endswith("norm.weight"):
                tensor[:] = 1

    def model(self) -> Model:
        """The finished model."""
        return Model(self.architecture, self.shape, self.vocabulary, self.tensors)

    def head(
        self,
        layer: int,
        head: int,
        *,
        query: Array | None = None,
        key: Array | None = None,
        value: Array | None = None,
        write: Array | None = None,
    ) -> None:
        """Lay out one head of a GPT-2; each map may have fewer columns than the head has dimensions.

        Args:
            layer: the block.
            head: the head in it.
            query: [width, up to head_dim].
            key: [width, up to head_dim].
            value: [width, up to head_dim].
            write: [up to head_dim, width].
        """
        attention = f"h.{layer}.attn"
        first = head * self.shape.head_dim
        for part, columns in enumerate((query, key, value)):
            if columns is not None:
                start = part * self.shape.n_embd + first
                weight = self.tensors[f"{attention}.c_attn.weight"]
                weight[:, start : start + columns.shape[1]] = columns
        if write is not None:
            self.tensors[f"{attention}.c_proj.weight"][first : first + len(write)] = write

    def query_bias(self, layer: int, head: int, channel: int, number: float) -> None:
        """Set one channel of the query of a head, whatever the stream is."""
        place = head * self.shape.head_dim + channel
        self.tensors[f"h.{layer}.attn.c_attn.bias"][place] = number
