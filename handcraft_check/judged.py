"""What must hold of logits: the token that is meant leads, or probabilities are near those meant.

An answer is a number: the place of a token in the vocabulary or, behind those, the number of a
distribution. A token is meant with probability 1 where the program has distributions too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

Differences = Callable[[Ids, int], Bounded]
"""Of some rows, the logit of one id less each logit: [row], id -> [row, vocab_size]."""

SLACK = 1e-12
"""More than float64 can be off in a logarithm of a probability, and relatively in what follows."""

FEW = 128
"""Where more tokens may follow, the difference of each two of them is not looked at."""

CELLS = 1 << 20
"""How many numbers are in memory at once."""


def distance_bound(apart: Array, leak: Array) -> Array:
    """How far, in total variation, the softmax of logits can be from a distribution.

    Let q be the distribution, S the tokens with q > 0, and d_i = l_i - log q_i for the logit l_i of
    each. If d_i - d_j <= h for all i and j in S, and the exponentials of all other logits together are
    at most a share r of those of S, then the distance is at most tanh(h / 4) + r.

    Proof: softmax over S alone is p_i = q_i e^d_i / sum of q_j e^d_j. Let A be a set of tokens with
    q(A) = a. Then p(A) >= a / (a + (1 - a) e^h), and a less this is largest for a = 1 / (1 + e^(-h/2)),
    where it is tanh(h / 4). The other tokens have at most the probability r, and the distance between
    the softmax with them and without them is that probability.

    Source: S. Cohen and E. Fausti, Hyperbolic contractivity and the Hilbert metric on probability
    measures (2023), arXiv 2309.02413: h is Hilbert's distance, and the bound is sharp.

    Args:
        apart: h: [...].
        leak: r: [...].

    Returns:
        [...]; at most 1, which is always true.
    """
    return np.minimum(np.tanh(np.maximum(apart, 0.0) / 4) * (1 + SLACK) + leak, 1.0)


@dataclass(frozen=True, eq=False)
class Judged:
    """What surely holds of logits: [row] each.

    Args:
        margins: how far each token that may follow is above all that may not; infinite where all may,
            and -inf where nothing is known, or no answer is.
        distances: how far probabilities may be from those meant, in total variation; 0 where the
            program has none.
    """

    margins: Array
    distances: Array

    def __getitem__(self, rows: Ids | Flags) -> Judged:
        return Judged(self.margins[rows], self.distances[rows])

    def and_of(self, more: Judged) -> Judged:
        """These rows, and more behind them."""
        return Judged(
            np.concatenate([self.margins, more.margins]),
            np.concatenate([self.distances, more.distances]),
        )

    def worst(self, flags: Flags) -> list[int]:
        """Of some rows, the one with the least margin and the one with the largest distance."""
        if not flags.any():
            return []
        margins = np.where(flags, self.margins, np.inf)
        distances = np.where(flags, self.distances, -np.inf)
        return [int(margins.argmin()), int(distances.argmax())]


class Judge:
    """What must hold of the logits of a model.

    Args:
        token_ids: the id of each token of the vocabulary.
        distributions: the probability of tokens, by their place; those left out have none.
        within: the total variation distance that is allowed; None where nothing is said of it.
        size: how many logits there are.
    """

    def __init__(
        self,
        token_ids: Ids,
        distributions: Sequence[Mapping[int, Fraction]],
        within: Fraction | None,
        size: int,
    ) -> None:
        self.token_ids, self.count = token_ids, len(token_ids)
        self.logs = np.full((len(distributions), size), -np.inf)
        for row, shares in zip(self.logs, distributions, strict=True):
            for place, share in shares.items():
                row[token_ids[place]] = log(share.numerator) - log(share.denominator)
        self.within = np.inf
        if within is not None:
            self.within = float(np.nextafter(float(within), 0.0))  # surely not above it

    def follows(self, answers: Ids, tokens: Ids) -> Flags:
        """Whether a token is what may follow: [row], [row] -> [row]; nothing follows -1."""
        found = answers == tokens
        rows = answers >= self.count
        logs = self.logs[answers[rows] - self.count, self.token_ids[tokens[rows]]]
        found[rows] = logs > -np.inf
        return np.asarray(found)

    def logs_of(self, answer: int) -> Array:
        """The logarithm of the probability of each id, -inf where it is 0: [vocab_size]."""
        if answer >= self.count:
            return np.asarray(self.logs[answer - self.count])
        found = np.full(self.logs.shape[1], -np.inf)
        found[self.token_ids[answer]] = 0.0
        return found

    def judged(self, logits: Bounded, answers: Ids, differences: Differences) -> Judged:
        """What surely holds of some rows.

        Args:
            logits: what is known of each, on its own: [row, vocab_size].
            answers: what is meant; -1 where it is not known: [row].
            differences: what is known of the difference of two; asked where few tokens may follow.
        """
        margins, distances = np.full(len(answers), -np.inf), np.ones(len(answers))
        for answer in np.unique(answers[answers >= 0]).tolist():
            rows, logs = np.flatnonzero(answers == answer), self.logs_of(answer)
            may = np.flatnonzero(logs > -np.inf)
            is_paired = len(may) <= FEW
            step = max(1, CELLS // (len(logs) * (len(may) if is_paired else 1)))
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                if is_paired:
                    apart, above = _paired([differences(some, token) for token in may.tolist()], logs)
                else:
                    apart, above = _boxed(logits[some], logs)
                above = np.delete(above, may, axis=2)
                with np.errstate(over="ignore"):
                    leak = np.exp(-above).sum(axis=2).min(axis=1) * (1 + SLACK)
                margins[some] = above.min(axis=(1, 2), initial=np.inf)
                distances[some] = distance_bound(apart + SLACK, leak)
        return Judged(
            np.nan_to_num(margins, nan=-np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(distances, nan=1.0),
        )


def _paired(found: Sequence[Bounded], logs: Array) -> tuple[Array, Array]:
    """What is known of rows from the difference of each logit that may follow and each other.

    Args:
        found: [row, vocab_size] of each token that may follow.
        logs: of the probabilities that are meant: [vocab_size].

    Returns:
        What `distance_bound` calls h, [row], and how far each token that may follow surely is above
        each, [row, token, vocab_size].
    """
    may = np.flatnonzero(logs > -np.inf)
    center = np.stack([each.center for each in found], axis=1)
    error = np.stack([each.error for each in found], axis=1)
    apart = (center + error)[:, :, may] - (logs[may][:, None] - logs[may])
    apart[:, np.arange(len(may)), np.arange(len(may))] = 0.0
    return apart.max(axis=(1, 2)), center - error


def _boxed(logits: Bounded, logs: Array) -> tuple[Array, Array]:
    """The same from what is known of each logit on its own; how far the least surely is above each."""
    may = np.flatnonzero(logs > -np.inf)
    off = logits.center[:, may] - logs[may]
    apart = (off + logits.error[:, may]).max(axis=1) - (off - logits.error[:, may]).min(axis=1)
    least = (logits.center - logits.error)[:, may].min(axis=1)
    return apart, (least[:, None] - (logits.center + logits.error))[:, None, :]


def surely_off(logits: Bounded, logs: Array) -> float:
    """A lower bound of the total variation distance of a softmax from a distribution.

    A token has its largest probability where its logit is largest and all others are least, and the
    other way round. The distance is at least what one token is off by.

    Args:
        logits: [vocab_size].
        logs: of the probabilities that are meant: [vocab_size].
    """
    low, high = logits.center - logits.error, logits.center + logits.error
    if not np.isfinite(low + high).all():
        return 0.0
    meant, small, large = np.exp(logs), np.exp(low - high.max()), np.exp(high - high.max())
    with np.errstate(invalid="ignore"):  # 0 / 0 where logits are far apart says nothing
        most = large / (large + np.maximum(small.sum() - small, 0.0))
        least = small / (small + np.maximum(large.sum() - large, 0.0))
    off = np.maximum(meant - most, least - meant)
    return float(np.nan_to_num(off, nan=0.0).max()) - SLACK
