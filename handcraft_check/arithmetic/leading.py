"""The few directions along which a row may err most, and what LayerNorm makes of an error along them.

A row that grows as a whole looks the same behind LayerNorm: what an error adds to the row, it takes
away by a larger standard deviation. Both are one error, and cancel for the most part if the row is
little else than what errs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import UNIT
from handcraft_check.arithmetic.stream import Readers, ReadersOfEach, Stream

Ids = npt.NDArray[np.int64]

MOST = 3
"""How many directions of each row are looked at on their own."""

SLACK = 1e-9
"""More than float64 can be off, relatively, in what is computed here of errors."""


@dataclass(frozen=True, eq=False)
class Leading:
    """Errors along a few directions of each row: the computed row is off by s W, with |s| <= radius.

    Args:
        which: the directions: [row, place].
        radii: [row, place]; 0 where a place is not used.
        slopes: by what share of itself the row shrinks for each s: [row, place].
        others: the radii of all other directions: [row, direction].
        scale: bounds the relative error of the standard deviation but for these; infinite where too
            little is known of it: [row].
    """

    which: Ids
    radii: Array
    slopes: Array
    others: Array
    scale: Array

    @classmethod
    def of(
        cls, x: Stream, middle: Array, half: Array, variance: Array, apart: Array, rest: Array
    ) -> Leading | None:
        """The directions that move the standard deviation most; None where there are no directions.

        For an error s W, the variance v changes by 2 s (c W) / d, where c are the deviations from the
        mean, and by terms of second order: by a share r of itself. 1 / sqrt(1 + r) is 1 - r / 2, up to
        3/8 r^2 / (1 - |r|)^2.5, by Taylor's theorem.

        Args:
            x: what is normalized.
            middle: deviations from the mean: [row, dimension].
            half: how far they may be from there among alternatives: [row, dimension].
            variance: with epsilon: [row].
            apart: how far the variance may be from that among alternatives, relatively: [row].
            rest: what errors change the variance by, relatively, but for those along directions in
                first order: [row].
        """
        rows, width = middle.shape
        if not x.radii.any():
            return None
        along, more = middle @ x.along.rows.T, half @ x.along.size.T
        moved = x.radii * (np.abs(along) + more)
        which = np.argsort(-moved, axis=1, kind="stable")[:, :MOST]
        place, scale = np.arange(rows)[:, None], (width * variance)[:, None]
        radii, others = x.radii[place, which], x.radii.copy()
        others[place, which] = 0.0
        slopes = along[place, which] / scale
        wider = 1 + 2 * apart  # than 1 / (1 - apart)
        uncertain = radii * (
            more[place, which] / scale * wider[:, None] + 2 * np.abs(slopes * apart[:, None])
        )
        total = moved.sum(axis=1) / scale[:, 0] * wider
        left = total - (moved[place, which].sum(axis=1) / scale[:, 0] * wider)
        share = 2 * total + rest
        with np.errstate(invalid="ignore", divide="ignore"):
            second = 0.375 * np.square(share) / (1 - share) ** 2.5
        scale_left = left + rest / 2 + uncertain.sum(axis=1) + second + SLACK * share + 8 * UNIT
        return cls(
            which, radii, slopes, others, np.where((share < 0.5) & (apart < 0.25), scale_left, np.inf)
        )

    def rows(self, which: Ids) -> Leading:
        """Some of the rows."""
        return Leading(
            self.which[which],
            self.radii[which],
            self.slopes[which],
            self.others[which],
            self.scale[which],
        )

    def spread(
        self,
        linear: Array,
        half: Array,
        factor: Array,
        steepest: Array,
        box: Array,
        readers: Readers | ReadersOfEach,
    ) -> Array:
        """How far weighted sums behind LayerNorm can be off by errors of the stream and of the scale.

        Args:
            linear: the sums, without what is added behind the scale: [row, out].
            half: how far they may be from there among alternatives: [row, out].
            factor: 1 / the standard deviation: [row].
            steepest: the largest that it may be: [row].
            box: errors of single dimensions: [row, dimension].
            readers: what the sums make of errors.

        Returns:
            [row, out].
        """
        is_known = self.scale < np.inf
        found = np.where(is_known, self.scale, 0.0)[:, None] * (np.abs(linear) + half)
        found += steepest[:, None] * (readers.of_boxes(box) + readers.of_radii(self.others))
        more = (steepest - factor)[:, None]
        for place in range(self.which.shape[1]):
            radius, slope = self.radii[:, place, None], self.slopes[:, place, None]
            signed, size = readers.of_directions(self.which[:, place])
            slack = factor[:, None] * (size - np.abs(signed))
            off = np.abs(factor[:, None] * signed - slope * linear) + np.abs(slope) * half
            found += radius * (off + slack + more * size + SLACK * np.abs(slope * linear))
        return np.where(is_known[:, None], found, np.inf)
