"""Equal rows of numbers as one: what two contexts have in common is computed once."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import ceil, codes, key, power_above, rint
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream, joined

Ids = npt.NDArray[np.int64]

FINEST = 2.0**-40
"""Errors below are treated as this large, so that centers that differ by less are one."""

FLOAT64_SLACK = 2.0**-50
"""More than float64 can be off, relatively to the ends, in the middle and the half of an interval."""

COARSEST = 2.0**-5
"""Errors above are no more enlarged than one of this size: alternatives make them, and not rounding."""

MANY_ROWS = 64
"""Fewer rows are not looked at: it would save nothing."""

CELL = 2.0**-6
"""Rows are near where they are in one cell of a grid as wide as this."""

WIDER = 3.0
"""So many times the error of a row may be that of the hull of rows like it."""

DENSE = 4
"""Whole numbers below so many times their count are told apart by a table; others are sorted."""


def coarsened(x: Bounded, parts: int = 128) -> Bounded:
    """Wider bounds on a coarse grid, in which what differed by rounding is equal.

    Centers move by less than 1 / parts of the error, and errors grow by less than 10 / parts, of at
    most `COARSEST`. A number that is known exactly stays as it is.

    Args:
        x: of any shape.
        parts: how fine the grid is, a power of two.
    """
    with np.errstate(divide="ignore"):
        power = power_above(np.minimum(np.maximum(x.error, FINEST), COARSEST))
    grid = power / parts
    center = np.where(x.error == 0, x.center, rint(x.center / grid) * grid)
    error = np.where(x.error == 0, 0.0, x.error + np.abs(center - x.center))
    return Bounded(center, _upwards(error, power, parts))


def coarsened_stream(x: Stream) -> Stream:
    """The same of a stream, with all that is known of its errors."""
    found = coarsened(Bounded(x.center, x.error))
    box = x.box + np.abs(found.center - x.center)
    box, radii = (
        _upwards(each, power_above(np.minimum(np.maximum(each, FINEST), COARSEST)), 128)
        for each in (box, x.radii)
    )
    return Stream(found.center, found.error, box, radii, x.along).tight()


def _upwards(error: Array, power: Array, parts: int) -> Array:
    """A number that is not smaller, on a grid of `power`; 0 stays 0."""
    steps = ceil(error / power * (parts / 4) * (1 + 1e-12))
    return steps * power / (parts / 4)


def hull(rows: Bounded) -> Bounded:
    """What all rows are inside of: [row, ...] -> [...]. Where they are equal, it equals them."""
    if len(rows.center) == 1:
        return rows[0]
    low, high = (rows.center - rows.error).min(axis=0), (rows.center + rows.error).max(axis=0)
    center = (low + high) / 2
    spread = np.maximum(high - center, center - low)
    spread += FLOAT64_SLACK * (np.abs(low) + np.abs(high))
    is_one = (rows.center == rows.center[:1]).all(axis=0) & (rows.error == rows.error[:1]).all(axis=0)
    return Bounded(np.where(is_one, rows.center[0], center), np.where(is_one, rows.error[0], spread))


def alike(x: Stream) -> tuple[Stream, Ids]:
    """Rows that are nearly the same as one: some rows, and for each row of x one that holds it.

    What holds several rows is their hull. Its box is wider by how far their centers are from its own,
    and along a direction it may be as far off as any of them. Texts that differ in the order of their
    tokens often lead to rows that differ by what LayerNorm rounds. Where all are in one cell of a grid,
    and no error grows to more than `WIDER` times what it was, they are one.

    Proof: a row c + b + s W, with |b| <= box and |s| <= radii, is c' + (c - c' + b) + s W, and
    |c - c' + b| <= |c - c'| + box. The intervals of all rows are inside of their hull.
    """
    first, kinds = distinct(*x.columns)
    if len(first) < MANY_ROWS:
        return x[first], kinds
    rows = x[first]
    _, cells = distinct(np.rint(rows.center / CELL) + 0.0)
    order = np.argsort(cells, kind="stable")
    starts = np.searchsorted(cells[order], np.arange(cells.max() + 1))

    def most(each: Array) -> Array:
        """The largest of each cell: [row, ...] -> [cell, ...]."""
        return np.asarray(np.maximum.reduceat(each[order], starts))

    high, low = most(rows.center + rows.error), -most(rows.error - rows.center)
    center = (low + high) / 2
    error = np.maximum(high - center, center - low) + FLOAT64_SLACK * (np.abs(low) + np.abs(high))
    is_known = most(np.abs(rows.center - rows.center[order[starts]][cells]) + rows.error) == 0
    center = np.where(is_known, rows.center[order[starts]], center)
    error = np.where(is_known, 0.0, error)
    box = most(rows.box + np.abs(rows.center - center[cells])) * (1 + FLOAT64_SLACK)
    hulls = Stream(center, error, box, most(rows.radii), x.along)
    is_near = (error[cells] <= WIDER * rows.error).all(axis=1)
    is_whole = most(np.where(is_near, 0.0, 1.0)) == 0
    alone = np.flatnonzero(~is_whole[cells])
    places = np.where(is_whole, np.cumsum(is_whole) - 1, 0)[cells]
    places[alone] = int(is_whole.sum()) + np.arange(len(alone))
    return joined([hulls[is_whole].tight(), rows[alone]]), places[kinds]


def distinct(*columns: npt.NDArray[np.generic]) -> tuple[Ids, Ids]:
    """Which rows are distinct, and which of them each row equals.

    Args:
        columns: arrays with one row each, of any further shape, compared bit by bit.

    Returns:
        The first of each kind of equal rows: [kind]; and the kind of each row: [row].
    """
    count = len(columns[0])
    flat = [codes(c).reshape(count, math.prod(c.shape[1:])) for c in columns]
    parts = np.concatenate(flat, axis=1) if len(flat) > 1 else flat[0]
    if parts.shape[1] == 0:
        return np.zeros(min(count, 1), dtype=np.int64), np.zeros(count, dtype=np.int64)
    factors = np.random.default_rng(0).integers(
        1, 1 << 63, parts.shape[1], dtype=np.uint64
    ) | np.uint64(1)
    mixed = (parts ^ (parts >> np.uint64(31))) @ factors  # a hash; equality is checked below
    mixed ^= mixed >> np.uint64(29)
    first, kinds = _sorted(mixed)
    if (parts != parts[first[kinds]]).any():  # two rows with one hash: sort them in full
        _, first, kinds = np.unique(parts, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), kinds.reshape(-1).astype(np.int64)


def combinations(*columns: Ids) -> tuple[Ids, Ids]:
    """The same of columns of whole numbers from 0 on, mostly small ones: [row] each."""
    first, kinds = np.zeros(min(len(columns[0]), 1), dtype=np.int64), np.zeros_like(columns[0])
    for column in columns:
        width = int(column.max(initial=0)) + 1
        keys, most = kinds * width + column, len(first) * width
        first, kinds = _tabled(keys, most) if most <= DENSE * len(keys) else _sorted(keys)
    return first, kinds


def _tabled(keys: Ids, most: int) -> tuple[Ids, Ids]:
    """The first of each kind of equal numbers below `most`, and the kind of each."""
    firsts = np.full(most, -1)
    firsts[keys[::-1]] = np.arange(len(keys))[::-1]
    there = np.flatnonzero(firsts >= 0)
    number = np.empty(most, dtype=np.int64)
    number[there] = np.arange(len(there))
    return firsts[there], number[keys]


def _sorted(keys: npt.NDArray[np.int64] | npt.NDArray[np.uint64]) -> tuple[Ids, Ids]:
    """The first of each kind of equal numbers, and the kind of each, in the order of the numbers."""
    if not len(keys):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.argsort(keys)  # not stable, and several times faster than what is
    listed = keys[order]
    is_new = np.concatenate([[True], listed[1:] != listed[:-1]])
    kinds = np.empty(len(keys), dtype=np.int64)
    kinds[order] = np.cumsum(is_new) - 1
    return np.minimum.reduceat(order, np.flatnonzero(is_new)), kinds


class Store:
    """Rows of bounded numbers, each once, by a number that stays the same."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._centers: list[npt.NDArray[np.float64]] = []
        self._errors: list[npt.NDArray[np.float64]] = []
        self._all: Bounded | None = None

    def __len__(self) -> int:
        return len(self._centers)

    def __getstate__(self) -> dict[str, Bounded | None]:
        """The rows; how to find their numbers is made again."""
        return {"rows": self.rows if len(self) else None}

    def __setstate__(self, state: dict[str, Bounded | None]) -> None:
        self.__init__()  # type: ignore[misc]
        rows = state["rows"]
        for center, error in () if rows is None else zip(rows.center, rows.error, strict=True):
            self._numbers[(key(center), key(error))] = len(self._centers)
            self._centers.append(center)
            self._errors.append(error)

    def numbers(self, rows: Bounded) -> Ids:
        """The number of each row: [row]; a new one where it was not there."""
        first, kinds = distinct(rows.center, rows.error)
        found = np.empty(len(first), dtype=np.int64)
        for i, (center, error) in enumerate(zip(rows.center[first], rows.error[first], strict=True)):
            number = self._numbers.setdefault((key(center), key(error)), len(self._centers))
            if number == len(self._centers):
                self._centers.append(center)
                self._errors.append(error)
                self._all = None
            found[i] = number
        return found[kinds]

    @property
    def rows(self) -> Bounded:
        """All rows: [number, ...]."""
        if self._all is None:
            self._all = Bounded(np.stack(self._centers), np.stack(self._errors))
        return self._all
