"""The MLP of a block in which nearly all hidden units are off in each row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded, product_error
from handcraft_check.by_windows.cases import in_steps
from handcraft_check.by_windows.spans import MOST, Spanned
from handcraft_check.by_windows.straight_pairs import straight_pairs
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.hidden_units import Activation, mlp
from handcraft_check.layers.matrix import Flags, Ids, Matrix

TOGETHER = 128
"""How many rows are computed together, each with all units that are not shown to be off in one."""


@dataclass(frozen=True, eq=False)
class Open:
    """The hidden units that are not shown to be off, by rows, and what they read there.

    Args:
        rows: in order: [pair].
        units: [pair].
        read: [pair].
    """

    rows: Ids
    units: Ids
    read: Bounded

    @classmethod
    def of(cls, x: NormedSums, up: Matrix, rows: Ids, units: Ids) -> Open:
        """Of rows and units; all others of these rows are off."""
        center, error = np.empty((2, len(rows)))
        for some in in_steps(len(rows) and int(rows[-1]) + 1, TOGETHER):
            pairs = slice(*np.searchsorted(rows, [some[0], some[-1] + 1])) if len(some) else slice(0)
            if len(rows[pairs]):
                columns, column = np.unique(units[pairs], return_inverse=True)
                these, row = np.unique(rows[pairs], return_inverse=True)
                found = x.rows(these).read(up, columns)[0][row, column]
                center[pairs], error[pairs] = found.center, found.error
        return cls(rows, units, Bounded(center, error))

    def states(self, activation: Activation) -> Ids:
        """0 where a unit is off or nearly so, 2 where it is straight, and 1 between: [pair]."""
        low, high = self.read.center - self.read.error, self.read.center + self.read.error
        return np.where(high <= activation.nearly_off, 0, np.where(low >= activation.straight, 2, 1))

    def where(self, which: Flags) -> Open:
        """Some of the pairs."""
        return Open(self.rows[which], self.units[which], self.read[which])


def few_units(
    x: NormedSums,
    open_: Open,
    up: Matrix,
    down: Matrix,
    activation: Activation,
    *,
    cancels: bool = False,
) -> Spanned:
    """The residual stream behind an MLP of sums, before the addition is rounded.

    The bounds are those of `handcraft_check.layers.hidden_units.mlp`, computed for open units only. In
    a row without any, only the bias is added. Pairs of straight units that read the same and write
    opposite numbers may be taken together (`straight_pairs`). If one other unit is open and straight,
    it writes what it reads times its row of `down`, and its error is one more common error of the row.
    All other rows are computed with the units that are open in any of them.

    Args:
        x: the stream, normalized.
        open_: the units that are not shown to be off.
        up: reads x.
        down: writes to the stream.
        activation: of the units.
        cancels: whether straight units that cancel each other are taken together.
    """
    stream, count = Spanned.of_stream(x.stream), len(x.linear)
    adding = down.product_error(np.zeros((1, len(down.weight))))
    center, error, box = stream.center + down.bias, stream.error + adding, stream.box + adding
    off = open_.read.center + open_.read.error <= -activation.straight
    open_ = open_.where(~off)
    is_straight = (open_.states(activation) == 2) & cancels
    paired = straight_pairs(x, open_.rows, open_.units, open_.read, is_straight, up, down)
    open_ = open_.where(~paired.is_paired)
    is_alone = np.bincount(open_.rows, minlength=count) == 1
    one = open_.where(is_alone[open_.rows])
    one = one.where(one.states(activation) == 2)
    spans = np.zeros((count, MOST + 1, center.shape[1]))
    spans[:, : stream.spans.shape[1]] = stream.spans
    written, span, adding = _written_by_one(one, down)
    center[one.rows] = stream.center[one.rows] + written
    error[one.rows] = stream.error[one.rows] + np.abs(span) + adding
    box[one.rows], spans[one.rows, MOST] = stream.box[one.rows] + adding, span
    is_left = np.bincount(open_.rows, minlength=count) > 0
    is_left[one.rows] = False
    left = open_.where(is_left[open_.rows])
    rows = np.flatnonzero(is_left)
    for some in in_steps(len(rows), TOGETHER):
        if not len(some):
            continue
        these = rows[some]
        pairs = slice(
            np.searchsorted(left.rows, these[0]), np.searchsorted(left.rows, these[-1], "right")
        )
        columns = np.unique(left.units[pairs])
        normed = replace(x.rows(these), stream=stream[these].shared())
        found = mlp(
            normed, up.of_columns(columns), down.of_rows(columns), activation=activation,
            known=normed.read(up, columns),
        )  # fmt: skip
        few = Spanned.of_stream(found.tight())
        center[these], error[these], box[these] = few.center, few.error, few.box
        spans[these] = 0.0
        spans[these, : few.spans.shape[1]] = few.spans
    center[paired.rows] += paired.center
    error[paired.rows] += paired.error
    box[paired.rows] += paired.error
    return Spanned.with_spans(center, error, box, spans)


def _written_by_one(one: Open, down: Matrix) -> tuple[Array, Array, Array]:
    """What one straight unit in each row writes, with the bias.

    Returns:
        What is written, how far the error of the unit moves that, and how far rounding does: [row,
        dimension] each.
    """
    weight, read = down.weight[one.units], one.read
    size = (np.abs(read.center) + read.error)[:, None] * np.abs(weight)
    terms = (weight != 0) + 1.0 * (down.bias != 0)
    rounding = product_error(size + np.abs(down.bias), terms, None, down.is_exact)
    return read.center[:, None] * weight + down.bias, read.error[:, None] * weight, rounding
