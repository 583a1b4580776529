"""Attention weights, and what heads read with them, on numbers that are known up to an error."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import exp, is_finite
from handcraft_check.arithmetic.regime import IN_FLOAT32, Array, Regime
from handcraft_check.arithmetic.rounding import (
    CERTAIN,
    EXP_ULPS,
    FLOAT64_SLACK,
    TINY,
    UNIT,
    Bounded,
    as_factor,
    product_error,
)

Ids = npt.NDArray[np.int64]

SLACK = 1e-13
"""More than float64 can be off, relatively, in a sum of up to 1,024 exponentials and two products."""


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
    center = exp(below)
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


def clear_winners(scores: Bounded) -> tuple[Ids, Array]:
    """The source with the highest score, and a bound of the weights of all others together: [row] each.

    If each of n sources scores less than the winner by at least g, which is positive, their differences
    are computed up to a unit, so that each exponential is at most exp(-g (1 - u)), up to `EXP_ULPS`, or
    underflows. They are divided by at least 1, which is the exponential of the winner. The bound is
    infinite where g may not be positive, and where nothing is known of a score.

    Args:
        scores: [row, source]; a source that is not seen has the score -inf and the error 0.
    """
    best, each = scores.center.argmax(axis=1), np.arange(len(scores.center))
    highest = scores.center + scores.error
    least = scores.center[each, best] - scores.error[each, best]
    highest[each, best] = -np.inf
    count = scores.center.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        gap = least - highest.max(axis=1)
        rest = count * np.exp(-gap * (1 - 2 * UNIT)) * (1 + 4 * EXP_ULPS * UNIT) + TINY * (count + 1)
    return best, np.where(gap > 0, rest, np.inf)


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
    beside = exp(logs - first)
    total = np.where(
        is_first,
        exp(left - second).sum(axis=-1, keepdims=True),
        beside.sum(axis=-1, keepdims=True) - beside,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.where(is_first, second, first) - own
        return np.where(total == 0, 0 * apart, total * exp(apart))


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
        leaked = np.where(is_finite(weights.rest)[..., None], weights.rest[..., None] * largest, np.inf)
    error += np.minimum(2.2 * leaked + TINY * (seen + 1), product_error(total, seen))
    error += FLOAT64_SLACK * (seen + 1) * total
    return Bounded(center, error)
