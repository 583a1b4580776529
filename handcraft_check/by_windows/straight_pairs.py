"""Pairs of hidden units that read the same, pass it on, and write it in opposite directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded, product_error
from handcraft_check.by_windows.cases import in_steps
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.hidden_units import opposite_pairs
from handcraft_check.layers.matrix import Flags, Ids, Matrix

TOGETHER = 256
"""How many pairs are computed together."""

WIDE = 2.0**-3
"""Pairs that read a number which is known better, or the same for all alternatives, are computed with
all other units."""


@dataclass(frozen=True, eq=False)
class Paired:
    """The sum of what pairs write, without the bias.

    Args:
        is_paired: which of the open units are in a pair: [unit that is open].
        rows: the rows with a pair: [row].
        center: what all pairs write there: [row, dimension].
        error: how far that may be off: [row, dimension].
    """

    is_paired: Flags
    rows: Ids
    center: Array
    error: Array


def straight_pairs(
    x: NormedSums, rows: Ids, units: Ids, read: Bounded, is_straight: Flags, up: Matrix, down: Matrix
) -> Paired:
    """The sum of what pairs of straight units write, which does not depend on what they read.

    Both units of a pair read one number r and pass on r + b and r + c, each rounded as a sum of its
    own. They write these in opposite directions, so their sum is b - c times the row of one of them.
    This is used if r is not known well. All that is written is one sum, and its rounding is that of all
    terms together.

    Args:
        x: the stream, normalized.
        rows: the rows of units that are not shown to be off, in order: [open].
        units: which units these are: [open].
        read: what they read: [open].
        is_straight: which of these surely are straight: [open].
        up: reads x.
        down: writes to the stream.
    """
    width, is_paired = down.weight.shape[1], np.zeros(len(rows), dtype=bool)
    partner = _partners(up, down) if is_straight.any() else np.full(len(up.bias), -1)
    most = np.abs(read.center) + read.error
    is_wide = (read.error > WIDE) & (x.half[rows] > 0).any(axis=1)
    some = np.flatnonzero(is_straight & (partner[units] >= 0) & is_wide)
    if len(some) > 1:
        keys = rows * len(partner) + units  # in order
        others = rows[some] * len(partner) + partner[units[some]]
        places = np.minimum(np.searchsorted(keys[some], others), len(some) - 1)
        is_paired[some[keys[some][places] == others]] = True
    found, row = np.unique(rows[is_paired], return_inverse=True)
    center, error, size, beside, terms = np.zeros((5, len(found), width))
    where = np.flatnonzero(is_paired)
    for places in in_steps(len(where), TOGETHER):
        if not len(places):
            continue
        at, own = row[places], units[where[places]]
        these, of_row = np.unique(rows[where[places]], return_inverse=True)
        columns, column = np.unique(own, return_inverse=True)
        rounding = up.of_columns(columns).product_error(x.rows(these).magnitude)[of_row, column]
        weight = down.weight[own]
        np.add.at(center, at, up.bias[own, None] * weight)
        np.add.at(error, at, rounding[:, None] * np.abs(weight))
    inside = np.flatnonzero(np.isin(rows, found))
    for places in in_steps(len(inside), TOGETHER):
        if not len(places):
            continue
        some, at = inside[places], np.searchsorted(found, rows[inside[places]])
        weight = np.abs(down.weight[units[some]])
        written = most[some, None] * weight
        np.add.at(size, at, written)
        np.add.at(beside, at, np.where(is_paired[some, None], 0.0, written))
        np.add.at(terms, at, weight != 0)
    total = np.abs(center + down.bias) + error + beside
    terms += down.bias != 0
    error += product_error(size + down.bias_magnitude, terms, total, down.is_exact)
    return Paired(is_paired, found, center, error)


@lru_cache(maxsize=64)
def _partners(up: Matrix, down: Matrix) -> Ids:
    """The other unit of a pair; -1 for none: [unit]."""
    found = np.full(len(up.bias), -1)
    for one, other in opposite_pairs(up, down):
        found[one], found[other] = other, one
    return found
