"""The layers of GPT-2 on numbers that are known up to an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft_check.rounding import (
    CERTAIN,
    EXP_ULPS,
    LARGEST,
    STRAIGHT,
    TINY,
    UNIT,
    Array,
    Bounded,
    product_error,
    sum_error,
)

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]

PRODUCT_SLACK = 1e-12
"""More than float64 can be off, relatively to the size of all terms, in a product of two matrices."""

SLACK = 1e-13
"""More than float64 can be off, relatively, in a sum of up to 1,024 exponentials and two products."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A weight matrix and its bias: rows are read, columns are written.

    Args:
        weight: [in, out].
        bias: [out].
    """

    weight: Array
    bias: Array

    @cached_property
    def magnitude(self) -> Array:
        """The absolute weights: [in, out]."""
        return np.abs(self.weight)

    @cached_property
    def terms(self) -> Array:
        """How many weights of each column are not 0, and one for a bias that is not: [out]."""
        return np.asarray((self.weight != 0).sum(axis=0) + (self.bias != 0), dtype=np.float64)

    def columns(self, start: int, stop: int) -> Matrix:
        """Some of the columns."""
        return Matrix(self.weight[:, start:stop], self.bias[start:stop])


@dataclass(frozen=True, eq=False)
class Normed:
    """The output of LayerNorm: (1 + t) (linear + s gain + e) + bias, with |t| <= scale, |s| <= shift.

    One error of the scale and one of the mean are common to all dimensions: who reads a difference of
    two dimensions is not affected by the mean, and who reads 0 not by the scale.

    Args:
        linear: without the bias: [row, dimension].
        bias: [dimension].
        error: bounds e: [row, dimension].
        gain: [dimension].
        shift: the error of the mean, divided by the standard deviation: [row].
        scale: the relative error of the standard deviation: [row].
        own: the error of what was normalized, which is part of `error` after `factor` and gain; 0 where
            too little is known: [row, dimension].
        factor: 1 / the standard deviation, and 0 where too little is known of it: [row].
    """

    linear: Array
    bias: Array
    error: Array
    gain: Array
    shift: Array
    scale: Array
    own: Array
    factor: Array

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
            self.gain,
            self.shift[which],
            self.scale[which],
            self.own[which],
            self.factor[which],
        )

    def spread(self, weight: Array) -> Array:
        """How far a weighted sum of them can be off: [row, dimension] @ [dimension, out].

        Args:
            weight: [dimension, out], for readers that make the sum exactly.
        """
        found = self.error @ np.abs(weight)
        found += self.scale[:, None] * np.abs(self.linear @ weight)
        found += self.shift[:, None] * np.abs(self.gain @ weight)
        return found

    def passed(self, weight: Array) -> Array:
        """How far x plus a weighted sum of its normalized numbers can be off: [row, dimension].

        An error of x reaches the sum with the weight of its dimension times `factor`, up to `scale`:
        what clears a dimension clears its error too.

        Args:
            weight: [dimension, dimension], for readers that make the sum exactly.
        """
        scaled = self.gain[:, None] * weight
        typical = float(np.median(self.factor))
        off = np.abs(self.factor - typical) + 3 * self.scale * self.factor
        rest = np.maximum(self.error - self.own * np.abs(self.gain) * self.factor[:, None], 0.0)
        found = self.own @ np.abs(np.eye(len(weight)) + typical * scaled)
        found += (self.own * off[:, None]) @ np.abs(scaled)
        found += rest @ np.abs(weight)
        found += self.scale[:, None] * np.abs(self.linear @ weight)
        found += self.shift[:, None] * np.abs(self.gain @ weight)
        return found

    def read(self, matrix: Matrix) -> tuple[Bounded, Array]:
        """The product with a matrix, and the part of its error that the product itself makes."""
        center = self.center @ matrix.weight + matrix.bias
        largest = self.magnitude @ matrix.magnitude + np.abs(matrix.bias)
        rounding = product_error(largest, matrix.terms)
        return Bounded(center, self.spread(matrix.weight) + rounding), rounding


def layer_norm(x: Bounded, gain: Array, bias: Array, epsilon: float) -> Normed:
    """LayerNorm (Ba et al. 2016) in float32, of numbers known up to an error.

    The mean errs by what the numbers err by on average, and by the rounding of a sum in any order. The
    variance is taken about the computed mean. Its terms are not negative, so that its sum errs by a
    relative d u. A shift t of all numbers adds t^2 to it, since deviations sum to 0; but where means of
    parts are merged (Welford 1962), each part is shifted on its own, by what a sum errs. Division,
    square root and the three products and sums behind them are one rounding each. Numbers of which too
    little is known become at most sqrt(d) all the same, for their squares have the mean 1. Where the
    sum of the squares may be infinite, or a result, what follows is NaN, also for those who read it
    with the weight 0.
    """
    width = x.center.shape[1]
    mean = x.center.mean(axis=1)
    centred = x.center - mean[:, None]
    terms = ((x.center != 0) | (x.error != 0)).sum(axis=1).astype(np.float64)
    positive = np.maximum(x.center + x.error, 0).sum(axis=1)
    negative = np.maximum(x.error - x.center, 0).sum(axis=1)
    drift = sum_error(positive, negative, terms) / width + 2 * UNIT * np.abs(mean)
    shift = x.error.mean(axis=1) + drift
    variance = np.square(centred).mean(axis=1)
    near = x.error + drift[:, None]
    change = (2 * np.abs(centred) * near + np.square(x.error + shift[:, None])).mean(axis=1)
    relative = change / (variance + epsilon) + (width + 6) * UNIT
    is_near = relative < 0.5
    scale = 1 / np.sqrt(1 - np.where(is_near, relative, 0.0)) - 1 + 4 * UNIT
    deviation = np.sqrt(variance + epsilon)
    factor = np.where(is_near, (1 + scale) / deviation, 0.0)
    linear = centred / deviation[:, None] * gain
    size = np.abs(x.center) + np.abs(mean)[:, None] + x.error + shift[:, None]
    error = (x.error + 5 * UNIT * size) * np.abs(gain) * factor[:, None]
    error += 2 * UNIT * np.abs(linear + bias) + 2 * TINY
    most = np.sqrt(width) * (1 + (width + 12) * UNIT) * np.abs(gain)
    far = (most + 2 * UNIT * np.abs(bias))[None, :]
    found = np.abs(linear) * (1 + scale[:, None]) + error + np.abs(bias)
    found += (shift * factor)[:, None] * np.abs(gain)
    largest = np.where(is_near[:, None], found, far).max(axis=1)
    is_finite = (width * np.square(size).max(axis=1) < LARGEST) & (largest < LARGEST)
    linear = np.where(is_near[:, None], linear, 0.0) + np.where(is_finite, 0.0, np.nan)[:, None]
    error = np.where(is_near[:, None], error, far)
    scale, shift = np.where(is_near, scale, 0.0), np.where(is_near, shift, 0.0) * factor
    own = np.where(is_near[:, None], x.error, 0.0)
    return Normed(linear, bias, error, gain, shift, scale, own, np.where(is_near, 1 / deviation, 0.0))


def gelu(x: Array) -> Array:
    """GELU by its tanh approximation, gelu_new (Hendrycks and Gimpel 2016)."""
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def mlp(stream: Bounded, x: Normed, up: Matrix, down: Matrix) -> Bounded:
    """The residual stream behind an MLP with GELU, before the addition is rounded.

    Units whose sums surely lie beyond `STRAIGHT` are the identity or 0. The errors that they read reach
    the stream through one matrix, the product of both, so that two units with opposite weights cancel
    them, and one that clears a dimension of the stream clears its error. Other units pass on at most
    1.13 times the error of their sum, the steepest slope of GELU.

    Args:
        stream: what is normalized: [row, dimension].
        x: that, normalized.
        up: reads x.
        down: writes to the stream.
    """
    pre, rounding = x.read(up)
    is_on = pre.center - pre.error >= STRAIGHT
    is_off = pre.center + pre.error <= -STRAIGHT
    hidden = np.where(is_on, pre.center, np.where(is_off, 0.0, gelu(pre.center)))
    largest = np.abs(pre.center) + pre.error
    curved = 1.13 * pre.error + 16 * UNIT * largest + 4 * TINY
    own = np.where(is_on, rounding, np.where(is_off, 0.0, curved))
    most = np.where(is_on, largest, np.where(is_off, 0.0, np.abs(hidden) + curved))
    out = hidden @ down.weight + down.bias
    error = own @ down.magnitude
    error += product_error(most @ down.magnitude + np.abs(down.bias), down.terms)
    carried = stream.error.copy()
    for rows, pattern in _groups(is_on):
        through = up.weight[:, pattern] @ down.weight[pattern]
        some = x.rows(rows)
        apart = some.spread(through) + stream.error[rows]
        passed = np.where(some.factor[:, None] > 0, np.fmin(some.passed(through), apart), apart)
        size = up.magnitude[:, pattern] @ down.magnitude[pattern]
        uncertain = stream.error[rows] + (some.magnitude - np.abs(some.center)) @ size
        carried[rows] = passed + PRODUCT_SLACK * uncertain
    return Bounded(stream.center + out, error + carried)


def _groups(flags: Flags) -> Iterator[tuple[Ids, Flags]]:
    """The rows that have the same flags, and those flags; not where no flag is set."""
    packed = np.packbits(flags, axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(first) + 1))
    for place, start, stop in zip(first, ends[:-1], ends[1:], strict=True):
        if flags[place].any():
            yield order[start:stop], flags[place]


@dataclass(frozen=True, eq=False)
class Weights:
    """Attention weights that are known up to an error.

    Args:
        center: the softmax of the centers of the scores: [..., source].
        error: how far the softmax of the true scores may be from it: [..., source].
        most: an upper bound of each weight: [..., source].
        common: how far rounding may shift all weights of a row, relative to their size: [...].
        rest: an upper bound of all weights but the largest, where it surely is below `CERTAIN`, so that
            the largest is exactly 1; infinite elsewhere: [...].
    """

    center: Array
    error: Array
    most: Array
    common: Array
    rest: Array


def softmax(scores: Bounded) -> Weights:
    """The attention weights of scores that are known up to an error.

    A weight is least where its own score is least and all others are largest. If all weights but one
    together stay below `CERTAIN`, they round away beside exp(0) = 1, and that one is exactly 1.

    Args:
        scores: [..., source]; a source that is not seen has the score -inf and the error 0.
    """
    top = scores.center.max(axis=-1, keepdims=True)
    is_seen = scores.center != -np.inf  # NaN is seen, and makes all weights NaN
    below = np.where(is_seen, scores.center - top, -np.inf)
    size = np.where(is_seen, np.abs(below), 0.0)
    farthest = size + scores.error + scores.error.max(axis=-1, keepdims=True)
    error = scores.error + UNIT * farthest + 2 * EXP_ULPS * UNIT
    center = np.exp(below)
    low = np.where(is_seen, np.maximum(np.exp(below - error) - TINY, 0.0), 0.0)
    high = np.where(is_seen, np.exp(np.minimum(below + error, 700.0)) + TINY, 0.0)
    weights = center / center.sum(axis=-1, keepdims=True)
    others_low = np.maximum(low.sum(axis=-1, keepdims=True) * (1 - SLACK) - low, 0.0)
    others_high = np.maximum(high.sum(axis=-1, keepdims=True) * (1 + SLACK) - high, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        least = np.where(is_seen, low / (low + others_high) * (1 - SLACK), 0.0)
        most = np.where(is_seen, np.minimum(high / (high + others_low) * (1 + SLACK), 1.0), 0.0)
        rest = np.where(is_seen, others_high / low, np.inf).min(axis=-1)
    deviation = np.maximum(most - weights, weights - least) + SLACK * weights
    rest = np.where(rest < CERTAIN, rest, np.inf)
    common = np.minimum(rest, (is_seen.sum(axis=-1) + 4) * UNIT)
    return Weights(weights, deviation, most, common, rest)


def head_output(weights: Weights, values: Bounded) -> Bounded:
    """The weighted mean of values.

    Weights sum to 1, so that their errors act on how far a value is from the mean. Where the largest
    weight is exactly 1, the sum is that value and a rest T, which is off by at most 2.1 T in any order.

    Args:
        weights: [..., source].
        values: [..., source, dimension].

    Returns:
        [..., dimension].
    """
    center = np.einsum("...s,...sd->...d", weights.center, values.center)
    apart = np.abs(values.center - center[..., None, :])
    error = np.einsum("...s,...sd->...d", weights.error, apart)
    size = np.abs(values.center) + values.error
    total = np.einsum("...s,...sd->...d", weights.most, size)
    error += np.einsum("...s,...sd->...d", weights.most, values.error)
    error += weights.common[..., None] * total
    seen = (weights.most > 0).sum(axis=-1)[..., None].astype(np.float64)
    largest = size.max(axis=-2, where=weights.most[..., None] > 0, initial=0.0)
    with np.errstate(invalid="ignore"):
        leaked = np.where(
            np.isfinite(weights.rest)[..., None], weights.rest[..., None] * largest, np.inf
        )
    error += np.minimum(2.1 * leaked + TINY * (seen + 1), product_error(total, seen))
    return Bounded(center, error)
