"""Weighted sums behind LayerNorm where one summand is looked at alternative by alternative.

If the standard deviation differs among alternatives, then the least sum and the largest deviation are
mostly not those of the same alternative.
"""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.stream import PRODUCT_SLACK
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.layer_norm import Ids

CELLS = 1 << 22
"""How many numbers an array may have that is made in one piece."""


def least_one_by_one(x: NormedSums, weight: Array) -> Array:
    """The least that weighted sums are, without what is added behind the scale: [row, out].

    The summand with the largest effect on the deviation is taken one alternative at a time, for all
    rows that allow the same ones together. For an alternative, let v be the least sum that any row has,
    and let all deviations s be from S to T. What is at least v, divided by s, is at least v / T for
    v >= 0, and v / S otherwise.

    Args:
        x: sums, normalized.
        weight: [dimension, out].

    Returns:
        -inf where this is not known.
    """
    found = np.full((len(x.linear), weight.shape[1]), -np.inf)
    if x.variance is None or not x.sums.parts:
        return found
    fixed = x.sums.middle
    ranges = [each[1] - each[0] for each in (part.squares(fixed) for part in x.sums.parts)]
    part = x.sums.parts[int(np.argmax([each.max(initial=0.0) for each in ranges]))]
    for alternatives, rows in part.several:
        found[rows] = _least(x.rows(rows), part.rows(rows), fixed[rows], alternatives, weight)
    return found - x.off(weight)


def _least(x: NormedSums, part: Part, fixed: Array, alternatives: Ids, weight: Array) -> Array:
    """The least of all rows: [out].

    Args:
        x: rows that allow the same alternatives of a part.
        part: this part of these rows.
        fixed: the middle of all boxes: [row, dimension].
        alternatives: these.
        weight: [dimension, out].
    """
    assert x.variance is not None
    assert x.rounding is not None
    squares = part.squares_of(fixed, alternatives, np.arange(len(fixed)))
    least, most = (each[:, None] for each in x.variance)
    slack = PRODUCT_SLACK * np.square(x.sums.size).sum(axis=1)[:, None]
    least = least + (squares - squares.min(axis=1)[:, None] - slack) / x.width
    most = most + (squares - squares.max(axis=1)[:, None] + slack) / x.width
    shallow = (1 - x.rounding.max()) / np.sqrt(most.max(axis=0))  # [alternative]
    with np.errstate(invalid="ignore", divide="ignore"):
        steep = (1 + x.rounding.max()) / np.sqrt(least.min(axis=0))
    found = np.empty(weight.shape[1])
    step = max(1, CELLS // len(alternatives))
    for start in range(0, len(found), step):
        some = slice(start, start + step)
        behind = x.behind(weight[:, some])
        others = x.sums.range(behind)[0] - _ends(part, behind)
        values = part.table[alternatives] @ behind + others.min(axis=0)
        low = np.where(values >= 0, values * shallow[:, None], values * steep[:, None])
        found[some] = low.min(axis=0)  # NaN where nothing is known
    return np.where(np.isnan(found), -np.inf, found)


def _ends(part: Part, weight: Array) -> Array:
    """The least weighted sums of a part: [row, out]."""
    return part.ends(lambda: weight).least
