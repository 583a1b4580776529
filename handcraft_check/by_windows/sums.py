"""Streams that are sums of alternatives: one summand for each token that is read.

What heads copy from other positions adds up. If each summand is one of finitely many vectors, then the
least and the largest value of a weighted sum of dimensions is a sum too, of the least and the largest
of each summand: exact where a box around the vectors would contain mixtures of tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import LARGEST, TINY, UNIT, Bounded, mean_error
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Readers, ReadersOfEach, Stream
from handcraft_check.by_windows.parts import Make, Part, Range
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Ids, Matrix


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

    def range(self, weight: Array) -> Range:
        """Weighted sums of the dimensions, without the error: [dimension, out] -> [row, out] each."""
        return self.range_of(lambda: weight)

    def range_of(self, weight: Make, key: Hashable = None, columns: Ids | None = None) -> Range:
        """The same of weights that need not be made again.

        Args:
            weight: makes them: [dimension, out].
            key: who has the same key has the same weights; None to keep nothing.
            columns: some of the sums; all without it.
        """
        low = self._known_sum(weight, columns)
        high = low.copy()
        for part in self.parts:
            ends = part.ends(weight, key, columns)
            if not ends.is_nothing:
                low += ends.least
                high += ends.most
        return low, high

    def most(self, weight: Make, key: Hashable) -> Array:
        """The largest of these: [row, out]."""
        found = self._known_sum(weight, None)
        for part in self.parts:
            ends = part.ends(weight, key)
            if not ends.is_nothing:
                found += ends.most
        return found

    def range_of_each(self, weight: Array) -> Range:
        """One weighted sum of each row, without the error: [row, dimension] -> [row] each."""
        low = (self.known * weight).sum(axis=1)
        high = low.copy()
        for part in self.parts:
            least, most = part.ends_of_each(weight)
            low += least
            high += most
        return low, high

    def _known_sum(self, weight: Make, columns: Ids | None) -> Array:
        """What is the same for all alternatives: [row, out]."""
        read = np.flatnonzero(self.known.any(axis=0))  # NaN is any
        made = weight()
        made = made if columns is None else made[:, columns]
        return np.asarray(self.known[:, read] @ made[read])

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

    @property
    def middle(self) -> Array:
        """The middle of all boxes together: [row, dimension]."""
        return np.asarray(self.known + sum((part.box[0] + part.box[1]) / 2 for part in self.parts))

    def squares(self) -> Range:
        """The sum of the squares of the dimensions, without the error: [row] each.

        The sum is what is in the middle of all boxes, and for each part how far its alternative is from
        there. The square of the middle and one of these is least and largest for one alternative. The
        product of two of these is taken as that of boxes, for dimensions in which both differ.
        """
        fixed = self.middle
        halves = [(part.box[1] - part.box[0]) / 2 for part in self.parts]
        low = np.square(fixed).sum(axis=1)
        high = low.copy()
        for i, part in enumerate(self.parts):
            least, most = part.squares(fixed)
            low += least
            high += most
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
        width: how many dimensions there are, with those that stand for several.
        variance: the least and the largest among the alternatives, with epsilon: [row] each.
        rounding: how far the scale may be from that of the variance, relatively: [row].
    """

    sums: Sums = field(kw_only=True)
    half: Array = field(kw_only=True)
    width: float = field(kw_only=True)
    variance: Range | None = field(kw_only=True, default=None)
    rounding: Array | None = field(kw_only=True, default=None)

    @cached_property
    def magnitude(self) -> Array:
        """The largest absolute value that each number can have: [row, dimension]."""
        return super().magnitude + (1 + self.scale[:, None]) * self.half

    def rows(self, which: Ids) -> NormedSums:
        """Some of the rows."""
        found = super().rows(which)
        given = {each.name: getattr(found, each.name) for each in fields(Normed)}
        return NormedSums(
            **given,
            sums=self.sums.rows(which),
            half=self.half[which],
            width=self.width,
            variance=None
            if self.variance is None
            else (self.variance[0][which], self.variance[1][which]),
            rounding=None if self.rounding is None else self.rounding[which],
        )

    def behind(self, weight: Array, *, is_centred: bool = True) -> Array:
        """What a weighted sum of normalized numbers makes of the stream, at a deviation of 1."""
        scaled = self.gain[:, None] * weight
        is_centred = is_centred and self.is_centred
        return np.asarray(scaled - scaled.sum(axis=0) / self.width if is_centred else scaled)

    def _half(self, weight: Array) -> Array:
        return self.half @ np.abs(weight)

    def read(
        self, matrix: Matrix, columns: Ids | None = None, *, keeps: bool = True
    ) -> tuple[Bounded, Array]:
        """The product with a matrix, and the part of its error that cancels with nothing.

        The mean is a weighted sum like any other, so that the product is one of what was normalized.
        Let v be that sum of an alternative, at the deviation that `factor` stands for: it becomes
        v + t v with |t| <= s, the error of the scale. v - s |v| is concave, so that it is least at the
        least or at the largest v, and v + s |v| is largest at one of both.

        Args:
            matrix: the weights.
            columns: some of its columns; all without it.
            keeps: whether its products with tables are kept, for it is read again.
        """
        key = matrix if keeps else None
        ends = self.sums.range_of(lambda: self.behind(matrix.weight), key, columns)
        matrix = matrix if columns is None else matrix.of_columns(columns)
        weight = self.behind(matrix.weight)
        readers = Readers.of(weight, self.stream.along)
        found, wide = self._read(ends, self._rounding(matrix.weight), readers)
        own = matrix.product_error(self.magnitude)
        own += PRODUCT_SLACK * self.factor[:, None] * readers.of_boxes(self.sums.size)
        center = found.center + self.bias @ matrix.weight + matrix.bias
        return Bounded(center, found.error + own), own + wide

    def off(self, weight: Array) -> Array:
        """How far weighted sums may be off by all but the scale, and by the rounding of the sums.

        Args:
            weight: [dimension, out].

        Returns:
            [row, out].
        """
        readers, factor = Readers.of(self.behind(weight), self.stream.along), self.factor[:, None]
        found = self._rounding(weight) + PRODUCT_SLACK * factor * readers.of_boxes(self.sums.size)
        return found + factor * (1 + self.scale[:, None]) * self.stream.spread(readers)

    def read_of_each(self, weight: Array) -> Bounded:
        """One weighted sum of each row, as `read` has them, without the rounding of the sum: [row].

        Args:
            weight: [row, dimension].
        """
        behind = self.gain * weight
        if self.is_centred:
            behind -= behind.sum(axis=1)[:, None] / self.width
        rounding = (self.rest * np.abs(weight)).sum(axis=1) + self.drift * np.abs(weight @ self.gain)
        readers = ReadersOfEach.of(behind, self.stream.along)
        low, high = self.sums.range_of_each(behind)
        found, _ = self._read((low[:, None], high[:, None]), rounding[:, None], readers)
        slack = PRODUCT_SLACK * self.factor[:, None] * readers.of_boxes(self.sums.size)
        return Bounded(found.center[:, 0] + weight @ self.bias, (found.error + slack)[:, 0])

    def _read(
        self, ends: Range, rounding: Array, readers: Readers | ReadersOfEach
    ) -> tuple[Bounded, Array]:
        """What becomes of weighted sums behind the scale, and how far these are apart on their own.

        Args:
            ends: the least and the largest of each, at a deviation of 1: [row, out] each.
            rounding: what rounding in LayerNorm moves them by, but for that of the scale: [row, out].
            readers: what they make of errors of the stream.
        """
        factor, scale = self.factor[:, None], self.scale[:, None]
        low, high = factor * ends[0], factor * ends[1]
        middle, half = (low + high) / 2, (high - low) / 2
        least = np.minimum(low - scale * np.abs(low), high - scale * np.abs(high))
        most = np.maximum(low + scale * np.abs(low), high + scale * np.abs(high))
        center, error = (least + most) / 2, (most - least) / 2 + rounding
        error += factor * (1 + scale) * self.stream.spread(readers)
        wide = half * (1 + scale) + np.abs(center - middle)
        if self.leading is not None:
            about = self.least(np.full_like(error, np.inf), middle, half, rounding, readers)
            is_nearer = about + half * (1 + scale) < error  # NaN stays
            center = np.where(is_nearer, middle, center)
            error = np.where(is_nearer, about + half * (1 + scale), error)
        return Bounded(center, error), wide

    def not_below(self, matrix: Matrix, bound: float) -> tuple[Ids, Ids]:
        """The rows and columns of which a product with a matrix is not shown to be at most a bound.

        For what `read` adds to the largest sum, the largest of all rows is taken. None of its terms is
        less for larger numbers and larger errors, and what a sum of alternatives can be is at most the
        sum of the sizes of its terms.

        Args:
            matrix: as for `read`.
            bound: a product of that size or less counts as below.

        Returns:
            In the order of rows: [pair] each.
        """
        weight = self.behind(matrix.weight)
        size, factor, scale = np.abs(weight), self.factor.max(), self.scale.max()
        reach = factor * (self.sums.size.max(axis=0) @ size)
        error = matrix.product_error(self.magnitude.max(axis=0)[None])[0]
        error += (2 * scale + PRODUCT_SLACK) * reach + self.rest.max(axis=0) @ np.abs(matrix.weight)
        error += self.drift.max() * np.abs(self.gain @ matrix.weight)
        error += factor * (1 + scale) * (self.stream.error.max(axis=0) @ size)
        found = self.sums.most(lambda: weight, matrix)
        found *= self.factor[:, None]
        found += self.bias @ matrix.weight + matrix.bias + error
        rows, columns = np.nonzero(~(found <= bound))
        return rows, columns


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
        width=width,
    )


def layer_norm_of_sums(
    x: Sums, gain: Array, bias: Array, epsilon: float, times: Array | None = None
) -> NormedSums:
    """LayerNorm in float32 of sums of alternatives.

    The same lemmas as in `handcraft_check.layers.layer_norm.layer_norm`, for the largest and the least
    of all alternatives. The positive numbers of a row add up to half of what the sum of all and that of
    their absolute values are together, and the negative ones to half of the difference. A row of which
    too little is known becomes NaN, and so does one that may be infinite.

    Args:
        x: sums.
        gain: [dimension].
        bias: [dimension].
        epsilon: is added to the variance.
        times: for how many dimensions each stands; a dimension that stands for several is exactly 0,
            and its gain and bias are the largest of them: [dimension].
    """
    times = np.ones(len(gain)) if times is None else times
    stream, width = x.stream, int(times.sum())
    low, high = x.box
    means = x.range(np.full((len(gain), 1), 1 / width))
    mean_low, mean_high = means[0][:, 0], means[1][:, 0]
    farthest = np.maximum(np.abs(mean_low), np.abs(mean_high))
    nearest = np.where(mean_low * mean_high > 0, np.minimum(np.abs(mean_low), np.abs(mean_high)), 0.0)
    squares = x.squares()
    slack = PRODUCT_SLACK * np.square(x.size).sum(axis=1) / width
    most = squares[1] / width - np.square(nearest) + slack
    least = squares[0] / width - np.square(farthest) - slack
    positive = np.maximum(high + x.error, 0).sum(axis=1)
    negative = np.maximum(x.error - low, 0).sum(axis=1)
    total, off = x.size.sum(axis=1), x.error.sum(axis=1)
    positive = np.minimum(positive, (total + width * mean_high + off) / 2)
    negative = np.minimum(negative, (total - width * mean_low + off) / 2)
    drift = mean_error(positive, negative, width) + 2 * UNIT * farthest
    shift = drift + np.minimum(
        x.error.sum(axis=1) / width, stream.spread_of_each(np.full_like(x.known, 1 / width))
    )
    middle = (low + high) / 2 - (mean_low + mean_high)[:, None] / 2
    half = (high - low) / 2 + (mean_high - mean_low)[:, None] / 2
    deviations = stream.spread_of_each(middle) + (stream.error * half).sum(axis=1)
    deviations += ((np.abs(middle) + half) @ times) * drift
    square = np.square(x.error + shift[:, None]) @ times / width
    relative = (2 * deviations / width + square) / (least + epsilon) + (width + 6) * UNIT
    is_near = (least > 0) & (relative < 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        rounding = 1 / np.sqrt(1 - np.where(is_near, relative, np.nan)) - 1 + 4 * UNIT
        largest, smallest = 1 / np.sqrt(least + epsilon), 1 / np.sqrt(most + epsilon)
    factor = (largest + smallest) / 2
    apart = (largest - smallest) / 2 / factor
    scale = (1 + apart) * (1 + rounding) - 1
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
        sums=x,
        half=half,
        width=width,
        variance=(least + epsilon, most + epsilon),
        rounding=rounding,
    )
