"""Bounds of every score that a tool computes, from the numbers themselves.

`ScoreError` bounds the error of any query; this follows one query and one key through every rounding,
so its bounds are tight: a cosine near 1 is exactly 1 in bfloat16, and a power of two loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from handcraft.dtype import FLOAT32, DType
from handcraft.rotary.rotation import Floats
from handcraft.rotary.rounding import LIBRARY

DOUBLE = 2.0**-50
"""What sums in float64 lose here, relative to the sum of absolute values."""


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value that each number can have."""

    low: Floats
    high: Floats

    def rounded(self, dtype: DType) -> Bounds:
        """After they are rounded: rounding keeps the order."""
        return Bounds(nearest(self.low, dtype), nearest(self.high, dtype))

    def perhaps_rounded(self, dtype: DType) -> Bounds:
        """Where some tools round and others do not."""
        after = self.rounded(dtype)
        return Bounds(np.minimum(self.low, after.low), np.maximum(self.high, after.high))

    def times(self, factor: Floats | float) -> Bounds:
        """Multiplied by exact numbers."""
        ends = self.low * factor, self.high * factor
        return Bounds(np.minimum(*ends), np.maximum(*ends))

    def plus(self, other: Bounds) -> Bounds:
        """The sum, with what float64 loses of it."""
        lost = DOUBLE * (np.abs(self.low) + np.abs(self.high) + np.abs(other.low) + np.abs(other.high))
        return Bounds(self.low + other.low - lost, self.high + other.high + lost)


@dataclass(frozen=True)
class Tool:
    """In which order a tool rounds; all use fused multiply-add where they like.

    Args:
        rounds_table: whether cosines and sines are rounded to the dtype, as in transformers.
        root_first: whether queries and keys are multiplied by the root of the scale before the product.
    """

    rounds_table: bool
    root_first: bool


TOOLS = tuple(Tool(rounds, first) for rounds in (True, False) for first in (False, True))


def nearest(numbers: Floats, dtype: DType) -> Floats:
    """The numbers of the dtype next to these; what would overflow is not rounded."""
    exponent = np.frexp(numbers)[1]  # 2^(exponent - 1) <= number < 2^exponent
    unit = np.exp2(np.maximum(exponent, 2 - dtype.exponent) - dtype.bits)
    rounded: Floats = np.rint(numbers / unit) * unit
    return rounded


def angles_at(positions: Floats, frequencies: Floats) -> Bounds:
    """Angles that are computed in float32, see step 1 of `ScoreError`, [position, pair]."""
    pair = np.arange(len(frequencies))
    exact = positions[:, None] * frequencies
    lost = np.abs(exact) * np.where(pair > 0, (pair + 5) * float(FLOAT32.unit) * (1 + 2**-10), 0.0)
    return Bounds(exact - lost, exact + lost)


def rotate(vectors: tuple[Floats, Floats], angles: Bounds, dtype: DType, tool: Tool) -> Bounds:
    """The components of rotated queries or keys.

    Args:
        vectors: first and second component of each pair, [..., 1 or position, pair] each.
        angles: [position, pair].
        dtype: of queries and keys.
        tool: how it rounds.

    Returns:
        [..., position, 2 * pair], all first components before all second ones.
    """
    middle = (angles.low + angles.high) / 2
    lost = (angles.high - angles.low) / 2 + LIBRARY * float(FLOAT32.unit)
    table = []
    for exact in (np.cos(middle), np.sin(middle)):
        entry = Bounds(np.maximum(exact - lost, -1.0), np.minimum(exact + lost, 1.0))
        table.append(entry.rounded(dtype if tool.rounds_table else FLOAT32))
    cosine, sine = table
    first, second = vectors
    root = (2 * middle.shape[-1]) ** -0.25
    rows = []
    for with_cosine, with_sine in ((first, -second), (second, first)):
        products = [
            entry.times(factor).perhaps_rounded(dtype)
            for entry, factor in ((cosine, with_cosine), (sine, with_sine))
        ]
        both = (with_cosine != 0) & (with_sine != 0)
        total = products[0].plus(products[1])
        one = Bounds(products[0].low + products[1].low, products[0].high + products[1].high)
        row = Bounds(np.where(both, total.low, one.low), np.where(both, total.high, one.high))
        row = row.rounded(dtype)
        rows.append(_with_root(row, root, dtype) if tool.root_first else row)
    return Bounds(
        np.concatenate([row.low for row in rows], axis=-1),
        np.concatenate([row.high for row in rows], axis=-1),
    )


def _with_root(numbers: Bounds, root: float, dtype: DType) -> Bounds:
    """Multiplied by the root of the scale, a number of float32, and rounded; then without the root."""
    scaled = numbers.times(root)
    lost = 2 * float(FLOAT32.unit)
    wider = Bounds(scaled.low - lost * np.abs(scaled.low), scaled.high + lost * np.abs(scaled.high))
    return wider.rounded(dtype).times(1 / root)


def scores_of(queries: Bounds, keys: Bounds, dtype: DType) -> Bounds:
    """Scores in nats, whether a tool rounds the product, the scaled product, both or none.

    Args:
        queries: [destination, 2 * pair].
        keys: [source, 2 * pair].
        dtype: of the scores; sums are in float32 at least, in any order.

    Returns:
        [destination, source]
    """
    head_dim = queries.low.shape[-1]
    terms = head_dim * float(FLOAT32.unit) * (1 + 2**-10) + DOUBLE
    query, query_radius = (queries.low + queries.high) / 2, (queries.high - queries.low) / 2
    key, key_radius = (keys.low + keys.high) / 2, (keys.high - keys.low) / 2
    middle = query @ key.T  # [destination, source]
    largest = np.abs(query) + query_radius
    radius = largest @ key_radius.T + query_radius @ np.abs(key).T
    radius += terms * (largest @ (np.abs(key) + key_radius).T)
    scale = 1 / sqrt(head_dim)
    product = Bounds(middle - radius, middle + radius).perhaps_rounded(dtype).times(scale)
    lost = 4 * float(FLOAT32.unit) * np.maximum(np.abs(product.low), np.abs(product.high))
    return Bounds(product.low - lost, product.high + lost).perhaps_rounded(dtype)
