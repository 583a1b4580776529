"""Group the alternatives of an undecided source by what one reader distinguishes.

In a proof by cases, a source is undecided if its position can still have several values, its
alternatives. A reader is a head of the model, or a node of the program that reads other positions. If
the bounds of a reader are too wide because a source is undecided, the source is divided into cases. To
need few of them, alternatives that this reader does not distinguish are one case, called a kind. For
example, a reader that only needs to know whether two digits add up to 9 has two kinds for the hundred
pairs of digits. If the bounds are still too wide, a kind is divided into its alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.exact import nearest_floats
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_cases.states import CELL, WIDER, distinct, hull

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Blamed:
    """For each row, the source that must be decided next, and the reader that needs it.

    Args:
        source: its position; -1 if there is none: [row].
        layer: the layer of the head that reads it; -1 if a node reads it, or there is none: [row].
        reader: the number of the head in its layer, or that of the node: [row].
    """

    source: Ids
    layer: Ids
    reader: Ids

    @classmethod
    def nobody(cls, rows: int) -> Blamed:
        """No source in any row."""
        return cls(*(np.full(rows, -1) for _ in range(3)))

    @classmethod
    def by_nodes(cls, source: Ids, node: Ids) -> Blamed:
        """Sources that nodes of the program read, -1 for none: [row] each."""
        return cls(source, np.full(len(source), -1), node)

    def __getitem__(self, rows: npt.NDArray[np.generic]) -> Blamed:
        return Blamed(self.source[rows], self.layer[rows], self.reader[rows])

    def or_else(self, other: Blamed) -> Blamed:
        """These; in rows where there is none, the other's."""
        is_there = self.source >= 0
        columns = zip(self.columns, other.columns, strict=True)
        return Blamed(*(np.where(is_there, one, another) for one, another in columns))

    def where(self, rows: npt.NDArray[np.bool_]) -> Blamed:
        """These in some rows, and none in all others."""
        return Blamed(*(np.where(rows, column, -1) for column in self.columns))

    @property
    def columns(self) -> tuple[Ids, Ids, Ids]:
        """Source, layer and reader."""
        return self.source, self.layer, self.reader

    def note(self, layer: int, spreads: Array, limit: float, each: Sequence[tuple[Array, Ids]]) -> None:
        """Set the source with the largest spread, in rows that have none yet.

        Args:
            layer: the layer of the heads that read the sources.
            spreads: the spread of each source, which is how much it widens the bounds of the stream:
                [row, source].
            limit: a source is set only if its spread is larger.
            each: for each head of the layer, the spreads of its own part, and for each row of `spreads`
                its row in these.
        """
        if spreads.shape[1]:
            largest = spreads.argmax(axis=1)
            is_new = (self.source < 0) & (spreads[np.arange(len(largest)), largest] > limit)
            new, source = np.flatnonzero(is_new), largest[is_new]
            by_head = [spread[kinds[new], source] for spread, kinds in each]
            self.source[new], self.layer[new] = source, layer
            self.reader[new] = np.argmax(by_head, axis=0)


def kinds_of_rows(rows: Bounded) -> Ids:
    """Number the kinds of rows; rows that are nearly the same have the same kind: [row, ...] -> [row].

    These rows are in one cell of a grid, and the bounds of all together are hardly wider than those of
    one of them.
    """
    count = len(rows.center)
    flat = Bounded(rows.center.reshape(count, -1), rows.error.reshape(count, -1))
    _, kinds = distinct(flat.center, flat.error)
    _, cells = distinct(np.rint(nearest_floats(flat.center) / CELL) + 0.0)
    found, last = np.empty(count, dtype=np.int64), 0
    for cell in range(cells.max(initial=-1) + 1):
        members = np.flatnonzero(cells == cell)
        some = flat[members]
        is_one = (hull(some).error <= WIDER * some.error.max(axis=0)).all()
        numbers = 0 * members if is_one else np.unique(kinds[members], return_inverse=True)[1]
        found[members] = last + numbers
        last += int(numbers.max()) + 1
    return found
