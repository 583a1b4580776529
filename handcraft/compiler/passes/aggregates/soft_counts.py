"""Counts by soft attention: one attention weight determines the number of matching sources.

Each failed condition divides the weight of a source by B, at least twice the context, so all sources
that do not match have less weight together than half a matching one. Position 0 has slack for all k
conditions: if it fails f of them, its weight is B^(k - f). Each of the c other matching sources has a
weight of 1. No two pairs of f and c give the same attention weight of position 0.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

LARGEST_WEIGHT = 1 << 15
"""The largest weight of position 0, in matching sources. Its attention weight is then near 1 - c / B^k,
and softmax in float32 has an error of some parts in 2^22
(`test_soft_counts_are_exact_at_every_length_and_number_of_conditions`)."""


class Point(NamedTuple):
    """The attention weights of position 0 that mean one count.

    Args:
        low: the smallest of them.
        high: the largest.
        matching: the count: the number of matching sources.
    """

    low: Fraction
    high: Fraction
    matching: int


def base_for(context: int, conditions: int) -> int:
    """The divisor of a weight for each failure, a power of two; 0 if there is no such base."""
    base = 1 << (2 * context - 1).bit_length()
    return base if base**conditions <= LARGEST_WEIGHT else 0


def points(context: int, conditions: int, base: int) -> list[Point]:
    """The attention weights of position 0 in ascending order, from failing all conditions to none.

    At least one source matches: position 0, or else another.
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
