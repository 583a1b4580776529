"""The layers of GPT-2 where every step is rounded to bfloat16 or float16.

What sums in float32 leave uncertain mostly vanishes when a number is rounded to few digits, so numbers
are boxes here, and often points.

Sources: transformers, models/gpt2/modeling_gpt2.py and activations.py; T. Dao et al., FlashAttention
(2022), algorithm 1; N. Higham, Accuracy and Stability of Numerical Algorithms, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.regime import FLOAT32, Array, Format, Regime
from handcraft_check.arithmetic.rounding import (
    EXP_ULPS,
    STRAIGHT,
    UNIT,
    Bounded,
    between,
    product_error,
    rounded,
    rounded_ends,
    rounding_of,
)
from handcraft_check.layers.attention import Weights, head_output, softmax
from handcraft_check.layers.hidden_units import gelu
from handcraft_check.layers.matrix import Matrix

Flags = npt.NDArray[np.bool_]

SPLIT = 4
"""How many numbers of a row are told apart by their value: 16 combinations."""

NO_BIT = 1 << 20
"""The exponent of the lowest bit of 0, which is a multiple of every power of two."""


def half_product(x: Bounded, matrix: Matrix, format: Format) -> Bounded:
    """A matrix product with its bias, summed in float32 and rounded once: [row, in] -> [row, out].

    Where the sum is exact in float32, whatever its order, it is rounded as it is, also halfway between
    two numbers.
    """
    center = x.center @ matrix.weight + matrix.bias
    error = x.error @ matrix.magnitude
    error += matrix.product_error(np.abs(x.center) + x.error)
    found = rounded(center - error, center + error, format)
    sharp = format.nearest(center)
    is_sharp = is_exact_sum(x, matrix) & (np.abs(sharp) <= format.largest)
    is_sharp &= (np.abs(sharp) >= format.tiny) | (sharp == 0)
    return Bounded(np.where(is_sharp, sharp, found.center), np.where(is_sharp, 0.0, found.error))


def for_each_value(
    x: Bounded, format: Format, weight: Array, compute: Callable[[Bounded], Bounded]
) -> Bounded:
    """What is computed of rows, for each value of what has two: [row, dimension] -> [row, out].

    A number halfway between two numbers of the format is rounded to one of them, and every reader sees
    the same one. Rows with up to `SPLIT` such numbers are computed once for each combination, and the
    result is the interval that contains all of these.

    Args:
        x: numbers of the format.
        format: to which they were rounded.
        weight: by which each is read: those that matter most come first: [dimension].
        compute: makes each row of its own.
    """
    low, high = format.inward(x.center - x.error, x.center + x.error)
    middle = format.nearest((low + high) / 2)
    is_double = (x.error > 0) & (low < high) & ((middle == low) | (middle == high))
    order = np.argsort(np.where(is_double, -x.error * weight, 1.0), axis=1, kind="stable")[:, :SPLIT]
    chosen = np.take_along_axis(is_double, order, axis=1)
    if not chosen.any():
        return compute(x)
    owners, centers, errors = [], [], []
    for count in np.unique(chosen.sum(axis=1)).tolist():
        rows = np.flatnonzero(chosen.sum(axis=1) == count)
        for ends in product((low, high), repeat=count):
            center, error = x.center[rows].copy(), x.error[rows].copy()
            for place, end in enumerate(ends):
                dimension = order[rows, place]
                center[np.arange(len(rows)), dimension] = end[rows, dimension]
                error[np.arange(len(rows)), dimension] = 0.0
            owners.append(rows)
            centers.append(center)
            errors.append(error)
    which = np.concatenate(owners)
    found = compute(Bounded(np.concatenate(centers), np.concatenate(errors)))
    order = np.argsort(which, kind="stable")
    first = np.searchsorted(which[order], np.arange(len(x.center)))
    lows, highs = (found.center - found.error)[order], (found.center + found.error)[order]
    least, most = np.minimum.reduceat(lows, first), np.maximum.reduceat(highs, first)
    is_same = least == most
    wide = between(least, most)
    return Bounded(np.where(is_same, least, wide.center), np.where(is_same, 0.0, wide.error))


def is_exact_sum(x: Bounded, matrix: Matrix) -> Flags:
    """Which sums of products float32 makes without error, in any order, fused or not: [row, out].

    If all terms are multiples of a power of two q, so are all partial sums, and those of up to 2^24 q
    are numbers of float32, as long as q is one.
    """
    lowest, of_bias = lowest_bit(x.center), lowest_bit(matrix.bias)
    grid = np.broadcast_to(of_bias, (len(x.center), len(of_bias))).copy()
    is_known = np.ones(grid.shape, dtype=bool)
    if matrix.apart is not None or matrix.bias_apart is not None:
        return ~is_known
    of_weights = lowest_bit(matrix.weight)
    for i, row in enumerate(matrix.weight):
        columns = np.flatnonzero(row)
        if len(columns):
            terms = lowest[:, i, None] + of_weights[i, columns]
            grid[:, columns] = np.minimum(grid[:, columns], terms)
            is_known[:, columns] &= x.error[:, i, None] == 0
    size = np.abs(x.center) @ np.abs(matrix.weight) + np.abs(matrix.bias)
    _, power = np.frexp(size)  # size < 2^power
    return np.asarray(is_known & (power <= grid + FLOAT32.digits) & (grid > -FLOAT32.exponent))


def lowest_bit(x: Array) -> npt.NDArray[np.int64]:
    """The exponent of the largest power of two of which a number is a multiple; `NO_BIT` of 0."""
    share, power = np.frexp(np.where(np.isfinite(x), x, 0.0))
    digits = np.ldexp(share, 53).astype(np.int64)
    _, lowest = np.frexp((digits & -digits).astype(np.float64))
    return np.where(digits == 0, NO_BIT, lowest - 1 + power.astype(np.int64) - 53)


def half_mlp(x: Bounded, up: Matrix, down: Matrix, regime: Regime) -> Bounded:
    """What an MLP adds to the residual stream.

    Sums beyond `STRAIGHT` are passed on as they are, or become 0: half of them, times 2 or 0. Between,
    a unit rounded once errs by the slope of GELU, 1.13, and the rounding. The steps of gelu_new in
    transformers, 0.5 x (1 + tanh(c (x + k x^3))), each rounded, err by at most 5 roundings in the
    argument of tanh, at 0.45 each, by those of tanh and of the sum, and by that of the product: 4
    roundings of x together, and one of what underflows.

    Args:
        x: what is normalized, as it is read: [row, dimension].
        up: reads x.
        down: writes to the stream.
        regime: to which all is rounded.
    """
    pre = half_product(x, up, regime.steps)
    is_on = pre.center - pre.error >= STRAIGHT
    is_off = pre.center + pre.error <= -STRAIGHT
    hidden = np.where(is_on, pre.center, np.where(is_off, 0.0, gelu(pre.center)))
    largest = np.abs(pre.center) + pre.error
    curved = 1.13 * pre.error + 8 * regime.steps.unit * largest + 4 * regime.steps.tiny
    curved = np.where(largest == 0, 0.0, curved)
    own = np.where(is_on, pre.error, np.where(is_off, 0.0, curved))
    return half_product(Bounded(hidden, own), down, regime.steps)


def half_scores(dot: Bounded, factor: float, regime: Regime) -> Bounded:
    """Attention scores: of sdpa, which stay in float32, and of eager, rounded before and behind.

    A score of minus infinity has the weight 0 beside one that is finite. So has twice the lowest
    number, which stands for it.

    Args:
        dot: the products of queries and keys, summed in float32.
        factor: what they are multiplied by.
        regime: to which those of eager are rounded.
    """
    ends = (dot.center - dot.error) * factor, (dot.center + dot.error) * factor
    slack = 4 * UNIT * np.maximum(np.abs(ends[0]), np.abs(ends[1]))
    low, high = rounded_ends(dot.center - dot.error, dot.center + dot.error, regime.steps)
    low, high = (
        end * factor + np.where(np.isfinite(end), sign * 4 * UNIT * factor * np.abs(end), 0.0)
        for end, sign in ((low, -1), (high, 1))
    )
    low, high = rounded_ends(low, high, regime.steps)
    low, high = (np.where(end == -np.inf, -2 * regime.steps.largest, end) for end in (low, high))
    return _either(regime, (low, high), (ends[0] - slack, ends[1] + slack))


def half_attention(scores: Bounded, values: Bounded, regime: Regime) -> tuple[Weights, Bounded]:
    """Attention weights and the output of heads: [..., source], [..., source, dimension].

    Both ways in which transformers computes them are followed, and the output is in one interval or in
    the other: eager rounds weights; flash attention may round them before it divides by their sum.
    """
    is_seen = scores.center != -np.inf
    highest = np.where(is_seen, scores.center - scores.error, -np.inf).max(axis=-1, keepdims=True)
    lost = np.where(highest < -regime.steps.largest, np.nan, 0.0)  # all may be minus infinity
    weights = softmax(Bounded(scores.center + np.where(is_seen, lost, 0.0), scores.error))
    top = scores.center == scores.center.max(axis=-1, keepdims=True)
    is_one = np.isfinite(weights.rest)[..., None] & top
    eager, moved = _rounded_weights(weights, is_one, regime)
    one = head_output(weights.moved(moved), values)
    size = np.abs(values.center) + values.error
    center = np.einsum("...s,...sd->...d", eager.center, values.center)
    most = eager.center + eager.error
    error = np.einsum("...s,...sd->...d", eager.error, size)
    error += np.einsum("...s,...sd->...d", most, values.error)
    seen = (most > 0).sum(axis=-1)[..., None].astype(np.float64)
    error += product_error(np.einsum("...s,...sd->...d", most, size), seen)
    is_less = error < one.error
    one = Bounded(np.where(is_less, center, one.center), np.where(is_less, error, one.error))
    before = np.where(is_one, 0.0, _moved_before(scores, is_seen, weights.most, regime))
    other = head_output(weights.moved(before), values)
    ends = [
        rounded_ends(each.center - each.error, each.center + each.error, regime.steps)
        for each in (one, other)
    ]
    sharp = regime.steps.nearest(center)
    is_sharp = _is_exact_mean(eager, values) & (np.abs(sharp) >= regime.steps.tiny)
    ends[0] = (np.where(is_sharp, sharp, ends[0][0]), np.where(is_sharp, sharp, ends[0][1]))
    return weights, _either(regime, *ends)


def _either(regime: Regime, eager: tuple[Array, Array], sdpa: tuple[Array, Array]) -> Bounded:
    """What is in one interval or in the other, or in that of the attention that the regime names."""
    if regime.attention:
        return between(*{"eager": eager, "sdpa": sdpa}[regime.attention])
    return between(np.minimum(eager[0], sdpa[0]), np.maximum(eager[1], sdpa[1]))


def _is_exact_mean(weights: Bounded, values: Bounded) -> Flags:
    """Which weighted sums float32 makes without error, as `is_exact_sum`: [..., dimension]."""
    grid = (lowest_bit(weights.center)[..., None] + lowest_bit(values.center)).min(axis=-2)
    is_none = (weights.center == 0)[..., None] & (weights.error == 0)[..., None]
    is_known = is_none | ((weights.error == 0)[..., None] & (values.error == 0))
    size = np.einsum("...s,...sd->...d", np.abs(weights.center), np.abs(values.center))
    _, power = np.frexp(size)
    is_short = (power <= grid + FLOAT32.digits) & (grid > -FLOAT32.exponent)
    return np.asarray(is_known.all(axis=-2) & is_short)


def _rounded_weights(weights: Weights, is_one: Flags, regime: Regime) -> tuple[Bounded, Array]:
    """The weights of eager attention, rounded, and how far that moves them: [..., source]."""
    common = weights.common[..., None]
    least = np.maximum(weights.center - weights.error, 0.0) * (1 - common)
    most = weights.most * (1 + common)
    low, high = rounded_ends(least, np.minimum(most, 1 + 2 * UNIT), regime.steps)
    low = np.where(is_one, 1.0, np.maximum(low, 0.0))
    found = between(low, np.where(is_one, 1.0, high))
    return found, np.where(is_one, 0.0, rounding_of(least, most, regime))


def _moved_before(scores: Bounded, is_seen: Flags, most: Array, regime: Regime) -> Array:
    """How far rounding moves the weights of flash attention, relative to their sum: [..., source].

    It rounds exp(s - m), where m is the highest score of the sources so far: a number between what it
    is for the highest of all scores and 1. One that underflows is moved by at most all of it.
    """
    center = np.where(is_seen, scores.center, 0.0)
    high = np.where(is_seen, scores.center + scores.error, -np.inf).max(axis=-1, keepdims=True)
    reach = UNIT * (np.abs(center) + scores.error + np.abs(high)) + 2 * EXP_ULPS * UNIT
    least = np.where(is_seen, np.exp(np.minimum(center - scores.error - high - reach, 0.0)), 0.0)
    format = regime.steps
    near_one = np.maximum(least, 0.5)
    part = np.where(
        least < 0.5, 2 * format.unit, rounding_of(near_one, np.ones_like(least), regime) / near_one
    )
    lost = np.where(least < format.tiny, np.minimum(most, format.tiny), 0.0)
    return np.asarray(np.maximum(part * most, lost))
