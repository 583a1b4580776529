"""Gated units whose gate is so large that SiLU is the identity: products of two sums.

A step function takes two units that read nearly the same and write opposite numbers. The error of what
they read may be large, but it cancels in what they write together. So these errors are not bounded unit
by unit, but through the derivative of the sum of all products, which is one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import TINY, UNIT, Bounded
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Stream
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Flags, Ids, Matrix

STRAIGHT_FROM = 17.0
"""From here on SiLU in float32 is its argument up to rounding: 1 + exp(-17) is rounded to 1."""

STRAIGHT_UNITS = 3
"""How many units SiLU is off there: by a quotient with the divisor 1, and by a product."""


@dataclass(frozen=True, eq=False)
class Read:
    """One of the two sums of each unit.

    Args:
        matrix: computes it.
        sum: its center and error: [row, unit].
        rounding: the part of its error that the product itself makes: [row, unit].
        apart: how far the exact sum may be off but for the error of the scale: [row, unit].
    """

    matrix: Matrix
    sum: Bounded
    rounding: Array
    apart: Array

    @classmethod
    def of(cls, x: Normed, matrix: Matrix) -> Read:
        """Of a stream that is normalized."""
        found, rounding = x.read(matrix)
        return cls(matrix, found, rounding, x.spread_at_scale(matrix))

    @property
    def most(self) -> Array:
        """The largest absolute value: [row, unit]."""
        return np.abs(self.sum.center) + self.sum.error

    def rows(self, which: Ids, units: Flags) -> Read:
        """Some of the rows and of the units."""
        place, columns = np.ix_(which, units), np.flatnonzero(units)
        found = Bounded(self.sum.center[place], self.sum.error[place])
        return Read(self.matrix.of_columns(columns), found, self.rounding[place], self.apart[place])


def own_of_products(gate: Read, up: Read) -> Array:
    """How far a straight unit is from the product of both exact sums: [row, unit].

    The unit multiplies sums that are rounded, one of them after SiLU, and rounds the product once.
    """
    found = gate.most * up.rounding + up.most * gate.rounding
    found += (STRAIGHT_UNITS + 1) * UNIT * gate.most * up.most
    return np.asarray(found * (1 + 8 * UNIT) + 2 * TINY)


def passed(x: Normed, gate: Read, up: Read, down: Matrix) -> tuple[Stream, Array]:
    """The stream plus what straight units write, about the exact products of their centers.

    Let g and u be the centers of the sums of a unit, and t the error of the scale, which is common to
    all of a row: the sums are (1 + t) g + e G and (1 + t) u + e U, where e are all other errors. Let g'
    and u' be the centers in the first row, and M the sum over units of u' G + g' U times their rows of
    `down`. Then all units together are off by e M, and by t times what M makes of the centers. Left is
    the same with u - u' and g - g' in place of u' and g'. The part of the scale is summed over units
    before its absolute value is taken; what is left of e, and what both errors multiply to, is each
    unit's own.

    Args:
        x: the stream, normalized.
        gate: of straight units, in all rows.
        up: the same units.
        down: their rows.

    Returns:
        The stream; and what each unit is off by besides: [row, unit].
    """
    g, u = gate.sum.center, up.sum.center
    matrix = (gate.matrix.weight * u[0] + up.matrix.weight * g[0]) @ down.weight
    found = x.passed(matrix)
    uncertain = x.magnitude - np.abs(x.center)
    size = uncertain @ (gate.matrix.magnitude * np.abs(u[0]) + up.matrix.magnitude * np.abs(g[0]))
    scaled = x.scale[:, None] * np.abs(((u - u[0]) * g + (g - g[0]) * u) @ down.weight)
    more = scaled + PRODUCT_SLACK * (size @ down.magnitude)
    own = np.abs(u - u[0]) * gate.apart + np.abs(g - g[0]) * up.apart
    own += (gate.sum.error - gate.rounding) * (up.sum.error - up.rounding)
    return Stream(found.center, found.error + more, found.box + more, found.radii, found.along), own


def read_alone(gate: Read, up: Read) -> Array:
    """How far errors of what is read may move each product: [row, unit]."""
    of_gate, of_up = gate.sum.error - gate.rounding, up.sum.error - up.rounding
    return np.asarray(up.most * of_gate + np.abs(gate.sum.center) * of_up)
