"""Streams that are sums of alternatives: one summand for each token that is read.

What heads copy from other positions adds up. If each summand is one of finitely many vectors, then the
least and the largest value of a weighted sum of dimensions is a sum too, of the least and the largest of
each summand: exact where a box around the vectors would contain mixtures of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft_check.layers import PRODUCT_SLACK, Ids, Matrix, Normed
from handcraft_check.rounding import TINY, UNIT, Array, Bounded, product_error, sum_error

Range = tuple[Array, Array]
"""The least and the largest values."""


@dataclass(frozen=True, eq=False)
class Part:
    """A summand of which each row allows some alternatives.

    Args:
        table: the vectors: [alternative, dimension].
        sets: several alternatives each.
        chosen: what each row allows: the number of an alternative or, behind those, of a set: [row].
    """

    table: Array
    sets: Sequence[Ids]
    chosen: Ids

    def rows(self, which: Ids) -> Part:
        """Some of the rows."""
        return Part(self.table, self.sets, self.chosen[which])

    def range(self, values: Array) -> Range:
        """The least and the largest value in each row: [alternative, ...] -> [row, ...] each."""
        count = len(self.table)
        low = values[np.minimum(self.chosen, count - 1)]
        high = low.copy()
        several = np.flatnonzero(self.chosen >= count)
        used, places = np.unique(self.chosen[several] - count, return_inverse=True)
        if len(used):
            parts = [values[self.sets[number]] for number in used.tolist()]
            low[several] = np.array([part.min(axis=0) for part in parts])[places]
            high[several] = np.array([part.max(axis=0) for part in parts])[places]
        return low, high

    @cached_property
    def box(self) -> Range:
        """The least and the largest number of each dimension: [row, dimension] each."""
        return self.range(self.table)


@dataclass(frozen=True, eq=False)
class Sums:
    """Rows, each a sum of one alternative of each part, a known vector and an error.

    Args:
        parts: the summands of which several alternatives are possible.
        known: the rest: [row, dimension].
        error: how far the computed stream may be from the sum: [row, dimension].
    """

    parts: Sequence[Part]
    known: Array
    error: Array

    def rows(self, which: Ids) -> Sums:
        """Some of the rows."""
        return Sums([part.rows(which) for part in self.parts], self.known[which], self.error[which])

    def range(self, weight: Array) -> Range:
        """Weighted sums of the dimensions, without the error: [dimension, out] -> [row, out] each."""
        low = self.known @ weight
        high = low.copy()
        for part in self.parts:
            least, most = part.range(part.table @ weight)
            low += least
            high += most
        return low, high

    @cached_property
    def box(self) -> Range:
        """The least and the largest number of each dimension: [row, dimension] each."""
        low, high = self.known.copy(), self.known.copy()
        for part in self.parts:
            least, most = part.box
            low += least
            high += most
        return low, high

    @cached_property
    def size(self) -> Array:
        """The largest absolute value of each dimension, the error included: [row, dimension]."""
        return np.maximum(np.abs(self.box[0]), np.abs(self.box[1])) + self.error

    def squares(self) -> Range:
        """The sum of the squares of the dimensions, without the error: [row] each.

        The square of a sum is the sum of the squares of its parts, each of one alternative, and of twice
        their products, which count only where two parts share a dimension.
        """
        boxes = [part.box for part in self.parts] + [(self.known, self.known)]
        used = [part.table.any(axis=0) for part in self.parts] + [self.known.any(axis=0)]
        low = np.square(self.known).sum(axis=1)
        high = low.copy()
        for part in self.parts:
            least, most = part.range(np.square(part.table).sum(axis=1))
            low += least
            high += most
        for i, (one, is_one) in enumerate(zip(boxes, used, strict=True)):
            for other, is_other in zip(boxes[:i], used[:i], strict=True):
                both = is_one & is_other
                if both.any():
                    corners = [a[:, both] * b[:, both] for a in one for b in other]
                    low += 2 * np.minimum.reduce(corners).sum(axis=1)
                    high += 2 * np.maximum.reduce(corners).sum(axis=1)
        return low, high


@dataclass(frozen=True, eq=False)
class NormedSums(Normed):
    """The output of LayerNorm for sums of alternatives.

    `linear` is that of the middle of the box, and `scale` includes how far the standard deviation differs
    among the alternatives.

    Args:
        sums: what was normalized.
        half: how far `linear` is from it among the alternatives: [row, dimension].
    """

    sums: Sums
    half: Array

    @cached_property
    def magnitude(self) -> Array:
        """The largest absolute value that each number can have: [row, dimension]."""
        common = self.shift[:, None] * np.abs(self.gain)
        most = (np.abs(self.linear) + self.half) * (1 + self.scale[:, None])
        return most + np.abs(self.bias) + self.error + common

    def rows(self, which: Ids) -> NormedSums:
        """Some of the rows."""
        return NormedSums(
            self.linear[which],
            self.bias,
            self.error[which],
            self.gain,
            self.shift[which],
            self.scale[which],
            self.own[which],
            self.factor[which],
            self.sums.rows(which),
            self.half[which],
        )

    def spread(self, weight: Array) -> Array:
        """How far a weighted sum can be off besides its alternatives: [row, out]."""
        return super().spread(weight) + self.scale[:, None] * (self.half @ np.abs(weight))

    def passed(self, weight: Array) -> Array:
        """How far x plus a weighted sum can be off besides its alternatives: [row, dimension]."""
        return super().passed(weight) + self.scale[:, None] * (self.half @ np.abs(weight))

    def read(self, matrix: Matrix) -> tuple[Bounded, Array]:
        """The product with a matrix, and the part of its error that cancels with nothing.

        The mean is a weighted sum like any other, so that the product is one of what was normalized.
        """
        weight = self.gain[:, None] * matrix.weight
        weight = weight - weight.mean(axis=0)
        low, high = self.sums.range(weight)
        factor, scale = self.factor[:, None], self.scale[:, None]
        middle, half = factor * (low + high) / 2, factor * (high - low) / 2
        center = middle + self.bias @ matrix.weight + matrix.bias
        largest = self.magnitude @ matrix.magnitude + np.abs(matrix.bias)
        own = product_error(largest, matrix.terms) + half * (1 + scale)
        own += PRODUCT_SLACK * factor * (self.sums.size @ np.abs(weight))
        error = own + self.error @ matrix.magnitude + scale * (np.abs(middle) + half)
        error += self.shift[:, None] * np.abs(self.gain @ matrix.weight)
        return Bounded(center, error), own


def layer_norm_of_sums(x: Sums, gain: Array, bias: Array, epsilon: float) -> NormedSums:
    """LayerNorm in float32 of sums of alternatives.

    The same lemmas as in `handcraft_check.layers.layer_norm`, for the largest and the least of all
    alternatives. A row of which too little is known becomes NaN.
    """
    width = x.known.shape[1]
    low, high = x.box
    means = x.range(np.full((width, 1), 1 / width))
    mean_low, mean_high = means[0][:, 0], means[1][:, 0]
    farthest = np.maximum(np.abs(mean_low), np.abs(mean_high))
    least_mean = np.where(mean_low * mean_high > 0, np.minimum(np.abs(mean_low), np.abs(mean_high)), 0.0)
    squares = x.squares()
    slack = PRODUCT_SLACK * np.square(x.size).sum(axis=1) / width
    most = squares[1] / width - np.square(least_mean) + slack
    least = squares[0] / width - np.square(farthest) - slack
    centred = np.maximum(np.abs(low - mean_high[:, None]), np.abs(high - mean_low[:, None]))
    terms = (x.size != 0).sum(axis=1).astype(np.float64)
    positive = np.maximum(high + x.error, 0).sum(axis=1)
    negative = np.maximum(x.error - low, 0).sum(axis=1)
    drift = sum_error(positive, negative, terms) / width + 2 * UNIT * farthest
    shift = x.error.mean(axis=1) + drift
    near = x.error + drift[:, None]
    change = (2 * centred * near + np.square(x.error + shift[:, None])).mean(axis=1)
    relative = change / (least + epsilon) + (width + 6) * UNIT
    is_near = (least > 0) & (relative < 0.5)
    with np.errstate(invalid="ignore"):
        rounding = 1 / np.sqrt(1 - np.where(is_near, relative, np.nan)) - 1 + 4 * UNIT
        largest, smallest = 1 / np.sqrt(least + epsilon), 1 / np.sqrt(most + epsilon)
    factor = (largest + smallest) / 2
    apart = (largest - smallest) / 2 / factor
    scale = (1 + apart) * (1 + rounding) - 1
    linear = ((low + high) / 2 - (mean_low + mean_high)[:, None] / 2) * factor[:, None] * gain
    half = ((high - low) / 2 + (mean_high - mean_low)[:, None] / 2) * factor[:, None] * np.abs(gain)
    size = x.size + farthest[:, None] + shift[:, None]
    upper = (factor * (1 + scale))[:, None]
    error = (x.error + 5 * UNIT * size) * np.abs(gain) * upper
    error += 2 * UNIT * (np.abs(linear) + half + np.abs(bias)) + 2 * TINY
    return NormedSums(linear, bias, error, gain, shift * upper[:, 0], scale, x.error, factor, x, half)
