"""Logit margins, where tokens are known only up to sets.

Of thousands of logits, few are near the right one. These few are bounded one by one, as the difference
of two logits, in which common errors cancel. All others are bounded together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded, product_error
from handcraft_check.arithmetic.stream import PRODUCT_SLACK
from handcraft_check.by_windows.cases import in_steps
from handcraft_check.by_windows.one_by_one import OneByOne
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.matrix import Ids, Matrix

ROWS = 1024
"""How many rows are bounded closely at a time; the least margin found excludes others."""

FEW = 32
"""Rows with more logits near the right one are bounded together, if they have one answer."""

WIDE = 2.0**-8
"""If the standard deviation differs more among alternatives, relatively, they are taken one by one."""

COLUMNS = 64
"""How many differences are bounded alternative by alternative at a time."""

CELLS = 1 << 22
"""How many numbers an array may have that is made in one piece."""


def margins_of_logits(logits: Bounded, answers: Ids, token_ids: Ids) -> Array:
    """How far the right logit surely is above all others: [row]; -inf where none is known.

    Args:
        logits: what is known of each on its own: [row, vocab_size].
        answers: the places in the vocabulary of the right tokens; -1 where they are not known: [row].
        token_ids: the id of each token of the vocabulary.
    """
    rows, ids = np.arange(len(answers)), token_ids[answers]
    own = logits.center[rows, ids] - logits.error[rows, ids]
    others = logits.center + logits.error
    others[rows, ids] = -np.inf
    found = np.where(answers >= 0, own - others.max(axis=1), -np.inf)
    return _or_nothing(found)


def margins_of_sums(
    x: NormedSums, unembedding: Matrix, answers: Ids, token_ids: Ids, least: float
) -> Array:
    """How far the right logit surely is above all others, if a matrix reads logits of sums.

    Each margin gets a rough bound first. Then margins are bounded closely, in the order of their rough
    bounds, until all that are left are above one that was found. So the least of all is bounded
    closely.

    Args:
        x: the last stream, normalized.
        unembedding: reads it.
        answers: the places in the vocabulary of the right tokens; -1 where they are not known: [row].
        token_ids: the id of each token of the vocabulary.
        least: one of the margins that were found before; infinite for none.
    """
    found, rows = np.full(len(answers), -np.inf), np.flatnonzero(answers >= 0)
    logits = _Logits(x.rows(rows), unembedding, token_ids[answers[rows]])
    margins = logits.roughly
    order = np.argsort(margins, kind="stable")
    for places in in_steps(len(order), ROWS):
        some = order[places]
        some = some[(margins[some] <= least) & (logits.reach[some] > 0)]
        if len(some):
            margins[some] = logits.closely(some, np.minimum(logits.reach[some], least))
            least = min([least, *margins[some][margins[some] > 0].tolist()])
    found[rows] = margins
    return found


@dataclass(frozen=True, eq=False)
class _Logits:
    """The right logit of each row, and all others.

    Args:
        x: what is read.
        matrix: reads it.
        ids: the right ones: [row].
    """

    x: NormedSums
    matrix: Matrix
    ids: Ids

    @cached_property
    def own(self) -> Bounded:
        """The right logit: [row]."""
        found = self.x.read_of_each(self.matrix.weight.T[self.ids])
        error = found.error + self._rounding(np.arange(len(self.ids)), self.ids)
        return Bounded(found.center + self.matrix.bias[self.ids], error)

    @cached_property
    def others(self) -> Array:
        """The most that each other logit is among alternatives, without errors: [row, vocab_size]."""
        weight = self.matrix.weight
        found = self.x.sums.most(lambda: self.x.behind(weight), self.matrix)
        found *= self.x.factor[:, None]
        found += self._constant
        found[np.arange(len(self.ids)), self.ids] = -np.inf
        return found

    @cached_property
    def _constant(self) -> Array:
        """The part of each logit that is added after the scale: [vocab_size]."""
        return np.asarray(self.x.bias @ self.matrix.weight + self.matrix.bias)

    @cached_property
    def error(self) -> Array:
        """The most that any logit can be above `others`, without the error of the scale: [row].

        Each weight is at most the largest of its dimension, and no term is less for larger weights.
        """
        x, weight = self.x, self.matrix.weight
        size, mean = np.abs(weight).max(axis=1), np.abs(x.gain @ weight).max()
        behind = np.abs(x.gain) * size + (mean / x.width if x.is_centred else 0.0)
        found = x.rest @ size + x.drift * mean
        found += x.factor * (1 + x.scale) * (x.stream.error @ behind)
        found += PRODUCT_SLACK * x.factor * (x.sums.size @ behind)
        magnitude = x.magnitude @ size + np.abs(self.matrix.bias).max()
        return np.asarray(found + product_error(magnitude, self.matrix.terms.max()))

    def _highest(self, others: Array) -> Array:
        """An upper bound on the largest other logit, from its value without errors: [row].

        With the error s of the scale, a sum v becomes at most v + s |v|. For s < 1 that is monotone in
        v.
        """
        size = np.abs(others) + np.abs(self._constant).max()
        is_known = (others > -np.inf) & (self.x.scale < 1)
        found = np.where(is_known, others, 0.0) + self.x.scale * np.where(is_known, size, 0.0)
        return np.where(others == -np.inf, -np.inf, np.where(is_known, found + self.error, np.inf))

    @cached_property
    def nearest(self) -> Array:
        """The largest of `others`: [row]."""
        return np.asarray(self.others.max(axis=1, initial=-np.inf))

    @cached_property
    def roughly(self) -> Array:
        """How far the right logit surely is above all others: [row]."""
        found = self.own.center - self.own.error - self._highest(self.nearest)
        return _or_nothing(found)

    @cached_property
    def reach(self) -> Array:
        """An estimate of the margin, by which `closely` chooses the logits that are near: [row]."""
        return np.asarray(self.own.center + self.own.error - self.nearest)

    def closely(self, rows: Ids, enough: Array) -> Array:
        """As `roughly`, for some rows, but with the differences to the logits that may be near.

        Args:
            rows: which rows.
            enough: a logit counts as near unless it is shown to be further away than this: [row].
        """
        own = (self.own.center - self.own.error)[rows]
        scale, size = self.x.scale[rows], np.abs(self._constant).max()
        least = own - enough - self.error[rows] - scale * size  # v + s |v| is that or more
        others = self.others[rows]
        is_near = others >= (least / (1 + scale * np.sign(least)))[:, None]
        others[is_near] = -np.inf
        far = np.full(len(self.ids), -np.inf)
        far[rows] = others.max(axis=1, initial=-np.inf)
        found = own - self._highest(far)[rows]
        is_many = is_near.sum(axis=1) > FEW
        for token in np.unique(self.ids[rows[is_many]]).tolist():
            some = np.flatnonzero(is_many & (self.ids[rows] == token))
            ids = np.flatnonzero(is_near[some].any(axis=0))
            found[some] = np.minimum(found[some], self._apart_from(token, rows[some], ids))
        some, ids = np.nonzero(is_near & ~is_many[:, None])
        for step in in_steps(len(some), max(1, CELLS // self.x.linear.shape[1])):
            np.minimum.at(found, some[step], self._apart(rows[some[step]], ids[step]))
        return _or_nothing(found)

    def _apart(self, rows: Ids, ids: Ids) -> Array:
        """How far the right logit of rows surely is above one other logit each: [pair]."""
        right, columns = self.ids[rows], self.matrix.weight.T
        found = self.x.rows(rows).read_of_each(columns[right] - columns[ids])
        error = found.error + self._rounding(rows, right) + self._rounding(rows, ids)
        return found.center + self.matrix.bias[right] - self.matrix.bias[ids] - error

    def _apart_from(self, token: int, rows: Ids, ids: Ids) -> Array:
        """How far one logit surely is above some others: [row]."""
        x, both = self.x.rows(rows), self.matrix.of_columns(np.append(ids, token))
        apart = Matrix(both.weight[:, -1:] - both.weight[:, :-1], both.bias[-1] - both.bias[:-1])
        found = x.read(apart, keeps=False)[0]
        least = found.center - found.error
        if x.scale.max() > WIDE:
            self._look_one_by_one(x, apart, least)
        rounding = both.product_error(x.magnitude)
        return np.asarray((least - rounding[:, :-1] - rounding[:, -1:]).min(axis=1))

    def _look_one_by_one(self, x: NormedSums, apart: Matrix, least: Array) -> None:
        """Raise the smallest lower bounds by taking alternatives one by one: [row, out].

        This is done in increasing order, until all others are above one of them.
        """
        alone, constant = OneByOne(x), x.bias @ apart.weight + apart.bias
        roughly = least.min(axis=0)
        order, lowest = np.argsort(roughly), np.inf
        for places in in_steps(len(order), COLUMNS):
            some = order[places]
            if roughly[some[0]] > 0 and roughly[some[0]] >= lowest:
                break
            found = alone.least(apart.weight[:, some]) + constant[some]
            least[:, some] = np.fmax(least[:, some], found)
            lowest = min(lowest, float(least[:, some].min()))

    def _rounding(self, rows: Ids, ids: Ids) -> Array:
        """How far a logit can be from the exact sum: [pair]."""
        matrix = self.matrix
        magnitude = (self.x.magnitude[rows] * np.abs(matrix.weight.T[ids])).sum(axis=1)
        magnitude += np.abs(matrix.bias[ids])
        return product_error(magnitude, matrix.terms[ids], None, matrix.is_exact[ids])


def _or_nothing(margins: Array) -> Array:
    """The same numbers with -inf in place of NaN: nothing is known of that margin."""
    return np.where(np.isnan(margins), -np.inf, margins)
