"""What float arithmetic can do to a sum, in any order, with fused multiply-add or without.

The unit roundoff is that of float32, whatever the weights are stored in: bfloat16 and float16 weights
are read exactly, and sums are made in float32. Each function states a lemma. The checker itself
computes in float64, whose own errors are 2^-29 times those of float32; `UNIT` is larger than 2^-24 by
more than that.

Sources: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 (gamma) and
4.2 (sums); IEEE 754-2019, section 4.3 (round to nearest).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

UNIT = 2.0**-24 * (1 + 2.0**-20)
"""The relative error of one operation in float32, and that of the checker's float64 besides."""

TINY = 2.0**-126
"""The least normal float32: the absolute error of one operation that underflows, even flushed to 0."""

LARGEST = 3.4e38
"""Just below the largest float32."""

EXP_ULPS = 4
"""How far the exp of a library may be off, in units in the last place. An assumption."""

STRAIGHT = 10.0
"""From here on tanh of GELU is 1 to the last bit: GELU is the identity, and 0 below its negative."""

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


def product_error(magnitude: Array, terms: Array) -> Array:
    """How far a sum of products can be from its exact value, in any order.

    A term passes through one multiplication and at most `terms` additions, that of the bias included.
    Terms that are exactly 0 change nothing, and are not counted. Where a partial sum may be infinite,
    the result may be NaN, and so is the bound: it is below and above nothing.

    Args:
        magnitude: the sum of the absolute values of all terms.
        terms: how many terms are not structurally 0.
    """
    error = gamma(terms + 1) * magnitude + TINY * (terms + 1)
    return np.where(magnitude + error < LARGEST, error, np.nan)


def sum_error(positive: Array, negative: Array, terms: Array) -> Array:
    """How far a sum can be from its exact value, in any order.

    Every partial sum lies between minus the sum of the negative and the sum of the positive terms, and
    each of the `terms - 1` additions errs by at most UNIT of its result.
    """
    return gamma(np.maximum(terms - 1, 0)) * np.maximum(positive, negative)


def rounded(low: Array, high: Array) -> Bounded:
    """The float32 nearest to a number of which an interval is known: rounding is monotone.

    The ends are computed in float64, one unit outwards, so that the exact interval is inside.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32, the error is NaN
        lower = np.nextafter(low, -np.inf).astype(np.float32).astype(np.float64)
        upper = np.nextafter(high, np.inf).astype(np.float32).astype(np.float64)
        center = (lower + upper) / 2
        return Bounded(center, np.maximum(upper - center, center - lower))


def added(one: Bounded, other: Bounded) -> Bounded:
    """One addition in float32. Where both are known exactly, so is the result."""
    center = one.center + other.center
    error = one.error + other.error
    exact = (error == 0) & (
        np.abs(center) < LARGEST
    )  # the float64 sum of two float32 may round; nextafter would then be too wide
    sharp = np.where(exact, center, 0.0).astype(np.float32).astype(np.float64)
    is_sharp = exact & ((center - one.center == other.center) & (center - other.center == one.center))
    wide = rounded(center - error, center + error)
    return Bounded(np.where(is_sharp, sharp, wide.center), np.where(is_sharp, 0.0, wide.error))
