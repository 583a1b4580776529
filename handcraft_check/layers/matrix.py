"""Weight matrices that may be off, and how far a product with one can be off."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import is_power_of_two
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import product_error
from handcraft_check.arithmetic.stream import Directions

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A weight matrix and its bias: rows are read, columns are written.

    Args:
        weight: [in, out].
        bias: [out].
        apart: how far each weight may be from that in use: [in, out]; None for not at all.
        bias_apart: the same of the bias: [out].
    """

    weight: Array
    bias: Array
    apart: Array | None = None
    bias_apart: Array | None = None

    @cached_property
    def magnitude(self) -> Array:
        """The largest absolute value that each weight can have: [in, out]."""
        return np.abs(self.weight) + (0 if self.apart is None else self.apart)

    @cached_property
    def bias_magnitude(self) -> Array:
        """The same of the bias: [out]."""
        return np.abs(self.bias) + (0 if self.bias_apart is None else self.bias_apart)

    def product_error(self, size: Array, total: Array | None = None) -> Array:
        """How far the sum in use can be from the exact one with these weights: [row, out].

        Args:
            size: the largest absolute values of what is read; 0 is read as no term: [row, in].
            total: those of the exact sum with these weights, if they are known: [row, out].
        """
        is_read = size > 0
        terms = self.terms if is_read.all() else is_read @ self.is_used + (self.bias != 0)
        magnitude = size @ self.magnitude + self.bias_magnitude
        moved = np.zeros_like(magnitude) if self.apart is None else size @ self.apart
        if self.bias_apart is not None:
            moved += self.bias_apart
        total = None if total is None else total + moved
        return product_error(magnitude, terms, total, self.is_exact) + moved

    @cached_property
    def is_used(self) -> Array:
        """1 for each weight that is not 0: [in, out]."""
        return np.asarray(self.weight != 0, dtype=np.float64)

    @cached_property
    def is_exact(self) -> Flags:
        """Whether all weights of a column are surely powers of two, or 0: [out]."""
        is_power = is_power_of_two(self.weight) | (self.weight == 0)
        return np.asarray(is_power.all(axis=0) & (self.apart is None))

    @cached_property
    def terms(self) -> Array:
        """How many weights of each column are not 0, and one for a bias that is not: [out]."""
        return np.asarray((self.weight != 0).sum(axis=0) + (self.bias != 0), dtype=np.float64)

    @cached_property
    def directions(self) -> Directions:
        """Where the errors of what is read go."""
        return Directions.of(self.weight)

    @cached_property
    def differences(self) -> list[Matrix]:
        """For each column, the matrix of that column less each column, without the biases."""
        none = np.zeros(self.weight.shape[1])
        return [Matrix(column[:, None] - self.weight, none) for column in self.weight.T]

    def of_columns(self, columns: Ids) -> Matrix:
        """Some of the columns, and one of zeros for each -1."""
        is_there = columns >= 0

        def part(each: Array) -> Array:
            return np.where(is_there, each[..., columns], 0.0)

        apart = None if self.apart is None else part(self.apart)
        bias_apart = None if self.bias_apart is None else part(self.bias_apart)
        return Matrix(part(self.weight), part(self.bias), apart, bias_apart)

    def of_rows(self, rows: Ids) -> Matrix:
        """The columns as they read only some rows, and a row of zeros for each -1."""
        is_there = (rows >= 0)[:, None]
        weight = np.where(is_there, self.weight[rows], 0.0)
        apart = None if self.apart is None else np.where(is_there, self.apart[rows], 0.0)
        return Matrix(weight, self.bias, apart, self.bias_apart)
