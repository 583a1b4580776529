"""Summands of a stream of which several alternatives are possible, such as what is read of a token."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.layers.half import NO_BIT, lowest_bit
from handcraft_check.layers.matrix import Ids

KEPT_UP_TO = 1 << 25
"""Products of a table and a matrix with more numbers are made again where they are read again."""

RANKED = 64
"""How many of the least and of the largest values of a column are kept in order, and how many rows of
large sets are multiplied at once."""

FEW = 8
"""Values are not put in order for so few large sets."""

Range = tuple[Array, Array]
"""The least and the largest values."""

Make = Callable[[], Array]
"""Makes a matrix: [dimension, out]."""


@dataclass(frozen=True, eq=False)
class Part:
    """A summand of which each row allows some alternatives.

    Args:
        table: the vectors: [alternative, dimension].
        sets: several alternatives each.
        chosen: what each row allows: the number of an alternative or, behind those, of a set: [row].
        read: what matrices make of the vectors, kept for parts that have the same table.
        run: each set lies within a run of so many alternatives; the first begins at 0.
    """

    table: Array
    sets: Sequence[Ids]
    chosen: Ids
    read: dict[Hashable, Any] = field(default_factory=dict)
    run: int = 0

    def rows(self, which: Ids) -> Part:
        """Some of the rows."""
        return Part(self.table, self.sets, self.chosen[which], self.read, self.run)

    def product(self, weight: Make, key: Hashable = None, columns: Ids | None = None) -> Array:
        """Weighted sums of each vector: [alternative, out].

        Args:
            weight: makes the weights: [dimension, out].
            key: who has the same key has the same weights; None to keep nothing.
            columns: some of the sums; all without it.
        """
        if key in self.read:
            found: Array = self.read[key]
        else:
            made = weight()
            if key is None or len(self.table) * made.shape[1] > KEPT_UP_TO:
                return self._product(made if columns is None else made[:, columns])
            found = self.read[key] = self._product(made)
        return found if columns is None else found[:, columns]

    def _product(self, weight: Array) -> Array:
        return np.asarray(self.live_table @ weight[self.live])

    @cached_property
    def lowest_bits(self) -> Ids:
        """The exponents of powers of two of which all numbers are multiples: [dimension]."""
        if "lowest bits" not in self.read:
            found = lowest_bit(self.table).min(axis=0, initial=NO_BIT)
            self.read["lowest bits"] = found.astype(np.float64)
        return np.asarray(self.read["lowest bits"].astype(np.int64))

    @cached_property
    def several(self) -> Sequence[tuple[Ids, Ids]]:
        """The sets of which a row allows any: their alternatives, and those rows."""
        rows = np.flatnonzero(self.chosen >= len(self.table))
        if not len(rows):
            return []
        rows = rows[np.argsort(self.chosen[rows], kind="stable")]
        parts = np.split(rows, np.flatnonzero(np.diff(self.chosen[rows])) + 1)
        return [(self.sets[self.chosen[part[0]] - len(self.table)], part) for part in parts]

    def ends(self, weight: Make, key: Hashable = None, columns: Ids | None = None) -> Ends | Flat:
        """What weighted sums may be, as for `product`."""
        if key not in self.read:
            shares = self._shares(weight, key)
            if shares is not None:
                return Flat(self.sums, shares if columns is None else shares[columns])
            made = weight()
            if key is None or len(self.table) * made.shape[1] > KEPT_UP_TO:
                used = self._used()
                return Ends(used, used.product(lambda: made, None, columns), None, columns)
        return Ends(self, self.product(weight, key, columns), key, columns)

    @property
    def live(self) -> Ids:
        """The dimensions that any alternative has."""
        found: Ids = self.read.setdefault("live", np.flatnonzero(self.table.any(axis=0)))
        return found

    @property
    def live_table(self) -> Array:
        """The vectors in these dimensions: [alternative, live dimension]."""
        if "live table" not in self.read:
            self.read["live table"] = self.table[:, self.live]
        return np.asarray(self.read["live table"])

    @property
    def sums(self) -> Ends:
        """What the sum of all dimensions may be."""
        return Ends(self, self.read.setdefault("sum", self.table.sum(axis=1)[:, None]), "sum", None)

    def ends_of_each(self, weight: Array) -> Range:
        """The least and the largest weighted sum where each row has weights of its own: [row] each.

        Args:
            weight: [row, dimension].
        """
        weight = weight[:, self.live]
        if not weight.size or (weight == weight[:, :1]).all():
            ends = Flat(self.sums, np.ones(1))
            factor = weight[:, :1] if weight.size else 0.0
            both = ends.least * factor, ends.most * factor
            return np.minimum(*both)[:, 0], np.maximum(*both)[:, 0]
        table = self.live_table
        low = np.einsum("rd,rd->r", table[np.minimum(self.chosen, len(table) - 1)], weight)
        high = low.copy()
        for alternatives, rows in self.several:
            step = max(1, KEPT_UP_TO // len(alternatives))
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                values = weight[some] @ table[alternatives].T
                low[some], high[some] = values.min(axis=1), values.max(axis=1)
        return low, high

    def _shares(self, make: Make, key: Hashable) -> Array | None:
        """What each weighted sum is of a vector with the sum 1, if that decides it: [out].

        A weighted sum of numbers that is read about their mean has one weight for all dimensions that
        nobody reads otherwise.
        """
        if ("shares", key) in self.read:
            known: Array | None = self.read["shares", key]
            return known
        weight, live = make(), self.live
        first = weight[live[0]] if len(live) else np.zeros(weight.shape[1])
        is_one = (weight[live[-1:]] == first).all() and (weight[live] == first).all()
        found = first if is_one else None
        if key is not None:
            self.read["shares", key] = found
        return found

    def _used(self) -> Part:
        """The same rows, of a table that only has the alternatives that one of them allows."""
        count, several = len(self.table), self.several
        single = self.chosen[self.chosen < count]
        used = np.unique(np.concatenate([single, *(each for each, _ in several)]))
        chosen = np.searchsorted(used, self.chosen)
        for number, (_, rows) in enumerate(several):
            chosen[rows] = len(used) + number
        return Part(self.table[used], [np.searchsorted(used, each) for each, _ in several], chosen)

    @cached_property
    def box(self) -> Range:
        """The least and the largest number of each dimension: [row, dimension] each."""
        ends, low = Ends(self, self.live_table, "live table", None), np.zeros(self._shape)
        high = low.copy()
        low[:, self.live], high[:, self.live] = ends.least, ends.most
        return low, high

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.chosen), self.table.shape[1]

    def squares_of(self, fixed: Array, alternatives: Ids, rows: Ids) -> Array:
        """The square, as in `squares`, of each of some alternatives: [row, alternative].

        Args:
            fixed: [row, dimension].
            alternatives: those that the rows have in common.
            rows: these.
        """
        fixed, middle = fixed[rows], (self.box[0][rows] + self.box[1][rows]) / 2
        own = (middle * (middle - 2 * fixed)).sum(axis=1)[:, None]
        lengths = np.square(self.live_table[alternatives]).sum(axis=1)
        product = (fixed - middle)[:, self.live] @ self.live_table[alternatives].T
        return np.asarray(lengths + 2 * product + own)

    def squares(self, fixed: Array) -> Range:
        """The least and the largest square of how far an alternative is from the middle of the box.

        With it, twice its product with something fixed. For an alternative t and the middle m, that is
        |t|^2 + 2 t (fixed - m) + |m|^2 - 2 fixed m.

        Args:
            fixed: [row, dimension].

        Returns:
            [row] each; 0 where a row has one alternative.
        """
        low, high = np.zeros((2, len(fixed)))
        lengths = self.read.setdefault("squares", np.square(self.table).sum(axis=1))
        middle, run = (self.box[0] + self.box[1]) / 2, self.run or len(self.table)
        apart, own = (fixed - middle)[:, self.live], (middle * (middle - 2 * fixed)).sum(axis=1)
        waiting: dict[int, list[tuple[Ids, int]]] = {}
        for alternatives, rows in self.several:
            first = int(alternatives[0]) // run * run
            if 2 * len(alternatives) > run:
                waiting.setdefault(first, []).extend((alternatives, row) for row in rows.tolist())
                continue
            each = lengths[alternatives] + 2 * apart[rows] @ self.live_table[alternatives].T
            low[rows], high[rows] = each.min(axis=1), each.max(axis=1)
        for first, large in waiting.items():
            of_run, squares = self.live_table[first : first + run].T, lengths[first : first + run]
            for start in range(0, len(large), RANKED):
                some = large[start : start + RANKED]
                every = squares + 2 * apart[[row for _, row in some]] @ of_run
                for (alternatives, row), each in zip(some, every, strict=True):
                    inside = each[alternatives - first]
                    low[row], high[row] = inside.min(), inside.max()
        is_several = self.chosen >= len(self.table)
        return low + np.where(is_several, own, 0.0), high + np.where(is_several, own, 0.0)


@dataclass(frozen=True, eq=False)
class Ends:
    """The least and the largest of some values of the alternatives that each row allows.

    The largest value of a set is the first in the order of all values that is one of the set. If a set
    has most of the alternatives, that is mostly the first or the second.

    Args:
        part: the alternatives.
        values: of each: [alternative, out].
        key: stands for the values of all columns, whose order is kept; None to keep nothing.
        columns: which columns these are.
    """

    part: Part
    values: Array
    key: Hashable
    columns: Ids | None

    @property
    def is_nothing(self) -> bool:
        """Whether all surely are 0."""
        return False

    @property
    def least(self) -> Array:
        """[row, out]."""
        return self._end(-1)

    @property
    def most(self) -> Array:
        """[row, out]."""
        return self._end(1)

    def _end(self, sign: int) -> Array:
        part, count = self.part, len(self.part.table)
        found = self.values[np.minimum(part.chosen, count - 1)]
        run = part.run or count
        is_ranked = [len(each) ** 2 > 4 * run for each, _ in part.several]
        is_kept = self.key in part.read and sum(is_ranked) > FEW
        for (alternatives, rows), is_large in zip(part.several, is_ranked, strict=True):
            if is_kept and is_large:
                found[rows] = self._of_ranked(alternatives, run, sign)
            else:
                some = self.values[alternatives]
                found[rows] = some.max(axis=0) if sign > 0 else some.min(axis=0)
        return np.asarray(found)

    def _of_ranked(self, alternatives: Ids, run: int, sign: int) -> Array:
        """The least or the largest value of a set that has many alternatives: [out]."""
        first = int(alternatives[0]) // run * run
        order = self._order(first, run, sign)
        is_in = np.zeros(run, dtype=bool)
        is_in[alternatives - first] = True
        at = order[:, 0].copy()
        left = np.flatnonzero(~is_in[at])
        for place in range(1, order.shape[1]):
            at[left] = order[left, place]
            left = left[~is_in[at[left]]]
            if not len(left):
                break
        found = self.values[first + at, np.arange(len(at))]
        if len(left):
            some = self.values[np.ix_(alternatives, left)]
            found[left] = some.max(axis=0) if sign > 0 else some.min(axis=0)
        return np.asarray(found)

    def _order(self, first: int, run: int, sign: int) -> Ids:
        """Of a run, the alternatives with the least or the largest values, in order: [out, place]."""
        key = ("order", self.key, first, sign)
        if key not in self.part.read:
            values = -sign * self.part.read[self.key][first : first + run].T
            most = min(RANKED, values.shape[1])
            some = np.argpartition(values, most - 1, axis=1)[:, :most]
            order = np.argsort(np.take_along_axis(values, some, axis=1), axis=1)
            self.part.read[key] = np.take_along_axis(some, order, axis=1).astype(np.int32)
        found: Ids = self.part.read[key]
        return found if self.columns is None else found[self.columns]


@dataclass(frozen=True, eq=False)
class Flat:
    """The same of values that are multiples of one number of each alternative.

    Args:
        sums: what this number may be: [row, 1].
        shares: the multiples: [out].
    """

    sums: Ends
    shares: Array

    @property
    def is_nothing(self) -> bool:
        """Whether all surely are 0."""
        return not self.shares.any() or not self.sums.values.any()

    @property
    def least(self) -> Array:
        """[row, out]."""
        return np.minimum(self.sums.least * self.shares, self.sums.most * self.shares)

    @property
    def most(self) -> Array:
        """[row, out]."""
        return np.maximum(self.sums.least * self.shares, self.sums.most * self.shares)
