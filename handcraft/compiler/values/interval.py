"""Numbers with error bounds: the range of each, and how far its float may be from the exact number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.circuits.number import Plain, evaluate
from handcraft.dtype import FLOAT64
from handcraft.model.layers.attention import Array
from handcraft.weights.placement import PlacedTensor

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

ANY_GRID = 1 << 20
"""The grid of 0, which is a multiple of every power of two."""


@dataclass(frozen=True)
class Arithmetic:
    """How sums are rounded.

    Args:
        digits: the binary digits of a float, the first one included.
    """

    digits: int

    @property
    def unit(self) -> float:
        """Half a unit in the last place of 1: the largest relative error of rounding."""
        return 2.0**-self.digits

    def is_exact(self, size: Array, grid: Ints) -> Flags:
        """Whether sums of multiples of 2**grid are exact in any order: no partial sum is rounded.

        Args:
            size: no sum of absolute terms is larger.
            grid: all terms are multiples of two to this power.
        """
        exact: Flags = size <= np.ldexp(1.0, np.minimum(grid + self.digits, 1000))
        return exact


@dataclass(frozen=True)
class Bounded:
    """Exact numbers, and the errors of the floats that represent them.

    Args:
        low: no exact number is smaller.
        high: no exact number is larger.
        error: the absolute error bound of each float, without the relative errors: [number].
        relative: the relative error bound of each float: [number].
        grid: all floats are multiples of two to this power, where they are exact.
        part: a relative error bound that all numbers have in common, because LayerNorm scales a whole
            position.
    """

    low: Array
    high: Array
    error: Array
    relative: Array
    grid: Ints
    part: float = 0.0

    @property
    def largest(self) -> Array:
        """No exact number is larger, whatever its sign."""
        found: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return found

    @property
    def total_error(self) -> Array:
        """The total error bound of each float."""
        found: Array = self.error + (self.relative + self.part) * self.largest
        return found

    @property
    def is_exact(self) -> Flags:
        """Whether the floats are the numbers."""
        found: Flags = (self.error == 0) & (self.relative == 0) & (self.part == 0)
        return found

    def slice(self, first: int, last: int) -> Bounded:
        """Some of the numbers."""
        some = slice(first, last)
        low, high, error, relative = (
            each[some] for each in (self.low, self.high, self.error, self.relative)
        )
        return Bounded(low, high, error, relative, self.grid[some], self.part)


@dataclass(frozen=True)
class Stored:
    """The nonzero numbers of a matrix or a bias as they are stored.

    Args:
        rows: of each number; all 0 for a bias.
        columns: of each number.
        numbers: as stored.
        error: the error bound of each against the exact number.
        rounded: by how much rounding to the dtype changed each, to float64.
        grid: each is a multiple of two to this power.
        width: the number of columns.
    """

    rows: Ints
    columns: Ints
    numbers: Array
    error: Array
    rounded: Array
    grid: Ints
    width: int

    @classmethod
    def of(cls, placed: PlacedTensor, tensor: Array, values: Mapping[str, Plain]) -> Stored:
        """The placed numbers, and those stored in the tensor."""
        indices = np.array([*placed.values], dtype=np.int64).reshape(-1, tensor.ndim)
        numbers = tensor[tuple(indices.T)].astype(np.float64)
        exact = [evaluate(number, values) for number in placed.values.values()]
        rounded = numbers - np.array([float(number) for number in exact])
        error = np.abs(rounded)
        error += [0.0 if _is_dyadic(number) else abs(float(number)) * 2.0**-53 for number in exact]
        rows = indices[:, 0] if tensor.ndim == 2 else np.zeros(len(indices), dtype=np.int64)
        return cls(rows, indices[:, -1], numbers, error, rounded, grid_of(numbers), tensor.shape[-1])

    def none(self) -> Stored:
        """As many columns, without any number."""
        rows, columns, grid = self.rows[:0], self.columns[:0], self.grid[:0]
        numbers, error, rounded = (each[:0] for each in (self.numbers, self.error, self.rounded))
        return Stored(rows, columns, numbers, error, rounded, grid, self.width)

    def slice(self, first: int, last: int) -> Stored:
        """Some of the columns."""
        some = (self.columns >= first) & (self.columns < last)
        numbers, error, rounded = self.numbers[some], self.error[some], self.rounded[some]
        columns = self.columns[some] - first
        return Stored(self.rows[some], columns, numbers, error, rounded, self.grid[some], last - first)

    def per_column(self, numbers: Array) -> Array:
        """The sum of a number for each entry, column by column."""
        return np.bincount(self.columns, weights=numbers, minlength=self.width).astype(np.float64)

    def coarsest(self, grid: Ints) -> Ints:
        """The least power of two of the entries, column by column."""
        found = np.full(self.width, ANY_GRID, dtype=np.int64)
        np.minimum.at(found, self.columns, grid)
        return found

    def most(self, numbers: Array, groups: Ints) -> Array:
        """The largest sum of a number for each entry, or 0; one row of each group counts."""
        pairs, place = self._pairs(groups)
        largest = np.zeros(len(pairs))
        np.maximum.at(largest, place, numbers)
        columns = pairs // self._base(groups)
        return np.bincount(columns, weights=largest, minlength=self.width).astype(np.float64)

    def terms(self, groups: Ints) -> Array:
        """The most nonzero terms that a column can have; one row of each group counts."""
        pairs, _ = self._pairs(groups)
        return np.bincount(pairs // self._base(groups), minlength=self.width).astype(np.float64)

    def _pairs(self, groups: Ints) -> tuple[Ints, Ints]:
        """The different pairs of column and group, and the place of each entry among them."""
        pairs = self.columns * self._base(groups) + groups[self.rows]
        found, place = np.unique(pairs, return_inverse=True)
        return found, place

    def _base(self, groups: Ints) -> int:
        return int(groups.max(initial=0)) + 1


def _is_dyadic(number: Plain) -> bool:
    """Whether float64 represents a number exactly."""
    below = number.denominator
    return below & (below - 1) == 0 and abs(number.numerator) <= FLOAT64.whole


def grid_of(numbers: Array) -> Ints:
    """The largest power of two that each number is a multiple of, as its exponent."""
    mantissa, exponent = np.frexp(numbers)
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    lowest = whole & -whole
    powers = np.frexp(lowest.astype(np.float64))[1] - 1
    return np.where(whole == 0, ANY_GRID, exponent.astype(np.int64) - 53 + powers)


def is_power_of_two(numbers: Array) -> Flags:
    """Whether each number is a power of two, whatever its sign: a product with it is not rounded."""
    found: Flags = np.abs(np.frexp(numbers)[0]) == 0.5
    return found


def linear(weight: Stored, bias: Stored, x: Bounded, groups: Ints, arithmetic: Arithmetic) -> Bounded:
    """The result of a matrix and a bias, for any order in which terms are added.

    Args:
        weight: [in, out].
        bias: [out].
        x: [in].
        groups: of the numbers with the same group at most one is not 0: [in].
        arithmetic: in which it is computed.

    Returns:
        [out]. A result that is one number times a weight keeps the relative error of that number. The
        common relative error of x applies to a result without the bias, so `error` includes that part
        of the bias.
    """
    unit, rows, factors = arithmetic.unit, weight.rows, np.abs(weight.numbers)
    ends, largest = (weight.numbers * x.low[rows], weight.numbers * x.high[rows]), x.largest[rows]
    added, size = bias.per_column(bias.numbers), np.abs(bias.per_column(bias.numbers))
    rounded = weight.per_column(weight.error * largest)
    low = added - rounded - weight.most(-np.minimum(*ends), groups)
    high = added + rounded + weight.most(np.maximum(*ends), groups)
    size = size + weight.most(factors * (largest + x.error[rows]), groups)
    count = weight.terms(groups)
    is_sum = count + (added != 0) > 1
    parts = x.relative[rows] + weight.error / factors
    error = (1 + x.part) * weight.per_column(factors * x.error[rows])
    error += bias.per_column(bias.error) + np.where(count > 0, x.part * np.abs(added), 0.0)
    error += np.where(is_sum, weight.per_column(factors * largest * parts), 0.0)
    relative = np.zeros(weight.width)
    np.maximum.at(relative, weight.columns, parts)
    grid = np.minimum(
        weight.coarsest(weight.grid + np.where(x.is_exact, x.grid, -ANY_GRID)[rows]),
        bias.coarsest(bias.grid),
    )
    exact = (error == 0) & (relative == 0) & (x.part == 0) & arithmetic.is_exact(size, grid)
    error += np.where(is_sum & ~exact, unit * (count + 1) * (1 + x.part) * size, 0.0)
    relative = np.where(is_sum | exact | (count == 0), 0.0, relative + unit)
    return Bounded(low, high, error, relative, np.where(exact, grid, -ANY_GRID), x.part)


def bound_products(
    weight: Stored, always: Array, x: Bounded, key: Bounded, groups: Ints
) -> tuple[float, float]:
    """The largest sum of absolute products of a query and a key, and the most that are nonzero.

    Args:
        weight: of the queries: [in, head_dim].
        always: the constant part of every query: [head_dim].
        x: the numbers that queries are computed from: [in].
        key: at the source: [head_dim].
        groups: of the numbers with the same group at most one is not 0: [in].
    """
    keys, largest = key.largest + key.total_error, x.largest + x.total_error
    sizes = np.abs(weight.numbers) * largest[weight.rows] * keys[weight.columns]
    constant = np.abs(always) * keys
    found = []
    for terms, added in ((sizes, constant), (sizes > 0, constant > 0)):
        most = np.zeros(len(groups))
        np.maximum.at(most, groups, np.bincount(weight.rows, weights=terms, minlength=len(groups)))
        found.append(float(most.sum() + added.sum()))
    return found[0], found[1]


def score_error(
    query: Bounded,
    key: Bounded,
    most: tuple[float, float],
    scale: float,
    arithmetic: Arithmetic,
) -> float:
    """The error bound of an attention score of a head, in nats.

    Args:
        query: at the destination: [head_dim].
        key: at the source: [head_dim].
        most: the largest sum of their absolute products, and the most that are nonzero.
        scale: of scores.
        arithmetic: in which they are computed.
    """
    products = query.largest * key.largest
    grid = np.where(products == 0, ANY_GRID, query.grid + key.grid)
    size = np.array([products.sum()])
    exact = (query.is_exact & key.is_exact)[products > 0]
    if exact.all() and arithmetic.is_exact(size, grid.min(keepdims=True))[0]:
        return 0.0
    error = query.largest * key.error + key.largest * query.error + query.total_error * key.total_error
    part = float((query.relative + query.part + key.relative + key.part)[products > 0].max(initial=0))
    return scale * (float(error.sum()) + (part + arithmetic.unit * (most[1] + 2)) * most[0])


def tie_error(
    query: Bounded,
    key: Bounded,
    always: Array,
    most: tuple[float, float],
    scale: float,
    arithmetic: Arithmetic,
) -> float:
    """A bound on the score difference of two sources that should get equal attention weights, in nats.

    After LayerNorm every channel of a selected source has a query or a key that is 0, which stays 0
    whatever the scale. Only the key that gives position 0 its slack is more than 0; it is multiplied
    by the constant part of every query.

    Args:
        query: at the destination: [head_dim].
        key: at the source: [head_dim].
        always: the constant part of every query: [head_dim].
        most: the largest sum of absolute products, and the most that are nonzero.
        scale: of scores.
        arithmetic: in which they are computed.
    """
    part = max(query.part, key.part)
    if not part:
        return 2 * score_error(query, key, most, scale, arithmetic)
    error = query.largest * key.error + key.largest * query.error + query.error * key.error
    # all keys of a position have one scale; that of the queries differs
    slack = np.abs(always) * np.maximum(key.high, 0)
    return scale * float(2 * (1 + part) * error.sum() + (part + 8 * arithmetic.unit) * slack.sum())
