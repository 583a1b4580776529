"""The alternatives of an undecided source, as far as one reader tells them apart.

A reader is a head of the model, or a node of the program that reads other positions. Where it needs to
know more of a source, the alternatives become one case for each kind that this reader distinguishes,
not one for each of them: who reads only whether two digits add up to 9 has two kinds of the hundred
pairs. If that is still too little, a kind is divided into its alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_cases.states import CELL, WIDER, distinct, hull

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Blamed:
    """A source of each row about which a reader knows too little.

    Args:
        source: -1 for none: [row].
        layer: of the head that reads it; -1 where that is a node, or where there is none: [row].
        reader: the number of the head in its layer, or that of the node: [row].
    """

    source: Ids
    layer: Ids
    reader: Ids

    @classmethod
    def nobody(cls, rows: int) -> Blamed:
        """No source of any row."""
        return cls(*(np.full(rows, -1) for _ in range(3)))

    @classmethod
    def by_nodes(cls, source: Ids, node: Ids) -> Blamed:
        """Sources that nodes read, -1 for none: [row] each."""
        return cls(source, np.full(len(source), -1), node)

    def __getitem__(self, rows: npt.NDArray[np.generic]) -> Blamed:
        return Blamed(self.source[rows], self.layer[rows], self.reader[rows])

    def or_else(self, other: Blamed) -> Blamed:
        """These, and where there are none the others."""
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
        """Name the source that spreads most, where none is named yet and one spreads by more than that.

        Args:
            layer: of the heads that read them.
            spreads: how far each source spreads the stream: [row, source].
            limit: below which none is named.
            each: the same of each head of the layer, and which row of that each row has.
        """
        if spreads.shape[1]:
            largest = spreads.argmax(axis=1)
            is_new = (self.source < 0) & (spreads[np.arange(len(largest)), largest] > limit)
            new, source = np.flatnonzero(is_new), largest[is_new]
            by_head = [spread[kinds[new], source] for spread, kinds in each]
            self.source[new], self.layer[new] = source, layer
            self.reader[new] = np.argmax(by_head, axis=0)


def kinds_of_rows(rows: Bounded) -> Ids:
    """Rows that are nearly the same have one kind: [row, ...] -> [row].

    They are in one cell of a grid, and their hull is hardly more uncertain than one of them.
    """
    count = len(rows.center)
    flat = Bounded(rows.center.reshape(count, -1), rows.error.reshape(count, -1))
    _, kinds = distinct(flat.center, flat.error)
    _, cells = distinct(np.rint(flat.center / CELL) + 0.0)
    found, last = np.empty(count, dtype=np.int64), 0
    for cell in range(cells.max(initial=-1) + 1):
        members = np.flatnonzero(cells == cell)
        some = flat[members]
        is_one = (hull(some).error <= WIDER * some.error.max(axis=0)).all()
        numbers = 0 * members if is_one else np.unique(kinds[members], return_inverse=True)[1]
        found[members] = last + numbers
        last += int(numbers.max()) + 1
    return found
