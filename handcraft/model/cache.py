"""The keys and values of the positions that were already run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handcraft.model.attention import Array


@dataclass
class Cache:
    """Keys and values of every block: [block, batch, head, position, head_dim].

    Args:
        keys: room for the keys of every position.
        values: room for the values of every position.
        length: how many positions are filled.
    """

    keys: Array
    values: Array
    length: int = 0

    @classmethod
    def empty(
        cls, *, layers: int, batch: int, heads: int, positions: int, head_dim: int, dtype: object
    ) -> Cache:
        """A cache with room for `positions` and none of them filled."""
        shape = (layers, batch, heads, positions, head_dim)
        return cls(np.zeros(shape, dtype=dtype), np.zeros(shape, dtype=dtype))  # type: ignore[call-overload]

    def put(self, layer: int, keys: Array, values: Array) -> tuple[Array, Array]:
        """Add the keys and values of new positions to a block; all of them so far are returned.

        `length` does not move: `advance` moves it once every block has put its part.
        """
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, positions: int) -> None:
        """Count `positions` more as filled."""
        self.length += positions

    def repeat(self, times: int) -> Cache:
        """A cache in which every row of the batch stands `times` times, one after the other."""
        return Cache(self.keys.repeat(times, axis=1), self.values.repeat(times, axis=1), self.length)

    def rows(self, start: int, stop: int) -> Cache:
        """A cache of some rows of the batch."""
        return Cache(self.keys[:, start:stop], self.values[:, start:stop], self.length)
