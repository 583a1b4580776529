"""The numbers of a dtype that a solution becomes, checked after they are rounded."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np

from handcraft.dtype import DType
from handcraft.rotary.rotation import Floats
from handcraft.rotary.solve_query import TOLERANCE, Kinds, Sources, least_gap

GRID = 4
"""Queries are whole multiples of 1/4, so that the last digits of a solution do not matter. The proof of
`ScoreError` needs that no component is between 0 and this."""

NATS = 64
"""Gaps are stated in whole parts of a nat of this size, rounded down: the last digits of a sum of
cosines differ between machines."""

STEP = 1 / 64
"""A query is made longer by this part until its rounded numbers have the gap."""

LONGER = 2.0
"""And at most by this factor: rounding to 8 digits then costs half of the gap."""

LARGEST = 1 << 24
"""The greatest score before the scale, where the dtype does not overflow before."""


def rounded_query(
    direction: Floats, sources: Sources, kinds: Kinds, dtype: DType, nats: float, scale: float
) -> tuple[Floats, float]:
    """The shortest multiple of a query whose rounded numbers have a gap; the nearest to it otherwise.

    Args:
        direction: a query, [2 * pair].
        sources: what is compared.
        kinds: all comparisons.
        dtype: of the numbers.
        nats: the gap.
        scale: by which the product of query and key is multiplied.

    Returns:
        The query, [2 * pair], and its gap, which is less than `nats` if none has that.
    """
    of_one = least_gap(direction, sources, kinds)
    if of_one < TOLERANCE:
        return np.zeros_like(direction), 0.0
    overflow = min(LARGEST, dtype.largest) * scale  # in nats
    best, lead = np.zeros_like(direction), 0.0
    shortest = min(nats / of_one, overflow / _greatest(direction, sources) / LONGER)
    for factor in np.arange(1.0, LONGER, STEP):
        query = _rounded(direction * (shortest * factor), dtype)
        if _greatest(query, sources) > overflow:
            break
        gap = floor((least_gap(query, sources, kinds) - TOLERANCE) * NATS) / NATS
        if gap > lead:
            best, lead = query, gap
        if gap >= nats:
            break
    return best, lead


def _greatest(query: Floats, sources: Sources) -> float:
    """The greatest absolute score that a tool can compute, in nats."""
    low, high = sources.bounds(query)
    return float(max(high.max(), -low.min()))


def _rounded(numbers: Floats, dtype: DType) -> Floats:
    """The nearest multiples of 1/4 that the dtype represents."""
    exponent = np.frexp(numbers)[1]  # 2^(exponent - 1) <= number < 2^exponent
    unit = np.maximum(np.exp2(exponent - dtype.bits), 1 / GRID)
    rounded: Floats = np.rint(numbers / unit) * unit
    return rounded


def as_pairs(query: Floats) -> tuple[tuple[Fraction, Fraction], ...]:
    """The two components of each pair, from [2 * pair]."""
    first, second = np.split(query, 2)
    return tuple(
        (Fraction(a), Fraction(b)) for a, b in zip(first.tolist(), second.tolist(), strict=True)
    )
