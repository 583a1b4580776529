"""Arrays of exact numbers: whole numbers over one denominator.

The numerators are float64 as long as a bound shows that all of them, and all partial sums on the way to
them, are below 2**53: then nothing is rounded, and sums are as fast as those of a model. Beyond that
bound, and with symbols, arrays contain Python objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.circuits.number import Number, Plain, plainest

Entries: TypeAlias = "Sequence[tuple[int, int, Number]]"
"""A sparse matrix: (column that is read, column that is written, number)."""

EXACT_UP_TO = 1 << 53
"""Float64 represents every whole number up to it. If it is smaller, answers are the same but slower."""

DENSE = 32
"""A matrix is multiplied whole where it has no more numbers than this for each that is not 0."""


@dataclass(frozen=True, eq=False)
class ExactArray:
    """An array of exact numbers.

    Args:
        tops: the numerators: whole numbers as float64, or objects, which are integers or symbols.
        below: the denominator.
        most: no numerator in float64 is larger; None for objects.
    """

    tops: npt.NDArray[Any]
    below: int
    most: int | None

    @classmethod
    def of(cls, numbers: npt.ArrayLike) -> ExactArray:
        """Integers, fractions and symbols, of any shape."""
        given = np.asarray(numbers, dtype=object)
        flat = given.ravel().tolist()
        below = _below(flat)
        tops = np.empty(len(flat), dtype=object)
        tops[:] = [_times(number, below) for number in flat]
        return cls(tops.reshape(given.shape), below, None)._smallest()

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[tuple[int, Number]]], width: int) -> ExactArray:
        """Rows as their entries that are not 0: [row, width]."""
        below = _below([number for row in rows for _, number in row])
        tops = np.zeros((len(rows), width), dtype=object)
        for i, entries in enumerate(rows):
            for j, number in entries:
                tops[i, j] = _times(number, below)
        return cls(tops, below, None)._smallest()

    def _smallest(self) -> ExactArray:
        """The same, in float64 if that represents it exactly."""
        flat = self.tops.ravel().tolist()
        if not all(type(number) is int for number in flat):
            return self
        most = max(map(abs, flat), default=0)
        return (
            self if most >= EXACT_UP_TO else ExactArray(self.tops.astype(np.float64), self.below, most)
        )

    def __len__(self) -> int:
        return len(self.tops)

    @property
    def objects(self) -> npt.NDArray[np.object_]:
        """The numerators as Python objects."""
        if self.most is None:
            return self.tops
        return np.asarray(self.tops.astype(np.int64).astype(object))

    @property
    def plain(self) -> npt.NDArray[np.object_]:
        """The numbers themselves: integers, fractions or symbols."""
        if self.below == 1:
            return self.objects
        if self.most is None:
            found = np.empty(self.tops.size, dtype=object)
            found[:] = [_over(top, self.below) for top in self.tops.ravel().tolist()]
            return found.reshape(self.tops.shape)
        distinct, places = np.unique(self.tops, return_inverse=True)
        table = np.empty(len(distinct), dtype=object)
        table[:] = [_over(int(top), self.below) for top in distinct.tolist()]
        return np.asarray(table[places.reshape(self.tops.shape)])

    @property
    def floats(self) -> npt.NDArray[np.float64]:
        """The numbers, each rounded to float64."""
        if self.most is None:
            return self.plain.astype(np.float64)
        return np.asarray(self.tops / float(self.below))

    def over(self, below: int) -> ExactArray:
        """The same numbers over a multiple of their denominator."""
        times = below // self.below
        if times == 1:
            return self
        if self.most is not None and max(self.most, 1) * times < EXACT_UP_TO:
            return ExactArray(self.tops * times, below, self.most * times)
        return ExactArray(self.objects * times, below, None)

    def reaches(self, thresholds: Sequence[Plain]) -> npt.NDArray[np.bool_]:
        """Where numbers are at least the threshold of their column: [.., column]."""
        limits = [threshold * self.below for threshold in thresholds]
        if self.most is None:
            return np.asarray(self.tops >= self._limits(limits, ceil), dtype=bool)
        return np.asarray(self.tops >= _clipped(map(ceil, limits)))

    def exceeds(self, thresholds: Sequence[Plain]) -> npt.NDArray[np.bool_]:
        """Where numbers are more than the threshold of their column: [.., column]."""
        limits = [threshold * self.below for threshold in thresholds]
        if self.most is None:
            return np.asarray(self.tops > self._limits(limits, floor), dtype=bool)
        return np.asarray(self.tops > _clipped(map(floor, limits)))

    def _limits(self, limits: list[Plain], rounded: Callable[[Plain], int]) -> npt.NDArray[np.object_]:
        """What objects are compared with: whole numbers, unless there are symbols among them."""
        is_whole = all(type(top) is int for top in self.tops.ravel().tolist())
        return np.array([*map(rounded, limits)] if is_whole else limits, dtype=object)


def _clipped(limits: Iterable[int]) -> npt.NDArray[np.float64]:
    """Whole numbers to compare numerators with, which are all smaller than `EXACT_UP_TO`."""
    return np.array([max(-EXACT_UP_TO, min(EXACT_UP_TO, limit)) for limit in limits], dtype=np.float64)


def equal_weights(wins: npt.NDArray[np.bool_]) -> ExactArray:
    """1 shared among those that win in each row: [row, column]."""
    counts = wins.sum(axis=1)
    below = lcm(*np.unique(counts).tolist())
    if below < EXACT_UP_TO:
        return ExactArray(wins * (below / counts)[:, None], below, below)
    each = np.array([below // count for count in counts.tolist()], dtype=object)
    return ExactArray(wins.astype(object) * each[:, None], below, None)


def proportions(weights: npt.NDArray[np.object_]) -> ExactArray:
    """Each row of whole numbers over its sum: [row, column]."""
    totals = weights.sum(axis=1)
    below = lcm(*set(totals.tolist()))
    tops = weights * (below // totals)[:, None]
    return (
        ExactArray(tops.astype(np.float64), below, below)
        if below < EXACT_UP_TO
        else ExactArray(tops, below, None)
    )


def combine(
    parts: Iterable[tuple[ExactArray, Entries]],
    width: int,
    constants: Iterable[tuple[int, Number]] = (),
    *,
    rows: int = 1,
) -> ExactArray:
    """Sums of columns, times numbers: [row, width].

    Args:
        parts: arrays, [row, column], and which of their columns are added to which of the sums.
        width: how many sums there are.
        constants: what is added to which of the sums.
        rows: how many rows there are, where there are no parts.
    """
    listed = [(array, entries) for array, entries in parts if entries]
    added = [*constants]
    below = lcm(
        _below([number for _, number in added]),
        *(array.below * _below([n for *_, n in entries]) for array, entries in listed),
    )
    steps = [
        (array, [(i, j, _times(number, below // array.below)) for i, j, number in entries])
        for array, entries in listed
    ]
    start = [(j, _times(number, below)) for j, number in added]
    rows = len(listed[0][0]) if listed else rows
    most = _most(steps, start)
    if most is None:
        return ExactArray(_object_sums(steps, start, rows, width), below, None)
    sums = np.zeros((rows, width))
    for array, entries in steps:
        _add(sums, array.tops, entries)
    for j, number in start:
        sums[:, j] += float(number)
    return ExactArray(sums, below, most)


def product(left: ExactArray, right: ExactArray, total: int | None = None) -> ExactArray:
    """The inner product of vectors: [.., n] and [.., m, n] -> [.., m].

    Args:
        left: the vectors.
        right: what each is multiplied with.
        total: no sum of the absolute numerators of one vector is larger; None where nothing is known.
    """
    below = left.below * right.below
    if left.most is not None and right.most is not None:
        most = right.most * (left.most * left.tops.shape[-1] if total is None else total)
        if most < EXACT_UP_TO:
            sums = np.einsum("...n,...mn->...m", left.tops, right.tops)
            return ExactArray(sums, below, most)
    found = np.matmul(right.objects, left.objects[..., None])[..., 0]
    return ExactArray(np.asarray(found, dtype=object), below, None)


def add(parts: Sequence[ExactArray]) -> ExactArray:
    """The sum of arrays of one shape."""
    below = lcm(*(part.below for part in parts))
    scaled = [part.over(below) for part in parts]
    most = 0
    for part in scaled:
        if part.most is None or most + part.most >= EXACT_UP_TO:
            return ExactArray(sum(each.objects for each in scaled), below, None)  # type: ignore[arg-type]
        most += part.most
    return ExactArray(np.asarray(sum(part.tops for part in scaled)), below, most)


def join(parts: Sequence[ExactArray]) -> ExactArray:
    """Arrays, one after the other."""
    below = lcm(*(part.below for part in parts))
    scaled = [part.over(below) for part in parts]
    known = [part.most for part in scaled if part.most is not None]
    if len(known) == len(scaled):
        return ExactArray(np.concatenate([part.tops for part in scaled]), below, max(known))
    return ExactArray(np.concatenate([part.objects for part in scaled]), below, None)


def take(array: ExactArray, places: Any) -> ExactArray:
    """Some of an array, as NumPy would index it."""
    return replace(array, tops=array.tops[places])


def _most(
    steps: Sequence[tuple[ExactArray, Entries]], start: Sequence[tuple[int, Number]]
) -> int | None:
    """A bound on sums, partial ones among them, and on the factors; None where float64 is too small."""
    sizes: dict[int, int] = {}
    largest = 0
    for array, entries in steps:
        if array.most is None:
            return None
        for _, j, step in entries:
            if type(step) is not int:
                return None
            largest = max(largest, abs(step))
            sizes[j] = sizes.get(j, 0) + abs(step) * array.most
    for j, number in start:
        if type(number) is not int:
            return None
        sizes[j] = sizes.get(j, 0) + abs(number)
    most = max(sizes.values(), default=0)
    return most if max(most, largest) < EXACT_UP_TO else None


def _add(sums: npt.NDArray[np.float64], tops: npt.NDArray[np.float64], entries: Entries) -> None:
    """Add columns of `tops` times whole numbers to columns of `sums`, in place."""
    used = sorted({i for i, _, _ in entries})
    written = sorted({j for _, j, _ in entries})
    if len(used) * len(written) <= DENSE * len(entries):
        row, column = ({k: n for n, k in enumerate(each)} for each in (used, written))
        matrix = np.zeros((len(used), len(written)))
        for i, j, number in entries:
            matrix[row[i], column[j]] += number
        with np.errstate(
            all="ignore"
        ):  # a BLAS may raise flags without cause: no number here overflows
            sums[:, written] += tops[:, used] @ matrix
        return
    layers: list[list[tuple[int, int, Number]]] = []
    depth: dict[int, int] = {}
    for entry in entries:  # each sum once in a layer: an index adds to a column only once
        layer = depth[entry[1]] = depth.get(entry[1], -1) + 1
        if layer == len(layers):
            layers.append([])
        layers[layer].append(entry)
    for each in layers:
        columns, targets, numbers = zip(*each, strict=True)
        sums[:, targets] += tops[:, columns] * np.array(numbers, dtype=np.float64)


def _object_sums(
    steps: Sequence[tuple[ExactArray, Entries]],
    start: Sequence[tuple[int, Number]],
    rows: int,
    width: int,
) -> npt.NDArray[np.object_]:
    sums = np.zeros((rows, width), dtype=object)
    for array, entries in steps:
        columns = {i: take(array, (slice(None), i)).objects for i in {i for i, _, _ in entries}}
        for i, j, number in entries:
            sums[:, j] = sums[:, j] + columns[i] * number
    for j, number in start:
        sums[:, j] = sums[:, j] + number
    return sums


def _below(numbers: Iterable[Number]) -> int:
    """A denominator of all of them; that of a symbol is 1."""
    return lcm(*{number.denominator for number in numbers if isinstance(number, Fraction)})


def _times(number: Number, factor: int) -> Number:
    """A number times what makes it whole, as an integer."""
    found = number * factor
    return found.numerator if isinstance(found, Fraction) else found


def _over(top: Number, below: int) -> Number:
    return plainest(Fraction(top, below)) if isinstance(top, int) else top / below
