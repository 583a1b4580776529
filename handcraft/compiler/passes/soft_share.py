"""Counts by soft attention: one head tells how many sources fit, and whether position 0 does.

Each condition that fails divides the weight of a source by B, at least twice the context, so all that
do not fit weigh less than half a source together. Position 0 has slack for all k conditions: where f
fail, it weighs B^(k - f) against the c others that fit. No two pairs of f and c have a share in common.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

LARGEST_WEIGHT = 1 << 15
"""How many sources position 0 may weigh. Its share is near 1 - c / B^k then, and softmax in float32 is
off by some parts in 2^22 (`test_soft_counts_are_exact_at_every_length_and_number_of_conditions`)."""


class Point(NamedTuple):
    """The shares of position 0 that stand for a count.

    Args:
        low: no share is smaller.
        high: no share is larger.
        fit: how many sources fit.
    """

    low: Fraction
    high: Fraction
    fit: int


def base_for(context: int, conditions: int) -> int:
    """By what a failure divides a weight: a power of two; 0 where position 0 would weigh too much."""
    base = 1 << (2 * context - 1).bit_length()
    return base if base**conditions <= LARGEST_WEIGHT else 0


def points(context: int, conditions: int, base: int) -> list[Point]:
    """The shares of position 0 in ascending order, from where it fails all conditions to where it fits.

    One source fits at least: position 0 if it fits, else another.
    """
    found = []
    for failed in range(conditions, -1, -1):
        is_source = failed == 0
        weight = Fraction(base) ** (conditions - failed)
        for count in range(context if is_source else context - 1, 0, -1):
            others = count - is_source
            rest = Fraction(context - 1 - others, base)
            found.append(Point(weight / (weight + others + rest), weight / (weight + others), count))
    return found
