"""LayerNorm, and matrix products behind it, on numbers that are known up to an error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.kinds import key as hashed
from handcraft_check.arithmetic.kinds import sqrt
from handcraft_check.arithmetic.leading import Leading
from handcraft_check.arithmetic.regime import Array, Regime
from handcraft_check.arithmetic.rounding import (
    LARGEST,
    TINY,
    UNIT,
    Bounded,
    mean_error,
    rounded,
    rounding_of,
)
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Readers, ReadersOfEach, Stream
from handcraft_check.layers.matrix import Ids, Matrix


@dataclass(frozen=True, eq=False)
class Normed:
    """The output of LayerNorm: (1 + t) (linear + s gain + r) + e gain factor + bias.

    t and s are one error of the scale and one of the mean, common to all dimensions: who reads a
    difference of two dimensions is not affected by the mean, and who reads 0 not by the scale. r is
    what rounding adds. e is the error of the stream about its own mean, whatever its dimensions have
    in common.

    Args:
        linear: without the bias: [row, dimension].
        bias: [dimension].
        error: of each dimension on its own, but for t and s: [row, dimension].
        rest: bounds r: [row, dimension].
        gain: [dimension].
        shift: bounds s and what the stream adds to the mean, divided by the standard deviation: [row].
        drift: bounds s: [row].
        scale: bounds t, the relative error of the standard deviation: [row].
        factor: 1 / the standard deviation, and 0 where too little is known of it: [row].
        stream: what was normalized.
        leading: the directions along which it may err most; None where nothing is known of them.
        is_centred: whether the mean of the stream was subtracted from it.
    """

    linear: Array
    bias: Array
    error: Array
    rest: Array
    gain: Array
    shift: Array
    drift: Array
    scale: Array
    factor: Array
    stream: Stream
    leading: Leading | None = None
    is_centred: bool = True

    @cached_property
    def center(self) -> Array:
        """[row, dimension]."""
        return self.linear + self.bias

    @cached_property
    def magnitude(self) -> Array:
        """The largest absolute value that each number can have: [row, dimension]."""
        common = self.shift[:, None] * np.abs(self.gain)
        return np.abs(self.center) + self.error + self.scale[:, None] * np.abs(self.linear) + common

    def rows(self, which: Ids) -> Normed:
        """Some of the rows."""
        return Normed(
            self.linear[which],
            self.bias,
            self.error[which],
            self.rest[which],
            self.gain,
            self.shift[which],
            self.drift[which],
            self.scale[which],
            self.factor[which],
            self.stream[which],
            None if self.leading is None else self.leading.rows(which),
            self.is_centred,
        )

    def behind(self, weight: Array, *, is_centred: bool = True) -> Array:
        """What a weighted sum of normalized numbers makes of the stream, at a deviation of 1.

        Args:
            weight: [dimension, out].
            is_centred: whether the mean of the stream is subtracted from it, where it is at all.
        """
        scaled = self.gain[:, None] * weight
        return np.asarray(scaled - scaled.mean(axis=0)) if is_centred and self.is_centred else scaled

    def readers(self, matrix: Matrix, *, is_centred: bool = True) -> Readers:
        """What the columns of a matrix make of the errors of the stream in front of LayerNorm."""
        key = (matrix, hashed(self.gain), is_centred)
        along = self.stream.along
        return along.readers(key, lambda: self.behind(matrix.weight, is_centred=is_centred))

    def spread(self, weight: Array, readers: Readers | None = None) -> Array:
        """How far a weighted sum of them can be off: [row, dimension] @ [dimension, out].

        Args:
            weight: [dimension, out], for readers that make the sum exactly.
            readers: what they make of errors of the stream, where that is known already.
        """
        if readers is None:
            readers = Readers.of(self.behind(weight), self.stream.along)
        steepest = self.factor * (1 + self.scale)
        whole = self._beside(weight) + steepest[:, None] * self.stream.spread(readers)
        if self.leading is None:
            return whole
        rounding = self._rounding(weight)
        return self.least(whole, self.linear @ weight, self._half(weight), rounding, readers)

    def spread_at_scale(self, matrix: Matrix) -> Array:
        """How far a product with a matrix can be off, but for its own rounding and the common scale.

        Args:
            matrix: [dimension, out].
        """
        steepest = self.factor * (1 + self.scale)
        read = self.stream.spread(self.readers(matrix))
        return np.asarray(self._rounding(matrix.weight) + steepest[:, None] * read)

    def least(
        self,
        whole: Array,
        linear: Array,
        half: Array,
        rounding: Array,
        readers: Readers | ReadersOfEach,
    ) -> Array:
        """How far a weighted sum can be off, if errors of scale and stream cancel, or else `whole`.

        Args:
            whole: a bound on its own: [row, out].
            linear: the sum, without the bias: [row, out].
            half: how far it may be from there among alternatives: [row, out].
            rounding: what rounding in LayerNorm moves it by, but for that of the scale: [row, out].
            readers: what the sum makes of errors of the stream.
        """
        if self.leading is None:
            return whole
        steepest, box = self.factor * (1 + self.scale), self.stream.box
        found = rounding + self.leading.spread(linear, half, self.factor, steepest, box, readers)
        return np.where(found < whole, found, whole)  # NaN stays

    def _rounding(self, weight: Array) -> Array:
        """What rounding in LayerNorm moves a weighted sum by, but for that of the scale."""
        return self.rest @ np.abs(weight) + self.drift[:, None] * np.abs(self.gain @ weight)

    def _half(self, weight: Array) -> Array:
        """How far `linear` is from its weighted sum among alternatives: [row, out]."""
        return np.zeros((len(self.linear), weight.shape[1]))

    def _beside(self, weight: Array) -> Array:
        """How far a weighted sum can be off, but for the errors of the stream."""
        size = np.abs(self.linear @ weight) + self._half(weight)
        return self._rounding(weight) + self.scale[:, None] * size

    def passed(self, weight: Array) -> Stream:
        """The stream plus a weighted sum of what it is normalized to, about the exact sum.

        An error of the stream reaches the sum with its own weight and with that of its reader times
        `factor`, up to `scale`: what clears a dimension clears its error too. A direction that is
        cleared for the most part becomes an error of each dimension; others stay, and what is read of
        them is one. Of the deviation of a row that has too little known of it, nothing is used.

        Args:
            weight: [dimension, dimension], for readers that make the sum exactly.
        """
        stream, along = self.stream, self.stream.along
        read, beside = self.behind(weight), self._beside(weight)
        readers = Readers.of(read, along)
        spread = stream.spread(readers)
        apart = stream.error + beside + (self.factor * (1 + self.scale))[:, None] * spread
        is_near = (self.factor > 0)[:, None]
        typical = np.asarray(np.median(self.factor))
        both = Readers.of(np.eye(len(weight)) + typical * read, along)
        off = np.abs(self.factor - typical) + 3 * self.scale * self.factor
        beside += np.where(is_near, off[:, None] * spread, 0.0)
        error = np.where(is_near, np.fmin(beside + stream.spread(both), apart), apart)
        is_cleared = both.along.sum(axis=1) < 0.75 * along.size.sum(axis=1)
        direct = np.where(is_cleared[:, None], both.along, typical * readers.along)
        box = beside + stream.box @ both.size + stream.radii @ direct
        kept = np.where(is_near, np.where(is_cleared, 0.0, stream.radii), stream.radii)
        box = np.where(is_near, box, stream.box + beside)
        slack = PRODUCT_SLACK * stream.error
        return Stream(stream.center, error + slack, box + slack, kept, along)

    def read(self, matrix: Matrix) -> tuple[Bounded, Array]:
        """The product with a matrix, and the part of its error that the product itself makes."""
        center = self.center @ matrix.weight + matrix.bias
        spread = self.spread(matrix.weight, self.readers(matrix))
        rounding = matrix.product_error(self.magnitude, np.abs(center) + spread)
        return Bounded(center, spread + rounding), rounding

    def read_about_the_mean(self, matrix: Matrix) -> Bounded:
        """The product with a matrix, but for what errors of mean and scale move all columns by.

        What the errors of the stream add to the mean is one of these.
        """
        center = self.center @ matrix.weight + matrix.bias
        readers = self.readers(matrix, is_centred=False)
        steepest = self.factor * (1 + self.scale)
        error = self.rest @ matrix.magnitude + steepest[:, None] * self.stream.spread(readers)
        largest = np.abs(center) + self.spread(matrix.weight, self.readers(matrix))
        return Bounded(center, error + matrix.product_error(self.magnitude, largest))

    def in_use(self, regime: Regime, gain: Array, bias: Array) -> Normed:
        """What a product reads of it: rounded to the regime's steps, or as its factors are.

        Numbers that were rounded to few digits have lost what their errors have in common, and what
        other weights change has nothing in common either.

        Args:
            regime: in which the model runs.
            gain: how far each may be from that of this: [dimension]; 0 where that is 0.
            bias: the same: [dimension].
        """
        added = np.zeros_like(self.rest)
        if regime.radius:
            part = gain / np.where(self.gain == 0, 1.0, np.abs(self.gain))
            added = part * (self.magnitude + np.abs(self.bias)) + bias
        if not regime.is_half and regime.factors is None:
            return replace(self, error=self.error + added, rest=self.rest + added)
        own = self.error + added + self.scale[:, None] * np.abs(self.linear)
        own += self.shift[:, None] * np.abs(self.gain)
        low, high = self.center - own, self.center + own
        if not regime.is_half:
            added = added + rounding_of(low, high, regime)
            return replace(self, error=self.error + added, rest=self.rest + added)
        found, none = rounded(low, high, regime.steps), np.zeros_like(self.scale)
        linear, error = found.center - self.bias, found.error
        return Normed(linear, self.bias, error, error, self.gain, none, none, none, none, self.stream)


def not_normed(x: Stream) -> Normed:
    """What is read of a stream where there is no LayerNorm: the stream itself.

    A row that may be infinite becomes NaN, also for those who read that with the weight 0.
    """
    rows, width = x.center.shape
    none, zeros = np.zeros(rows), np.zeros_like(x.center)
    ones = np.ones(width)
    is_finite = (np.abs(x.center) + x.error).max(axis=1) < LARGEST
    return Normed(
        x.center + np.where(is_finite, 0.0, np.nan)[:, None],
        np.zeros(width),
        x.error,
        zeros,
        ones,
        none,
        none,
        none,
        np.ones(rows),
        x,
        is_centred=False,
    )


def layer_norm(x: Stream, gain: Array, bias: Array, epsilon: float) -> Normed:
    """LayerNorm (Ba et al. 2016) in float32, of numbers known up to an error.

    The mean errs by what the numbers err by on average, and by rounding (`mean_error`). The variance is
    taken about the computed mean. What it changes by is twice the sum of deviations times errors, in
    which errors that dimensions have in common cancel, and the square of the errors. Its terms are not
    negative, so that its sum errs by a relative d u. A shift t of all numbers adds t^2 to it, since
    deviations sum to 0; but where means of parts are merged (Welford 1962), each part is shifted on its
    own, by what a mean errs. Division, square root and the three products and sums behind them are one
    rounding each. Numbers of which too little is known become at most sqrt(d) all the same, for their
    squares have the mean 1. Where the sum of the squares may be infinite, or a result, what follows is
    NaN, also for those who read it with the weight 0.
    """
    width = x.center.shape[1]
    mean = x.center.mean(axis=1)
    centred = x.center - mean[:, None]
    positive = np.maximum(x.center + x.error, 0).sum(axis=1)
    negative = np.maximum(x.error - x.center, 0).sum(axis=1)
    drift = mean_error(positive, negative, width) + 2 * UNIT * np.abs(mean)
    average = x.along.readers("mean", lambda: np.full((width, 1), 1 / width))
    shift = x.spread(average)[:, 0] + drift
    variance = np.square(centred).mean(axis=1)
    deviations = x.spread_of_each(centred) / width + np.abs(centred).mean(axis=1) * drift
    square = np.square(x.error + shift[:, None]).mean(axis=1)
    relative = (2 * deviations + square) / (variance + epsilon) + (width + 6) * UNIT
    is_near = relative < 0.5
    scale = 1 / sqrt(1 - np.where(is_near, relative, 0.0)) - 1 + 4 * UNIT
    alone = (np.abs(centred) * (x.box + drift[:, None])).mean(axis=1)
    alone = (2 * alone + square) / (variance + epsilon) + (width + 6) * UNIT
    none = np.zeros_like(centred), np.zeros_like(variance)
    alone = np.where(is_near, alone, np.inf)
    leading = Leading.of(x, centred, none[0], variance + epsilon, none[1], alone)
    deviation = sqrt(variance + epsilon)
    factor = np.where(is_near, (1 + scale) / deviation, 0.0)
    linear = centred / deviation[:, None] * gain
    size = np.abs(x.center) + np.abs(mean)[:, None] + x.error + shift[:, None]
    rest = 5 * UNIT * size * np.abs(gain) * factor[:, None]
    rest += 2 * UNIT * np.abs(linear + bias) + 2 * TINY
    most = np.sqrt(width) * (1 + (width + 12) * UNIT) * np.abs(gain)
    far = (most + 2 * UNIT * np.abs(bias))[None, :]
    own = rest + x.error * np.abs(gain) * factor[:, None]
    found = np.abs(linear) * (1 + scale[:, None]) + own + np.abs(bias)
    found += (shift * factor)[:, None] * np.abs(gain)
    largest = np.where(is_near[:, None], found, far).max(axis=1)
    is_finite = (width * np.square(size).max(axis=1) < LARGEST) & (largest < LARGEST)
    linear = np.where(is_near[:, None], linear, 0.0) + np.where(is_finite, 0.0, np.nan)[:, None]
    rest = np.where(is_near[:, None], rest, far)
    return Normed(
        linear,
        bias,
        np.where(is_near[:, None], own, far),
        rest,
        gain,
        np.where(is_near, shift, 0.0) * factor,
        np.where(is_near, drift, 0.0) * factor,
        np.where(is_near, scale, 0.0),
        np.where(is_near, 1 / deviation, 0.0),
        x,
        leading,
    )
