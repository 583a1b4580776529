"""The layers of GPT-2 on numbers that are known up to an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from handcraft_check.regime import IN_FLOAT32, Array, Regime
from handcraft_check.rounding import (
    CERTAIN,
    EXP_ULPS,
    LARGEST,
    STRAIGHT,
    TINY,
    UNIT,
    Bounded,
    as_factor,
    product_error,
    rounded,
    rounding_of,
    sum_error,
)
from handcraft_check.states import distinct
from handcraft_check.stream import PRODUCT_SLACK, Directions, Readers, Stream

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]

APART = 4.0
"""Units whose errors cancel less than so many times are taken to err on their own."""

LEAST = -0.1700408
"""Just below the least value of GELU."""

SLACK = 1e-13
"""More than float64 can be off, relatively, in a sum of up to 1,024 exponentials and two products."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A weight matrix and its bias: rows are read, columns are written.

    Args:
        weight: [in, out].
        bias: [out].
        apart: how far each weight may be from that in use: [in, out]; None for not at all.
        bias_apart: the same of the bias: [out].
    """

    weight: Array
    bias: Array
    apart: Array | None = None
    bias_apart: Array | None = None

    @cached_property
    def magnitude(self) -> Array:
        """The largest absolute value that each weight can have: [in, out]."""
        return np.abs(self.weight) + (0 if self.apart is None else self.apart)

    @cached_property
    def bias_magnitude(self) -> Array:
        """The same of the bias: [out]."""
        return np.abs(self.bias) + (0 if self.bias_apart is None else self.bias_apart)

    def product_error(self, size: Array, total: Array | None = None) -> Array:
        """How far the sum in use can be from the exact one with these weights: [row, out].

        Args:
            size: the largest absolute values of what is read; 0 is read as no term: [row, in].
            total: those of the exact sum with these weights, if they are known: [row, out].
        """
        is_read = size > 0
        terms = self.terms if is_read.all() else is_read @ self.is_used + (self.bias != 0)
        magnitude = size @ self.magnitude + self.bias_magnitude
        moved = np.zeros_like(magnitude) if self.apart is None else size @ self.apart
        if self.bias_apart is not None:
            moved += self.bias_apart
        total = None if total is None else total + moved
        return product_error(magnitude, terms, total, self.is_exact) + moved

    @cached_property
    def is_used(self) -> Array:
        """1 for each weight that is not 0: [in, out]."""
        return np.asarray(self.weight != 0, dtype=np.float64)

    @cached_property
    def is_exact(self) -> Flags:
        """Whether all weights of a column are surely powers of two, or 0: [out]."""
        is_power = (np.abs(np.frexp(self.weight)[0]) == 0.5) | (self.weight == 0)
        return np.asarray(is_power.all(axis=0) & (self.apart is None))

    @cached_property
    def terms(self) -> Array:
        """How many weights of each column are not 0, and one for a bias that is not: [out]."""
        return np.asarray((self.weight != 0).sum(axis=0) + (self.bias != 0), dtype=np.float64)

    @cached_property
    def directions(self) -> Directions:
        """Where the errors of what is read go."""
        return Directions.of(self.weight)

    def of_columns(self, columns: Ids) -> Matrix:
        """Some of the columns, and one of zeros for each -1."""
        is_there = columns >= 0

        def part(each: Array) -> Array:
            return np.where(is_there, each[..., columns], 0.0)

        apart = None if self.apart is None else part(self.apart)
        bias_apart = None if self.bias_apart is None else part(self.bias_apart)
        return Matrix(part(self.weight), part(self.bias), apart, bias_apart)

    def of_rows(self, rows: Ids) -> Matrix:
        """The columns as they read only some rows, and a row of zeros for each -1."""
        is_there = (rows >= 0)[:, None]
        weight = np.where(is_there, self.weight[rows], 0.0)
        apart = None if self.apart is None else np.where(is_there, self.apart[rows], 0.0)
        return Matrix(weight, self.bias, apart, self.bias_apart)

    def readers(self, x: Normed, *, is_centred: bool = True) -> Readers:
        """What the columns make of the errors of a stream in front of LayerNorm."""
        key = (self, x.gain.tobytes(), is_centred)
        return x.stream.along.readers(key, lambda: x.behind(self.weight, is_centred=is_centred))


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
        )

    def behind(self, weight: Array, *, is_centred: bool = True) -> Array:
        """What a weighted sum of normalized numbers makes of the stream, at a deviation of 1.

        Args:
            weight: [dimension, out].
            is_centred: whether the mean of the stream is subtracted from it.
        """
        scaled = self.gain[:, None] * weight
        return np.asarray(scaled - scaled.mean(axis=0)) if is_centred else scaled

    def spread(self, weight: Array, readers: Readers | None = None) -> Array:
        """How far a weighted sum of them can be off: [row, dimension] @ [dimension, out].

        Args:
            weight: [dimension, out], for readers that make the sum exactly.
            readers: what they make of errors of the stream, where that is known already.
        """
        if readers is None:
            readers = Readers.of(self.behind(weight), self.stream.along)
        steepest = self.factor * (1 + self.scale)
        return self._beside(weight) + steepest[:, None] * self.stream.spread(readers)

    def _beside(self, weight: Array) -> Array:
        """The same, but for the errors of the stream."""
        found = self.rest @ np.abs(weight)
        found += self.scale[:, None] * np.abs(self.linear @ weight)
        found += self.drift[:, None] * np.abs(self.gain @ weight)
        return found

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
        typical = float(np.median(self.factor))
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
        spread = self.spread(matrix.weight, matrix.readers(self))
        rounding = matrix.product_error(self.magnitude, np.abs(center) + spread)
        return Bounded(center, spread + rounding), rounding

    def read_about_the_mean(self, matrix: Matrix) -> Bounded:
        """The product with a matrix, but for what errors of mean and scale move all columns by.

        What the errors of the stream add to the mean is one of these.
        """
        center = self.center @ matrix.weight + matrix.bias
        readers = matrix.readers(self, is_centred=False)
        steepest = self.factor * (1 + self.scale)
        error = self.rest @ matrix.magnitude + steepest[:, None] * self.stream.spread(readers)
        largest = np.abs(center) + self.spread(matrix.weight, matrix.readers(self))
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


def layer_norm(x: Stream, gain: Array, bias: Array, epsilon: float) -> Normed:
    """LayerNorm (Ba et al. 2016) in float32, of numbers known up to an error.

    The mean errs by what the numbers err by on average, and by the rounding of a sum in any order. The
    variance is taken about the computed mean. What it changes by is twice the sum of deviations times
    errors, in which errors that dimensions have in common cancel, and the square of the errors. Its
    terms are not negative, so that its sum errs by a relative d u. A shift t of all numbers adds t^2 to
    it, since deviations sum to 0; but where means of parts are merged (Welford 1962), each part is
    shifted on its own, by what a sum errs. Division, square root and the three products and sums behind
    them are one rounding each. Numbers of which too little is known become at most sqrt(d) all the
    same, for their squares have the mean 1. Where the sum of the squares may be infinite, or a result,
    what follows is NaN, also for those who read it with the weight 0.
    """
    width = x.center.shape[1]
    mean = x.center.mean(axis=1)
    centred = x.center - mean[:, None]
    terms = ((x.center != 0) | (x.error != 0)).sum(axis=1).astype(np.float64)
    positive = np.maximum(x.center + x.error, 0).sum(axis=1)
    negative = np.maximum(x.error - x.center, 0).sum(axis=1)
    drift = sum_error(positive, negative, terms) / width + 2 * UNIT * np.abs(mean)
    average = x.along.readers("mean", lambda: np.full((width, 1), 1 / width))
    shift = x.spread(average)[:, 0] + drift
    variance = np.square(centred).mean(axis=1)
    deviations = x.spread_of_each(centred) / width + np.abs(centred).mean(axis=1) * drift
    change = 2 * deviations + np.square(x.error + shift[:, None]).mean(axis=1)
    relative = change / (variance + epsilon) + (width + 6) * UNIT
    is_near = relative < 0.5
    scale = 1 / np.sqrt(1 - np.where(is_near, relative, 0.0)) - 1 + 4 * UNIT
    deviation = np.sqrt(variance + epsilon)
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
    )


def gelu(x: Array) -> Array:
    """GELU by its tanh approximation, gelu_new (Hendrycks and Gimpel 2016)."""
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * x * (1 + 0.044715 * x * x))))


def gelu_range(low: Array, high: Array) -> Bounded:
    """GELU of numbers of which an interval is known, without rounding.

    It falls up to -0.7518, where it is above `LEAST`, and rises from there on, by at most 1.13.
    """
    ends = gelu(np.array([low, high]))
    least = np.where((low < -0.75) & (high > -0.76), LEAST, ends.min(axis=0))
    most = ends.max(axis=0)
    center = (least + most) / 2
    return Bounded(center, (most - least) / 2)


def mlp(x: Normed, up: Matrix, down: Matrix, regime: Regime = IN_FLOAT32) -> Stream:
    """The residual stream behind an MLP with GELU, before the addition is rounded.

    Units whose sums surely lie beyond `STRAIGHT` are the identity or 0. The errors that they read reach
    the stream through one matrix, the product of both, so that two units with opposite weights cancel
    them, and one that clears a dimension of the stream clears its error. Other units are somewhere in
    the range that GELU has on the interval of their sum. What a unit adds of its own, by its rounding
    or its curve, is one error along its row of `down`; and so is all that it errs by, where units
    cancel little of each other's errors.

    Args:
        x: the stream, normalized.
        up: reads x.
        down: writes to the stream.
        regime: of which only the factors of products are not in float32.
    """
    pre, rounding = x.read(up)
    is_on = pre.center - pre.error >= STRAIGHT
    is_off = pre.center + pre.error <= -STRAIGHT
    largest = np.abs(pre.center) + pre.error
    hidden, curved = np.where(is_on, pre.center, 0.0), 16 * UNIT * largest + 4 * TINY
    bent = np.nonzero(~is_on & ~is_off)
    between = gelu_range((pre.center - pre.error)[bent], (pre.center + pre.error)[bent])
    hidden[bent], curved[bent] = between.center, curved[bent] + between.error
    own = np.where(is_on, rounding, np.where(is_off, 0.0, curved))
    most = np.where(is_on, largest, np.where(is_off, 0.0, np.abs(hidden) + curved))
    if regime.factors is not None:
        wide = np.where(is_on, pre.error, own)
        own = own + rounding_of(hidden - wide, hidden + wide, regime)
        most = np.abs(hidden) + wide + own
    out = hidden @ down.weight + down.bias
    total = np.abs(out) + np.where(is_on, pre.error, own) @ down.magnitude
    summing = down.product_error(most, total)
    stream = x.stream
    error, box, radii, apart = stream.error.copy(), stream.box.copy(), stream.radii.copy(), own.copy()
    for rows, pattern in _groups(without_pairs(is_on, up, down)):
        some = x.rows(rows)
        passed = some.passed(up.weight[:, pattern] @ down.weight[pattern])
        uncertain = (some.magnitude - np.abs(some.center)) @ up.magnitude[:, pattern]
        slack = PRODUCT_SLACK * (uncertain @ down.magnitude[pattern])
        error[rows] = passed.error + slack
        read = (pre.error - rounding)[np.ix_(rows, pattern)]
        whole = (read @ down.magnitude[pattern]).sum(axis=1)
        is_apart = whole <= APART * (error[rows] - stream.error[rows]).sum(axis=1)
        apart[np.ix_(rows[is_apart], pattern)] += read[is_apart]
        box[rows[~is_apart]] = (passed.box + slack)[~is_apart]
        radii[rows[~is_apart]] = passed.radii[~is_apart]
    alone, along = down.directions.split(apart)
    return Stream(
        stream.center + out,
        error + own @ down.magnitude + summing,
        box + alone + summing,
        np.concatenate([radii, along], axis=1),
        stream.along.and_of(down.directions),
    )


def without_pairs(is_on: Flags, up: Matrix, down: Matrix) -> Flags:
    """The straight units without pairs that pass on nothing together: [row, unit].

    Two units that read the same, up to a bias, and write the opposite add 0 to the product of both
    matrices. Both units of a step are straight or neither is, in most rows: few patterns are left.
    """
    found = is_on.copy()
    for one, other in _pairs(up, down):
        both = found[:, one] & found[:, other]
        found[both, one] = found[both, other] = False
    return found


@lru_cache(maxsize=64)
def _pairs(up: Matrix, down: Matrix) -> tuple[tuple[int, int], ...]:
    """Units that read the same and write the opposite, each in one pair, of which biases are near."""
    waiting: dict[tuple[bytes, bytes], list[int]] = {}
    found = []
    for unit in np.argsort(-up.bias, kind="stable").tolist():
        reads, writes = (up.weight[:, unit] + 0.0).tobytes(), down.weight[unit]
        others = waiting.get((reads, (0.0 - writes).tobytes()))
        if others:
            found.append((others.pop(), unit))
        else:
            waiting.setdefault((reads, (writes + 0.0).tobytes()), []).append(unit)
    return tuple(found)


def _groups(flags: Flags) -> Iterator[tuple[Ids, Flags]]:
    """The rows that have the same flags, and those flags; not where no flag is set."""
    first, which = distinct(*_packed(flags))
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(first) + 1))
    for place, start, stop in zip(first, ends[:-1], ends[1:], strict=True):
        if flags[place].any():
            yield order[start:stop], flags[place]


def _packed(flags: Flags) -> list[Ids]:
    """Whole numbers that have the flags as digits, 62 each: [row, flag] -> [row] each."""
    parts = [flags[:, start : start + 62] for start in range(0, flags.shape[1], 62)]
    return [part @ (1 << np.arange(part.shape[1])) for part in parts]


@dataclass(frozen=True, eq=False)
class Weights:
    """Attention weights that are known up to an error.

    Args:
        center: the softmax of the centers of the scores: [..., source].
        error: how far the softmax of the true scores may be from it: [..., source].
        most: an upper bound of each weight: [..., source].
        common: how far rounding may shift all weights of a row, relative to their size: [...].
        rounding: how far each weight moves when it is rounded: [..., source].
        rest: an upper bound of all weights but the largest, where it surely is below `CERTAIN`, so that
            the largest is exactly 1; infinite elsewhere: [...].
    """

    center: Array
    error: Array
    most: Array
    common: Array
    rounding: Array
    rest: Array

    def moved(self, by: Array) -> Weights:
        """The same weights, rounded by so much: [..., source]."""
        return replace(self, rounding=by)


def softmax(scores: Bounded, regime: Regime = IN_FLOAT32) -> Weights:
    """The attention weights of scores that are known up to an error.

    A weight is least where its own score is least and all others are largest: it is 1 / (1 + r), and r
    is the sum of all others relative to it. What is subtracted from all scores cancels in r, so that a
    large error of all scores does no harm to a winner by a larger gap. The highest exponential is
    exactly 1, so that what underflows is `TINY` beside a sum of at least 1. If all weights but one
    together stay below `CERTAIN`, they round away beside exp(0) = 1, and that one is exactly 1.

    Args:
        scores: [..., source]; a source that is not seen has the score -inf and the error 0.
        regime: which tells what a product takes weights for.
    """
    is_seen = scores.center != -np.inf  # NaN is seen, and makes all weights NaN
    top = scores.center.max(axis=-1, keepdims=True)
    below = np.where(is_seen, scores.center - top, -np.inf)
    size = np.where(is_seen, np.abs(below), 0.0)
    reach = scores.error.max(axis=-1, keepdims=True)
    farthest = size + scores.error + reach
    error = scores.error + UNIT * farthest + 2 * EXP_ULPS * UNIT
    center = np.exp(below)
    weights = center / center.sum(axis=-1, keepdims=True)
    seen = is_seen.sum(axis=-1, keepdims=True).astype(np.float64)
    lost = TINY * (seen + 1)
    high = _others(below + error, below - error)
    low = _others(below - error, below + error)
    with np.errstate(invalid="ignore"):
        least = np.where(is_seen, (1 - SLACK) / (1 + high * (1 + SLACK)) - lost, 0.0)
        most = np.where(is_seen, (1 + SLACK) / (1 + low * (1 - SLACK)) + lost, 0.0)
        rest = (np.where(is_seen, high, np.inf).min(axis=-1, keepdims=True) + lost)[..., 0]
    least, most = np.maximum(least, 0.0), np.minimum(most, 1.0)
    deviation = np.maximum(most - weights, weights - least) + SLACK * weights
    rest = np.where(rest < CERTAIN, rest, np.inf)
    common = np.minimum(rest, (seen[..., 0] + 4) * UNIT)
    moved = np.zeros_like(most) if regime.factors is None else 2 * regime.factors.unit * most
    return Weights(weights, deviation, most, common, moved, rest)


def _others(logs: Array, own: Array) -> Array:
    """The sum of exp(logs) of all other sources, divided by exp(own): [..., source].

    The largest is left out of its own sum rather than subtracted from it, so that nothing cancels: all
    other sums contain it, so that what is subtracted from them is at most a half.
    """
    is_first = np.arange(logs.shape[-1]) == logs.argmax(axis=-1, keepdims=True)
    first = logs.max(axis=-1, keepdims=True)
    left = np.where(is_first, -np.inf, logs)
    second = left.max(axis=-1, keepdims=True)
    second = np.where(second == -np.inf, 0.0, second)
    beside = np.exp(logs - first)
    total = np.where(
        is_first,
        np.exp(left - second).sum(axis=-1, keepdims=True),
        beside.sum(axis=-1, keepdims=True) - beside,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.where(is_first, second, first) - own
        return np.where(total == 0, 0 * apart, total * np.exp(apart))


def head_output(weights: Weights, values: Bounded, regime: Regime = IN_FLOAT32) -> Bounded:
    """The weighted mean of values.

    Weights sum to 1, so that their errors act on how far a value is from the mean. Where the largest
    weight is exactly 1, the sum is that value and a rest T, which is off by at most 2.1 T in any order.

    Args:
        weights: [..., source].
        values: [..., source, dimension].
        regime: which tells what a product takes values for.

    Returns:
        [..., dimension].
    """
    values = as_factor(values, regime)
    center = np.einsum("...s,...sd->...d", weights.center, values.center)
    apart = np.abs(values.center - center[..., None, :])
    error = np.einsum("...s,...sd->...d", weights.error, apart)
    size = np.abs(values.center) + values.error
    total = np.einsum("...s,...sd->...d", weights.most, size)
    error += np.einsum("...s,...sd->...d", weights.most, values.error)
    error += weights.common[..., None] * total
    error += np.einsum("...s,...sd->...d", weights.rounding, size)
    seen = (weights.most > 0).sum(axis=-1)[..., None].astype(np.float64)
    largest = size.max(axis=-2, where=weights.most[..., None] > 0, initial=0.0)
    with np.errstate(invalid="ignore"):
        leaked = np.where(
            np.isfinite(weights.rest)[..., None], weights.rest[..., None] * largest, np.inf
        )
    error += np.minimum(2.2 * leaked + TINY * (seen + 1), product_error(total, seen))
    return Bounded(center, error)
