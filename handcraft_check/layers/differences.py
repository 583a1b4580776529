"""Margins: differences of two logits, bounded as one sum because both read the same stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Ids, Matrix

CLOSE = 0.98
"""If a margin is bounded by less than this part of its center, the difference is bounded as one sum."""

PAIRED_UP_TO = 128
"""The largest vocabulary of which all differences of two logits are bounded."""


@dataclass(frozen=True, eq=False)
class Differences:
    """The differences of all pairs of logits of a model.

    An error of the stream moves a difference by what the weights of the two logits differ by. So the
    difference of two logits may be known better than each of them. The rounding of both sums is added.

    Args:
        unembedding: [n_embd, vocab_size].
    """

    unembedding: Matrix

    def margins(self, normed: Callable[[Ids], Normed] | None, logits: Bounded, ids: Ids) -> Array:
        """How far one logit of each row surely is above all others: [row].

        Args:
            normed: what the unembedding reads of some of the rows: [row, n_embd]; None if every step is
                rounded, so that a difference is not one sum.
            logits: what is known of each logit on its own: [row, vocab_size].
            ids: whose logit: [row].
        """
        rows = np.arange(len(ids))
        found = logits.center[rows, ids][:, None] - logits.center
        apart = found - logits.error[rows, ids][:, None] - logits.error
        for each in (found, apart):
            each[rows, ids] = np.inf
        least: Array = apart.min(axis=1)
        is_wide = least < CLOSE * found.min(axis=1)
        if normed is None or logits.center.shape[1] > PAIRED_UP_TO:
            return np.asarray(least)
        for token in np.unique(ids[is_wide]).tolist():
            some = np.flatnonzero(is_wide & (ids == token))
            both = found[some] - self._error(normed(some), token)
            least[some] = np.maximum(apart[some], both).min(axis=1)
        return np.asarray(least)

    def of_one(self, normed: Callable[[Ids], Normed] | None, logits: Bounded, token: int) -> Bounded:
        """One logit of each row less each logit: [row, vocab_size].

        Args:
            normed: as for `margins`.
            logits: what is known of each logit on its own: [row, vocab_size].
            token: the id of the one.
        """
        error = logits.error[:, token, None] + logits.error
        if normed is not None and logits.center.shape[1] <= PAIRED_UP_TO:
            error = np.minimum(error, self._error(normed(np.arange(len(error))), token))
        return Bounded(logits.center[:, token, None] - logits.center, error)

    def of_sums(self, x: NormedSums, token: int) -> Bounded:
        """One logit of each row less each logit, of rows of which alternatives are known.

        Args:
            x: the last stream, normalized: [row, n_embd].
            token: the id of the one.
        """
        matrix = self.unembedding
        apart = Matrix(matrix.weight[:, token, None] - matrix.weight, matrix.bias[token] - matrix.bias)
        found, _ = x.read(apart, keeps=False)
        rounding = matrix.product_error(x.magnitude)
        return Bounded(found.center, found.error + rounding + rounding[:, token, None])

    def _error(self, normed: Normed, token: int) -> Array:
        """How far the difference of one logit and each logit can be off: [row, vocab_size]."""
        matrix, rounding = (
            self.unembedding.differences[token],
            self.unembedding.product_error(normed.magnitude),
        )
        spread = normed.spread(matrix.weight, normed.readers(matrix))
        return np.asarray(spread + rounding + rounding[:, token, None])
