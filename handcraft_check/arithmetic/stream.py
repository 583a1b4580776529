"""The residual stream, of which is known what its errors have in common.

What one hidden unit is off by reaches all dimensions that it writes to, and so does what one number
that a head moves is off by. Who reads these dimensions together reads one error, which often cancels.

Source: affine arithmetic and its noise symbols (J. Stolfi and L. de Figueiredo, Self-Validated
Numerical Methods and Applications, 1997, chapter 3).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import codes, is_exact, is_power_of_two
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import TINY, UNIT, Bounded

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]

PRODUCT_SLACK = 1e-12
"""More than float64 can be off, relatively to the size of all terms, in a product of two matrices."""

MOST_DIRECTIONS = 4096
"""A matrix with more rows that differ by more than a factor has no directions: its errors are boxes."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Where errors of what a matrix reads go: units whose rows differ by a factor share a direction.

    Args:
        rows: one of each: [direction, dimension].
        scale: the absolute factor of each unit's row: [unit, direction].
        alone: the absolute part of each row that has no direction: [unit, dimension].
    """

    rows: Array
    scale: Array
    alone: Array

    @classmethod
    def of(cls, weight: Array) -> Directions:
        """The directions of the rows of a matrix: [unit, dimension].

        A row with one number has none, for there is nothing with which it could cancel. What a row
        differs by from the multiple of its direction, and float64 with it, is an error of its own.
        """
        alone = np.abs(weight)
        which = np.flatnonzero((weight != 0).sum(axis=1) > 1)
        chosen = weight[which]
        first = chosen[np.arange(len(which)), (chosen != 0).argmax(axis=1)]
        shares = chosen / first[:, None]
        _, kinds, kind = np.unique(
            codes(shares) if is_exact(shares) else shares,
            axis=0,
            return_index=True,
            return_inverse=True,
        )
        kind = kind.reshape(-1)
        if len(kinds) > MOST_DIRECTIONS:
            return cls(chosen[:0], np.zeros((len(weight), 0)), alone)
        rows = chosen[kinds]
        factor = first / first[kinds[kind]]
        apart = np.abs(chosen - factor[:, None] * rows[kind])
        is_power = is_power_of_two(factor)[:, None]  # a power of two
        alone[which] = np.where(is_power, apart, apart + 2.0**-48 * np.abs(chosen))
        scale = np.zeros((len(weight), len(rows)), dtype=weight.dtype)
        scale[which, kind] = np.abs(factor) * (1 + PRODUCT_SLACK)
        return cls(rows, scale, alone)

    def split(self, error: Array) -> tuple[Array, Array]:
        """The errors of units as those of dimensions, and the radii of the directions.

        Args:
            error: [row, unit].

        Returns:
            [row, dimension] and [row, direction].
        """
        return error @ self.alone, error @ self.scale


class Along:
    """All directions of the errors of a stream, with what its readers make of them."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.size = np.abs(rows)
        self._longer: dict[Directions, Along] = {}
        self._read: dict[Hashable, Readers] = {}

    def and_of(self, directions: Directions) -> Along:
        """These, and behind them those of one more matrix."""
        if directions not in self._longer:
            self._longer[directions] = Along(np.concatenate([self.rows, directions.rows]))
        return self._longer[directions]

    def readers(self, key: Hashable, weight: Callable[[], Array]) -> Readers:
        """What readers make of errors.

        Args:
            key: stands for the weights: who has the same key has the same weights.
            weight: makes them, [dimension, out].
        """
        if key not in self._read:
            self._read[key] = Readers.of(weight(), self)
        return self._read[key]


@dataclass(frozen=True, eq=False)
class Readers:
    """Weighted sums of dimensions.

    Args:
        size: the absolute weights: [dimension, out].
        along: the absolute sum along each direction, and what float64 may be off by: [direction, out].
        signed: the sum along each direction: [direction, out].
        weight: the weights: [dimension, out].
    """

    size: Array
    along: Array
    signed: Array
    weight: Array

    @classmethod
    def of(cls, weight: Array, along: Along) -> Readers:
        """Of weights: [dimension, out]."""
        size, signed = np.abs(weight), along.rows @ weight
        return cls(size, np.abs(signed) + PRODUCT_SLACK * (along.size @ size), signed, weight)

    def of_boxes(self, box: Array) -> Array:
        """How far errors of single dimensions move the sums: [row, dimension] -> [row, out]."""
        return np.asarray(box @ self.size)

    def of_radii(self, radii: Array) -> Array:
        """How far errors along directions move the sums: [row, direction] -> [row, out]."""
        return np.asarray(radii @ self.along)

    def of_vectors(self, vectors: Array) -> Array:
        """How far one vector of each row moves the sums: [row, dimension] -> [row, out]."""
        slack = np.abs(vectors).max(axis=1, initial=0.0)[:, None] * self.size.sum(axis=0)
        return np.asarray(np.abs(vectors @ self.weight) + PRODUCT_SLACK * slack)

    def of_directions(self, which: Ids) -> tuple[Array, Array]:
        """`signed` and `along` of one direction of each row: [row, out] each."""
        return self.signed[which], self.along[which]


@dataclass(frozen=True, eq=False)
class ReadersOfEach:
    """One weighted sum of each row, with weights of its own; as `Readers` with one column.

    Args:
        size: the absolute weights: [row, dimension].
        along: as in `Readers`: [row, direction].
        signed: the same.
        weight: [row, dimension].
    """

    size: Array
    along: Array
    signed: Array
    weight: Array

    @classmethod
    def of(cls, weight: Array, along: Along) -> ReadersOfEach:
        """Of weights: [row, dimension]."""
        size, signed = np.abs(weight), weight @ along.rows.T
        return cls(size, np.abs(signed) + PRODUCT_SLACK * (size @ along.size.T), signed, weight)

    def of_boxes(self, box: Array) -> Array:
        """As in `Readers`: [row, dimension] -> [row, 1]."""
        return np.asarray((box * self.size).sum(axis=1)[:, None])

    def of_radii(self, radii: Array) -> Array:
        """As in `Readers`: [row, direction] -> [row, 1]."""
        return np.asarray((radii * self.along).sum(axis=1)[:, None])

    def of_vectors(self, vectors: Array) -> Array:
        """As in `Readers`: [row, dimension] -> [row, 1]."""
        slack = (np.abs(vectors) * self.size).sum(axis=1)
        return np.asarray(np.abs((vectors * self.weight).sum(axis=1)) + PRODUCT_SLACK * slack)[:, None]

    def of_directions(self, which: Ids) -> tuple[Array, Array]:
        """As in `Readers`: [row, 1] each."""
        rows = np.arange(len(which))
        return self.signed[rows, which][:, None], self.along[rows, which][:, None]


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of the residual stream, known up to an error in two ways, both of which hold.

    The computed row is center + e with |e| <= error. And it is center + b + sum over k of s_k W_k with
    |b| <= box and |s_k| <= radii, where W_k are the directions.

    Args:
        center: [row, dimension].
        error: [row, dimension].
        box: [row, dimension].
        radii: [row, direction].
        along: the directions.
    """

    center: Array
    error: Array
    box: Array
    radii: Array
    along: Along

    @classmethod
    def of(cls, x: Bounded) -> Stream:
        """Rows whose errors have nothing in common."""
        none = Along(np.zeros((0, x.center.shape[1])))
        return cls(x.center, x.error, x.error, np.zeros((len(x.center), 0)), none)

    def __getitem__(self, rows: Any) -> Stream:
        return Stream(self.center[rows], self.error[rows], self.box[rows], self.radii[rows], self.along)

    @cached_property
    def columns(self) -> tuple[Array, ...]:
        """All that is known of each row."""
        return self.center, self.error, self.box, self.radii

    def spread(self, readers: Readers | ReadersOfEach) -> Array:
        """How far weighted sums of dimensions can be off: [row, out]."""
        whole = readers.of_boxes(self.error)
        return np.minimum(whole, readers.of_boxes(self.box) + readers.of_radii(self.radii))

    def spread_of_each(self, weight: Array) -> Array:
        """How far a weighted sum can be off where each row has weights of its own: [row].

        Args:
            weight: [row, dimension].
        """
        return np.asarray(self.spread(ReadersOfEach.of(weight, self.along))[:, 0])

    def rounded_to(self, to: Bounded, is_written: Flags) -> Stream:
        """This stream, which is a sum, behind the rounding of the addition.

        The addition rounds to the nearest: by UNIT of the result, where anything is added.

        Args:
            to: the sum, rounded, as a box: [row, dimension].
            is_written: the dimensions to which something is added: [dimension].
        """
        box = self.box + np.abs(to.center - self.center)
        box += np.where(is_written, UNIT * (np.abs(to.center) + to.error) + TINY, 0.0)
        return Stream(to.center, to.error, box, self.radii, self.along).tight()

    def tight(self) -> Stream:
        """Where no direction reaches a dimension, both ways of knowing its error are one."""
        common = self.radii @ self.along.size
        error = np.minimum(self.error, (self.box + common) * (1 + PRODUCT_SLACK))
        box = np.where(common == 0, error, self.box)
        return Stream(self.center, error, box, self.radii, self.along)


def joined(parts: Sequence[Stream]) -> Stream:
    """The rows of all parts, one below the other; their directions are the same."""
    center, error, box, radii = (
        np.concatenate(each) for each in zip(*(part.columns for part in parts), strict=True)
    )
    return Stream(center, error, box, radii, parts[0].along)
