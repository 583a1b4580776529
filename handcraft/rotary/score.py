"""A query and the keys that it is multiplied with, and what scores they have."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import sqrt

import numpy as np

from handcraft.dtype import DType
from handcraft.rotary.rotation import Floats, Rotation
from handcraft.rotary.rounding import is_power_of_two, score_error
from handcraft.rotary.solve_query import Sources


@dataclass(frozen=True)
class Keys:
    """The keys of a head whose score depends on distance alone; many queries can share them.

    Args:
        text: component j of the key of every token; component j + head_dim/2 is 0, [pair].
        begin: what the key of the begin token has besides, [pair].
    """

    text: tuple[Fraction, ...]
    begin: tuple[Fraction, ...]

    @cached_property
    def of_begin(self) -> tuple[Fraction, ...]:
        """The key of the begin token, [pair]."""
        return tuple(text + more for text, more in zip(self.text, self.begin, strict=True))

    def sources(self, rotation: Rotation, dtype: DType) -> Sources:
        """Text at each distance, then the begin token at each distance."""
        exact = all(key == 0 or is_power_of_two(key) for key in (*self.text, *self.of_begin))
        error = score_error(rotation, dtype, by_power_of_two=exact)
        kinds = ((self.text, rotation.text_distances), (self.of_begin, rotation.begin_distances))
        waves, amplitudes = [], []
        for key, distances in kinds:
            factors = np.array([float(part) for part in key]) / sqrt(rotation.head_dim)
            waves.append(rotation.waves(distances) * np.tile(factors, 2))
            amplitudes.append(np.broadcast_to(np.abs(factors), (distances, rotation.pairs)))
        greatest = np.concatenate(amplitudes)
        return Sources(np.concatenate(waves), error.relative * greatest, greatest, error.last)


@dataclass(frozen=True)
class RotaryScore:
    """A query that every position has, and the keys.

    Args:
        queries: for pair j the components j and j + head_dim/2 of the query, before it is rotated; all
            are numbers of the dtype.
        keys: for pair j component j of the key of every token; component j + head_dim/2 is 0.
        begin: for pair j what the key of the begin token has besides.
        gap: nats by which the source that is wanted leads every other, at every position, in the dtype.
    """

    queries: tuple[tuple[Fraction, Fraction], ...]
    keys: tuple[Fraction, ...]
    begin: tuple[Fraction, ...]
    gap: float

    def scores(self, rotation: Rotation) -> tuple[Floats, Floats]:
        """The exact scores in nats of text, [distance], and of the begin token, [distance]."""
        query = np.array(self.queries, float).T / sqrt(rotation.head_dim)  # [component, pair]
        text = np.array(self.keys, float)
        begin = text + np.array(self.begin, float)
        waves = rotation.waves(rotation.begin_distances)
        return (
            waves[: rotation.text_distances] @ (query * text).ravel(),
            waves @ (query * begin).ravel(),
        )
