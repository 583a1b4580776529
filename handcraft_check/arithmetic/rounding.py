"""What float arithmetic can do to a sum, in any order, with fused multiply-add or without.

The unit roundoff of sums is that of float32, whatever the weights are stored in and whatever the result
is rounded to: bfloat16 and float16 numbers are read exactly, and sums are made in float32. Each
function states a lemma. The checker itself computes in float64, whose own errors are 2^-29 times those
of float32; `UNIT` is larger than 2^-24 by more than that.

Sources: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 (gamma) and
4.2 (sums); IEEE 754-2019, section 4.3 (round to nearest).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import is_finite, outwards
from handcraft_check.arithmetic.regime import FLOAT32, Array, Format, Regime

Flags = npt.NDArray[np.bool_]

UNIT = FLOAT32.unit
"""The relative error of one operation in float32, and that of the checker's float64 besides."""

TINY = FLOAT32.tiny * (1 + 2.0**-20)
"""The least normal float32, and that of the checker's float64 besides: the absolute error of one
operation that underflows, even flushed to 0."""

LARGEST = 3.4e38
"""Just below the largest float32."""

FLOAT64_SLACK = 2.0**-50
"""More than the checker's float64 loses in a few additions, relatively to the numbers added."""

EXP_ULPS = 4
"""How far the exp of a library may be off, in units in the last place. An assumption."""

STRAIGHT = 6.0
"""From here on GELU is the identity, and 0 below its negative: its tanh is of more than 12, thus 1."""

CERTAIN = 2.0**-26
"""Attention weights of all other sources together below which the highest weight is exactly 1."""


@dataclass(frozen=True)
class Bounded:
    """Numbers that are known up to an error.

    Args:
        center: float64, any shape.
        error: of the same shape; the computed number differs from the center by at most as much.
    """

    center: Array
    error: Array

    def __getitem__(self, index: Any) -> Bounded:
        return Bounded(self.center[index], self.error[index])


def gamma(operations: npt.ArrayLike) -> Array:
    """The relative error of so many factors 1 + d, each |d| <= UNIT (Higham, lemma 3.1)."""
    total = np.asarray(operations, dtype=np.float64) * UNIT
    return np.asarray(total / (1 - total))


def product_error(
    magnitude: Array, terms: Array, total: Array | None = None, is_exact: Flags | None = None
) -> Array:
    """How far a sum of products can be from its exact value, in any order.

    Each product errs by UNIT of itself, but for products with powers of two, which are exact. A sum of
    some of the terms lies between minus the sum of the negative and the sum of the positive ones, and
    the larger of these is half of the magnitude and half of the absolute total. Each of the `terms - 1`
    additions errs by at most UNIT of such a sum. Terms that are exactly 0 change nothing,
    and are not counted. Where a partial sum may be infinite, the result may be NaN, and so is the
    bound: it is below and above nothing.

    Args:
        magnitude: the sum of the absolute values of all terms.
        terms: how many terms are not 0, the bias included.
        total: the largest absolute value that the exact sum can have, if that is known.
        is_exact: whether all factors of a kind are powers of two.
    """
    largest = magnitude if total is None else np.minimum(magnitude, (magnitude + total) / 2)
    products = magnitude * np.where(False if is_exact is None else is_exact, 0.0, UNIT)
    additions = gamma(np.maximum(terms - 1, 0)) * (largest + products)
    error = products + additions + np.where(terms > 0, TINY * (terms + 1), 0.0)
    return np.where(magnitude + error < LARGEST, error, np.nan)


def mean_error(positive: Array, negative: Array, width: int) -> Array:
    """How far a mean of `width` numbers can be from the exact one, summed in any order or kept running.

    Every partial sum lies between minus the sum N of the negative and the sum P of the positive terms,
    and each addition errs by at most UNIT of its result, M = max(P, N). A running mean m (Welford 1962)
    of k numbers becomes m + (x - m) / k, in four roundings, and what it errs by counts k / width in the
    end: UNIT of k |m|, which is a partial sum, and three times UNIT of |x - m|. All |x| together are at
    most P + N, and all |m| at most M (1 + log(width)), for the k-th is at most M / k. Zeros count too.

    Args:
        positive: P: [row].
        negative: N: [row].
        width: how many numbers there are.
    """
    roundings = width + 6 + 3 * (1 + np.log(width))
    return gamma(roundings) * np.maximum(positive, negative) / width


def between(low: Array, high: Array) -> Bounded:
    """The numbers of an interval; NaN, about which nothing is known, where an end is infinite."""
    with np.errstate(invalid="ignore"):
        center = (low + high) / 2
        center = np.where(is_finite(center), center, np.nan)
        return Bounded(center, np.maximum(high - center, center - low))


def rounded(low: Array, high: Array, format: Format = FLOAT32) -> Bounded:
    """A number of which an interval is known, rounded to a format."""
    return between(*rounded_ends(low, high, format))


def rounded_ends(low: Array, high: Array, format: Format) -> tuple[Array, Array]:
    """The interval of what the numbers of an interval are rounded to: rounding is monotone.

    A number that is computed in float32 first is rounded twice, which is monotone too, so that both
    ends are rounded either way. A result below the least normal number may be flushed to 0. The ends
    are computed in float64, one unit outwards, so that the exact interval is inside.
    """
    lower, upper = outwards(low, -np.inf), outwards(high, np.inf)
    first = FLOAT32.nearest(lower), FLOAT32.nearest(upper)
    if format is FLOAT32:
        lower, upper = first
    else:
        lower = np.minimum(format.nearest(lower), format.nearest(first[0]))
        upper = np.maximum(format.nearest(upper), format.nearest(first[1]))
    return _flushed(lower, upper, format)


def _flushed(low: Array, high: Array, format: Format) -> tuple[Array, Array]:
    """An interval with 0, if it has numbers below the least normal one."""
    low = np.where((low > 0) & (low < format.tiny), 0.0, low)
    return low, np.where((high < 0) & (high > -format.tiny), 0.0, high)


def added(one: Bounded, other: Bounded, format: Format = FLOAT32) -> Bounded:
    """One addition of numbers of a format, rounded to it. Where both are known, so is the result.

    A sum of two numbers that float64 represents is rounded as it is; nextafter would be too wide. What
    float64 loses of other sums is far below `FLOAT64_SLACK` of the numbers.
    """
    center = one.center + other.center
    error = one.error + other.error
    reach = error + FLOAT64_SLACK * (np.abs(one.center) + np.abs(other.center) + error)
    wide = rounded(center - reach, center + reach, format)
    sharp = format.nearest(center)
    is_sharp = (error == 0) & (center - one.center == other.center)
    is_sharp &= center - other.center == one.center
    is_sharp &= sharp == format.nearest(FLOAT32.nearest(center))
    is_sharp &= (np.abs(center) < format.largest) & ((np.abs(center) >= format.tiny) | (center == 0))
    return Bounded(np.where(is_sharp, sharp, wide.center), np.where(is_sharp, 0.0, wide.error))


def multiplied(one: Bounded, other: Bounded, format: Format) -> Bounded:
    """One product of numbers of a format of few digits, rounded to it. Known numbers have a known one.

    The product of two numbers of up to 11 digits is a number of float32 and of float64, if it does not
    underflow, and is rounded once. Ends of an interval of products are products of ends (R. Moore,
    Interval Analysis, 1966, section 2.2), and rounding is monotone.

    Args:
        one: of any shape.
        other: of a shape that fits.
        format: bfloat16 or float16.
    """
    center, low, high = _products(one, other)
    wide, sharp = rounded(low, high, format), format.nearest(center)
    is_sharp = (one.error == 0) & (other.error == 0) & (np.abs(sharp) <= format.largest)
    is_sharp &= (np.abs(center) >= format.tiny) | (center == 0)
    return Bounded(np.where(is_sharp, sharp, wide.center), np.where(is_sharp, 0.0, wide.error))


def product_range(one: Bounded, other: Bounded) -> Bounded:
    """What one product of numbers known up to errors may be in float32, rounded once."""
    _, low, high = _products(one, other)
    return rounded(low, high)


def _products(one: Bounded, other: Bounded) -> tuple[Array, Array, Array]:
    """The product of the centers, the least and the largest product."""
    ends = [
        (one.center + sign * one.error) * (other.center + more * other.error)
        for sign in (-1, 1)
        for more in (-1, 1)
    ]
    return one.center * other.center, np.minimum.reduce(ends), np.maximum.reduce(ends)


def as_factor(x: Bounded, regime: Regime) -> Bounded:
    """What a matrix product takes a number for: the next number below or above, if it is none itself.

    Tensor cores of different makers round to the nearest, or cut digits off. Either is monotone.
    """
    if regime.factors is None:
        return x
    return between(*_outward(x.center - x.error, x.center + x.error, regime.factors, x.error == 0))


def rounding_of(low: Array, high: Array, regime: Regime) -> Array:
    """How far a number of an interval moves when it is rounded to a step, or taken for a factor.

    It moves no further than from one end of the interval to what the other end becomes, and by at most
    a unit of itself (two, where digits are cut off), or by all of itself where it underflows.
    """
    format, exact = regime.factors or regime.steps, low == high
    if format is FLOAT32:
        return np.zeros_like(low)
    if regime.factors is None:
        (below, above), units = _flushed(format.nearest(low), format.nearest(high), format), 1
    else:
        (below, above), units = _outward(low, high, format, exact), 2
    largest = np.maximum(np.abs(low), np.abs(high))
    least = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(np.abs(low), np.abs(high)))
    lost = np.where(least < format.tiny, np.minimum(largest, format.tiny), 0.0)
    return np.minimum(np.maximum(above - low, high - below), units * format.unit * largest + lost)


def _outward(low: Array, high: Array, format: Format, is_exact: Flags) -> tuple[Array, Array]:
    """The interval that contains what numbers of an interval become, cut off, rounded or flushed."""
    low = np.where(is_exact, low, np.nextafter(low, -np.inf))
    high = np.where(is_exact, high, np.nextafter(high, np.inf))
    return _flushed(*format.outward(low, high), format)
