"""Streams that are sums of alternatives: one summand for each token that is read.

What heads copy from other positions adds up. If each summand is one of finitely many vectors, then the
least and the largest value of a weighted sum of dimensions is a sum too, of the least and the largest
of each summand: exact where a box around the vectors would contain mixtures of tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.leading import Leading
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import LARGEST, TINY, UNIT, Bounded, mean_error
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Stream
from handcraft_check.layers.half import NO_BIT, lowest_bit
from handcraft_check.layers.layer_norm import Ids, Matrix, Normed

KEPT_UP_TO = 1 << 25
"""Products of a table and a matrix with more numbers are made again where they are read again."""

Range = tuple[Array, Array]
"""The least and the largest values."""


@dataclass(frozen=True, eq=False)
class Part:
    """A summand of which each row allows some alternatives.

    Args:
        table: the vectors: [alternative, dimension].
        sets: several alternatives each.
        chosen: what each row allows: the number of an alternative or, behind those, of a set: [row].
        read: what matrices make of the vectors, kept for parts that have the same table.
    """

    table: Array
    sets: Sequence[Ids]
    chosen: Ids
    read: dict[Hashable, Array] = field(default_factory=dict)

    def rows(self, which: Ids) -> Part:
        """Some of the rows."""
        return Part(self.table, self.sets, self.chosen[which], self.read)

    def product(self, weight: Array, key: Hashable) -> Array:
        """Weighted sums of each vector: [alternative, out].

        Args:
            weight: [dimension, out].
            key: who has the same key has the same weights; None to keep nothing.
        """
        if key is None or len(self.table) * weight.shape[1] > KEPT_UP_TO:
            return self.table @ weight
        if key not in self.read:
            self.read[key] = self.table @ weight
        return self.read[key]

    @cached_property
    def lowest_bits(self) -> Ids:
        """The exponents of powers of two of which all numbers are multiples: [dimension]."""
        if "lowest bits" not in self.read:
            found = lowest_bit(self.table).min(axis=0, initial=NO_BIT)
            self.read["lowest bits"] = found.astype(np.float64)
        return self.read["lowest bits"].astype(np.int64)

    @cached_property
    def several(self) -> Sequence[tuple[Ids, Ids]]:
        """The sets of which a row allows any: their alternatives, and those rows."""
        rows = np.flatnonzero(self.chosen >= len(self.table))
        if not len(rows):
            return []
        rows = rows[np.argsort(self.chosen[rows], kind="stable")]
        parts = np.split(rows, np.flatnonzero(np.diff(self.chosen[rows])) + 1)
        return [(self.sets[self.chosen[part[0]] - len(self.table)], part) for part in parts]

    def single(self, values: Array) -> Array:
        """The value of the only alternative, 0 where a row allows several: [row, ...]."""
        found = values[np.minimum(self.chosen, len(self.table) - 1)]
        found[self.chosen >= len(self.table)] = 0.0
        return np.asarray(found)

    def range(self, values: Array) -> Range:
        """The least and the largest value in each row: [alternative, ...] -> [row, ...] each."""
        low = self.single(values)
        high = low.copy()
        for alternatives, rows in self.several:
            some = values[alternatives]
            low[rows], high[rows] = some.min(axis=0), some.max(axis=0)
        return low, high

    @cached_property
    def box(self) -> Range:
        """The least and the largest number of each dimension: [row, dimension] each."""
        return self.range(self.table)


@dataclass(frozen=True, eq=False)
class Sums:
    """Rows, each a sum of one alternative of each part and a vector that is known up to an error.

    Args:
        parts: the summands of which several alternatives are possible.
        stream: the rest, with the error of the whole.
    """

    parts: Sequence[Part]
    stream: Stream

    @property
    def known(self) -> Array:
        """What is the same for all alternatives: [row, dimension]."""
        return self.stream.center

    @property
    def error(self) -> Array:
        """How far the computed stream may be from the sum: [row, dimension]."""
        return self.stream.error

    def rows(self, which: Ids) -> Sums:
        """Some of the rows."""
        return Sums([part.rows(which) for part in self.parts], self.stream[which])

    def range(self, weight: Array, key: Hashable = None) -> Range:
        """Weighted sums of the dimensions, without the error: [dimension, out] -> [row, out] each.

        Args:
            weight: [dimension, out].
            key: who has the same key has the same weights; None to keep nothing.
        """
        low = self.known @ weight
        high = low.copy()
        for part in self.parts:
            least, most = part.range(part.product(weight, key))
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

        The sum is what is in the middle of all boxes, and for each part how far its alternative is from
        there. The square of the middle and one of these is least and largest for one alternative. The
        product of two of these is taken as that of boxes, for dimensions in which both differ.
        """
        fixed = self.known + sum((part.box[0] + part.box[1]) / 2 for part in self.parts)
        halves = [(part.box[1] - part.box[0]) / 2 for part in self.parts]
        low = np.square(fixed).sum(axis=1)
        high = low.copy()
        for i, part in enumerate(self.parts):
            for alternatives, rows in part.several:
                some = part.table[alternatives]
                apart = some - (some.min(axis=0) + some.max(axis=0)) / 2
                squares = np.square(apart).sum(axis=1) + 2 * fixed[rows] @ apart.T
                low[rows] += squares.min(axis=1)
                high[rows] += squares.max(axis=1)
            for half in halves[:i]:
                product = 2 * (halves[i] * half).sum(axis=1)
                low -= product
                high += product
        return low, high


@dataclass(frozen=True, eq=False)
class NormedSums(Normed):
    """The output of LayerNorm for sums of alternatives.

    `linear` is that of the middle of the box, and `scale` includes how far the standard deviation
    differs among the alternatives.

    Args:
        sums: what was normalized.
        half: how far `linear` is from it among the alternatives: [row, dimension].
    """

    sums: Sums = field(kw_only=True)
    half: Array = field(kw_only=True)

    @cached_property
    def magnitude(self) -> Array:
        """The largest absolute value that each number can have: [row, dimension]."""
        return super().magnitude + (1 + self.scale[:, None]) * self.half

    def rows(self, which: Ids) -> NormedSums:
        """Some of the rows."""
        found = super().rows(which)
        given = {each.name: getattr(found, each.name) for each in fields(Normed)}
        return NormedSums(**given, sums=self.sums.rows(which), half=self.half[which])

    def _half(self, weight: Array) -> Array:
        return self.half @ np.abs(weight)

    def read(self, matrix: Matrix) -> tuple[Bounded, Array]:
        """The product with a matrix, and the part of its error that cancels with nothing.

        The mean is a weighted sum like any other, so that the product is one of what was normalized.
        """
        weight = self.behind(matrix.weight)
        low, high = self.sums.range(weight, matrix)
        factor, scale = self.factor[:, None], self.scale[:, None]
        middle, half = factor * (low + high) / 2, factor * (high - low) / 2
        center = middle + self.bias @ matrix.weight + matrix.bias
        own = matrix.product_error(self.magnitude) + half * (1 + scale)
        own += PRODUCT_SLACK * factor * (self.sums.size @ np.abs(weight))
        readers = matrix.readers(self)
        error = self._rounding(matrix.weight) + scale * (np.abs(middle) + half)
        error += factor * (1 + scale) * self.stream.spread(readers)
        error = self.least(error, middle, half, matrix.weight, readers)
        return Bounded(center, error + own), own


def sums_not_normed(x: Sums) -> NormedSums:
    """What is read of sums where there is no LayerNorm: the sums themselves."""
    low, high = x.box
    rows, width = x.known.shape
    none, ones = np.zeros(rows), np.ones(rows)
    is_finite = x.size.max(axis=1) < LARGEST
    return NormedSums(
        (low + high) / 2 + np.where(is_finite, 0.0, np.nan)[:, None],
        np.zeros(width),
        x.error,
        np.zeros_like(x.error),
        np.ones(width),
        none,
        none,
        none,
        np.where(is_finite, ones, np.nan),
        x.stream,
        is_centred=False,
        sums=x,
        half=(high - low) / 2,
    )


def layer_norm_of_sums(x: Sums, gain: Array, bias: Array, epsilon: float) -> NormedSums:
    """LayerNorm in float32 of sums of alternatives.

    The same lemmas as in `handcraft_check.layers.layer_norm.layer_norm`, for the largest and the least
    of all alternatives. A row of which too little is known becomes NaN, and so does one that may be
    infinite.
    """
    stream, width = x.stream, x.known.shape[1]
    low, high = x.box
    means = x.range(np.full((width, 1), 1 / width))
    mean_low, mean_high = means[0][:, 0], means[1][:, 0]
    farthest = np.maximum(np.abs(mean_low), np.abs(mean_high))
    nearest = np.where(mean_low * mean_high > 0, np.minimum(np.abs(mean_low), np.abs(mean_high)), 0.0)
    squares = x.squares()
    slack = PRODUCT_SLACK * np.square(x.size).sum(axis=1) / width
    most = squares[1] / width - np.square(nearest) + slack
    least = squares[0] / width - np.square(farthest) - slack
    positive = np.maximum(high + x.error, 0).sum(axis=1)
    negative = np.maximum(x.error - low, 0).sum(axis=1)
    drift = mean_error(positive, negative, width) + 2 * UNIT * farthest
    shift = drift + np.minimum(
        x.error.mean(axis=1), stream.spread_of_each(np.full_like(x.known, 1 / width))
    )
    middle = (low + high) / 2 - (mean_low + mean_high)[:, None] / 2
    half = (high - low) / 2 + (mean_high - mean_low)[:, None] / 2
    deviations = stream.spread_of_each(middle) + (stream.error * half).sum(axis=1)
    deviations += (np.abs(middle) + half).sum(axis=1) * drift
    square = np.square(x.error + shift[:, None]).mean(axis=1)
    relative = (2 * deviations / width + square) / (least + epsilon) + (width + 6) * UNIT
    is_near = (least > 0) & (relative < 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        rounding = 1 / np.sqrt(1 - np.where(is_near, relative, np.nan)) - 1 + 4 * UNIT
        largest, smallest = 1 / np.sqrt(least + epsilon), 1 / np.sqrt(most + epsilon)
    factor = (largest + smallest) / 2
    apart = (largest - smallest) / 2 / factor
    scale = (1 + apart) * (1 + rounding) - 1
    alone = ((np.abs(middle) + half) * (stream.box + drift[:, None])).mean(axis=1)
    alone = (2 * alone + square) / (least + epsilon) + (width + 6) * UNIT
    variance = (most + least) / 2 + epsilon
    leading = Leading.of(stream, middle, half, variance, (most - least) / 2 / variance, alone)
    if leading is not None:  # 1 / sqrt of the variance is `factor`, up to `apart`
        leading = replace(leading, scale=leading.scale * (1 + apart) + apart * (1 + scale))
    linear = middle * factor[:, None] * gain
    half = half * factor[:, None] * np.abs(gain)
    size = x.size + farthest[:, None] + shift[:, None]
    upper = factor * (1 + scale)
    rest = 5 * UNIT * size * np.abs(gain) * upper[:, None]
    rest += 2 * UNIT * (np.abs(linear) + half + np.abs(bias)) + 2 * TINY
    error = rest + x.error * np.abs(gain) * upper[:, None]
    reach = (np.abs(linear) + half) * (1 + scale[:, None]) + error + np.abs(bias)
    reach += (shift * upper)[:, None] * np.abs(gain)
    is_finite = (width * np.square(size).max(axis=1) < LARGEST) & (reach.max(axis=1) < LARGEST)
    linear = linear + np.where(is_finite, 0.0, np.nan)[:, None]
    factor = np.where(is_finite, factor, np.nan)
    return NormedSums(
        linear,
        bias,
        error,
        rest,
        gain,
        shift * upper,
        drift * upper,
        scale,
        factor,
        stream,
        leading,
        sums=x,
        half=half,
    )
