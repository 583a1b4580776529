"""Weighted sums after LayerNorm, bounded for each alternative of one summand on its own.

This helps if the standard deviation differs among alternatives: the alternative with the least sum is
then mostly not that with the largest deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.stream import PRODUCT_SLACK
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.matrix import Ids


@dataclass(frozen=True, eq=False)
class OneByOne:
    """Sums, with the summand that the deviation depends on most taken one alternative at a time.

    Args:
        x: the sums, normalized.
    """

    x: NormedSums

    def least(self, weight: Array) -> Array:
        """Lower bounds of weighted sums, without what is added after the scale: [row, out].

        All rows that allow the same alternatives are taken together. For one of these alternatives, let
        v be the least sum that any row has, and let all deviations be from S to T. A sum that is at
        least v, divided by a deviation, is at least v / T if v >= 0, and at least v / S otherwise.

        Args:
            weight: [dimension, out].

        Returns:
            -inf where this is not known.
        """
        found = np.full((len(self.x.linear), weight.shape[1]), -np.inf)
        behind = self.x.behind(weight)
        for rows, alternatives, shallow, steep in self._kinds:
            x, part = self.x.rows(rows), self._part.rows(rows)
            others = x.sums.range(behind)[0] - part.ends(lambda: behind).least
            values = part.table[alternatives] @ behind + others.min(axis=0)
            low = np.where(values >= 0, values * shallow[:, None], values * steep[:, None])
            found[rows] = low.min(axis=0)
        found -= self.x.off(weight)
        return np.where(np.isnan(found), -np.inf, found)

    @cached_property
    def _part(self) -> Part:
        """The summand whose alternatives differ most in their squares."""
        parts = self.x.sums.parts
        apart = [
            np.subtract(*part.squares(self.x.sums.middle)[::-1]).max(initial=0.0) for part in parts
        ]
        return parts[int(np.argmax(apart))]

    @cached_property
    def _kinds(self) -> list[tuple[Ids, Ids, Array, Array]]:
        """Groups of rows, the alternatives that they allow, and bounds of 1 / deviation."""
        x, found = self.x, []
        if x.variance is None or x.rounding is None or not x.sums.parts:
            return []
        for alternatives, rows in self._part.several:
            squares = self._part.squares_of(x.sums.middle, alternatives, rows)
            slack = PRODUCT_SLACK * np.square(x.sums.size[rows]).sum(axis=1)[:, None]
            least, most = (each[rows][:, None] for each in x.variance)
            least = least + (squares - squares.min(axis=1)[:, None] - slack) / x.width
            most = most + (squares - squares.max(axis=1)[:, None] + slack) / x.width
            rounding = x.rounding[rows].max()
            with np.errstate(invalid="ignore", divide="ignore"):
                steep = (1 + rounding) / np.sqrt(least.min(axis=0))
                shallow = (1 - rounding) / np.sqrt(most.max(axis=0))
            found.append((rows, alternatives, shallow, steep))
        return found
