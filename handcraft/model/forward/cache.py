"""The keys and values of the positions that were already run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handcraft.display import short_repr
from handcraft.model.layers.attention import Array, Flags


@short_repr
@dataclass
class Cache:
    """Keys and values of every block: [block, batch, head, position, head_dim].

    Heads are those that have keys and values of their own; rotated keys are stored rotated.

    Args:
        keys: space for the keys of every position.
        values: space for the values of every position.
        length: how many positions of the text are filled.
        lead: how many positions before the text are filled, as with a begin token; they stay.
    """

    keys: Array
    values: Array
    length: int = 0
    lead: int = 0

    @classmethod
    def empty(
        cls, *, layers: int, batch: int, heads: int, positions: int, head_dim: int, dtype: object
    ) -> Cache:
        """A cache with space for `positions`, of which none is filled."""
        shape = (layers, batch, heads, positions, head_dim)
        return cls(np.zeros(shape, dtype=dtype), np.zeros(shape, dtype=dtype))  # type: ignore[call-overload]

    @property
    def filled(self) -> int:
        """How many positions are filled, before the text and in it."""
        return self.lead + self.length

    @property
    def room(self) -> int:
        """How many positions of a text fit, the filled ones among them."""
        positions: int = self.keys.shape[3]
        return positions - self.lead

    def put(self, layer: int, keys: Array, values: Array) -> tuple[Array, Array]:
        """Add the keys and values of new positions to a block; all of them so far are returned.

        `length` does not move: `advance` moves it once every block has put its part.
        """
        start = self.filled
        end = start + keys.shape[2]
        self.keys[layer, :, :, start:end] = keys
        self.values[layer, :, :, start:end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, positions: int) -> None:
        """Count `positions` more as filled."""
        self.length += positions

    def truncate(self, positions: int) -> None:
        """Forget all but the first `positions`, so that other tokens can follow them."""
        self.length = min(self.length, positions)

    def repeat(self, times: int, *, extra: int = 0) -> Cache:
        """A copy with every row of the batch `times` times in succession.

        It has space for `extra` positions beyond those that are filled.
        """
        return Cache(
            _with_space(self.keys[:, :, :, : self.filled], times, extra),
            _with_space(self.values[:, :, :, : self.filled], times, extra),
            self.length,
            self.lead,
        )

    def rows(self, chosen: slice | Flags) -> Cache:
        """Some rows of the batch; those of a slice share the memory of this cache."""
        return Cache(self.keys[:, chosen], self.values[:, chosen], self.length, self.lead)


def _with_space(filled: Array, times: int, extra: int) -> Array:
    layers, batch, heads, length, head_dim = filled.shape
    wide = np.empty((layers, batch * times, heads, length + extra, head_dim), dtype=filled.dtype)
    wide[:, :, :, :length] = filled.repeat(times, axis=1)
    return wide
