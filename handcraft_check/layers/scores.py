"""Attention scores of queries and keys, and what the errors of these have in common.

LayerNorm has one error of its mean and one of its scale in each row. Either reaches all dimensions of
a query or a key at once, and a score reads them together: a mean that is off moves a key along one
direction, which the query may not read at all, and a scale that is off moves a score by a part of
itself. So a query and a key have two numbers behind their dimensions, whose errors say how far they
may be moved in these two ways. What is left is the error of each dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import FLOAT64_SLACK, UNIT, Bounded, product_error
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Matrix

COMMON = 2
"""The numbers behind the dimensions of a query or a key: 0, up to the errors of mean and scale."""


@dataclass(frozen=True, eq=False)
class Matching:
    """How the heads of a block make queries and keys of a normalized row.

    Args:
        matrix: [n_embd, 2 * head * dimension].
        mean: what is added where the normalized row is moved by its gain: [2, head, dimension].
        fixed: the part that the scale does not multiply: [2, head, dimension].
        terms: how many dimensions of each head have queries and keys that are not 0: [head].
    """

    matrix: Matrix
    mean: Array
    fixed: Array
    terms: Array

    @classmethod
    def of(cls, matrix: Matrix, heads: int, terms: Array, gain: Array, bias: Array) -> Matching:
        """Behind a LayerNorm with this gain and bias: [n_embd]."""
        shape = (2, heads, matrix.weight.shape[1] // max(2 * heads, 1))
        mean, fixed = ((each @ matrix.weight).reshape(shape) for each in (gain, bias))
        return cls(matrix, mean, fixed + matrix.bias.reshape(mean.shape), terms)

    def boxes(self, x: Bounded) -> tuple[Bounded, Bounded]:
        """Queries and keys whose errors have nothing in common.

        Args:
            x: what the matrix makes of rows: [row, 2 * head * dimension].

        Returns:
            [row, head, dimension + 2] each.
        """
        none = np.zeros(len(x.center))
        return self._split(x, none, none)

    def read(self, x: Normed) -> tuple[Bounded, Bounded]:
        """Queries and keys of normalized rows: [row, head, dimension + 2] each."""
        return self._split(x.read_about_the_mean(self.matrix), x.shift, x.scale)

    def _split(self, x: Bounded, shift: Array, scale: Array) -> tuple[Bounded, Bounded]:
        rows, (_, heads, width) = len(x.center), self.mean.shape
        center, error = np.zeros((2, 2, rows, heads, width + COMMON), dtype=x.center.dtype)
        for place, numbers in ((center, x.center), (error, x.error)):
            place[..., :width] = numbers.reshape(rows, 2, heads, width).swapaxes(0, 1)
        error[..., width] = shift[:, None]
        error[..., width + 1] = scale[:, None]
        return Bounded(center[0], error[0]), Bounded(center[1], error[1])

    def dot(
        self, queries: Bounded, keys: Bounded, head: int | slice, around: Array | None = None
    ) -> tuple[Bounded, Array]:
        """The products of queries and keys, not scaled: [pair, head, dimension + 2] -> [pair, head].

        A query q + e and a key k + f have the product q k + e k + q f + e f. Where all products of a
        query may be off by a number that they have in common, e c is such a number, for any c, and
        e (k - c) is left, which is small for the keys that matter if c is one of them.

        Args:
            queries: of one head, they may have any shape without `head`.
            keys: the same.
            head: which heads these are.
            around: c, the same for all keys of a query, if there may be a common error.

        Returns:
            The products, and the largest absolute values that the exact ones can have.
        """
        q, k = (_Moved.of(x, self, part, head) for part, x in enumerate((queries, keys)))
        center = (q.center * k.center).sum(axis=-1)
        total = q.all, k.all
        magnitude = ((np.abs(q.center) + total[0]) * (np.abs(k.center) + total[1])).sum(axis=-1)
        of_key = k.read_by(q.center, center) + (total[0] * total[1]).sum(axis=-1)
        of_query = q.read_by(k.center, center)
        of_sum = product_error(magnitude, self.terms[head] + 2)  # the scale may come before
        largest = np.abs(center) + of_key + of_query
        if around is not None:
            from_there = k.center - around[..., :-COMMON]
            of_query = q.read_by(from_there, (q.center * from_there).sum(axis=-1))
            of_query += FLOAT64_SLACK * magnitude
        return Bounded(center, of_key + of_query + of_sum), largest + of_sum


@dataclass(frozen=True, eq=False)
class _Moved:
    """Queries or keys: center + s mean + t (center - fixed) + e, with |s| <= shift, |t| <= scale."""

    center: Array
    error: Array
    shift: Array
    scale: Array
    mean: Array
    fixed: Array

    @classmethod
    def of(cls, x: Bounded, matching: Matching, part: int, head: int | slice) -> _Moved:
        """What was stored on a grid or as a hull has another center, which scales other numbers.

        They are other by less than the error, so that t of that is added to it.
        """
        error, scale = x.error[..., :-COMMON], x.error[..., -1]
        return cls(
            x.center[..., :-COMMON],
            error * (1 + scale[..., None]),
            x.error[..., -2],
            scale,
            matching.mean[part, head],
            matching.fixed[part, head],
        )

    @property
    def all(self) -> Array:
        """How far each dimension can be off: [..., dimension]."""
        found = self.error + self.shift[..., None] * np.abs(self.mean)
        found += self.scale[..., None] * np.abs(self.center - self.fixed)
        return found

    def read_by(self, weights: Array, product: Array) -> Array:
        """How far a weighted sum of dimensions can be off.

        Args:
            weights: [..., dimension].
            product: the sum of the centers: [...].
        """
        found = (self.error * np.abs(weights)).sum(axis=-1)
        found += self.shift * np.abs((self.mean * weights).sum(axis=-1))
        found += self.scale * np.abs(product - (self.fixed * weights).sum(axis=-1))
        return np.asarray(found)


def scaled(dot: Bounded, largest: Array, factor: float) -> Bounded:
    """Scores in float32: the products times a factor, which is rounded, and so is the result."""
    return Bounded(dot.center * factor, (dot.error + 4 * UNIT * largest) * factor)
