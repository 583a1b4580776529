"""How far the right logit is above all others, for sums of alternatives."""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.layer_norm import Ids
from handcraft_check.layers.model import Model

ALIKE = 4
"""Where nothing is shown yet, differences are bounded if so many cases have one answer."""


def margins_of_sums(
    model: Model, x: NormedSums, logits: Bounded, answers: Ids, token_ids: Ids, least: float
) -> Array:
    """How far the right logit of each row surely is above all others: [row]; -inf where none is known.

    Each logit is known on its own. Errors of both cancel where their difference is bounded as one sum
    that is read of the stream. That is done for the smallest margins, from the least on, until those
    that are left are above one that was found in this way: it does not change the least of all.

    Args:
        model: the model.
        x: the last stream, normalized.
        logits: what is known of each logit on its own: [row, vocab_size].
        answers: the places in the vocabulary of the right tokens; -1 where they are not known: [row].
        token_ids: the id of each token of the vocabulary.
        least: one of the margins that were found before; infinite for none.
    """
    found = np.full(len(answers), -np.inf)
    rows = np.flatnonzero(answers >= 0)
    places, ids = np.arange(len(rows)), token_ids[answers[rows]]
    center, error = logits.center[rows], logits.error[rows]
    between = center[places, ids][:, None] - center
    apart = between - error[places, ids][:, None] - error
    for each in (between, apart):
        each[places, ids] = np.inf
    weakest = np.nan_to_num(apart.min(axis=1, initial=np.inf), nan=-np.inf, posinf=np.inf)
    found[rows] = weakest
    if model.regime.is_half:
        return found
    order = np.argsort(weakest, kind="stable")
    for token in dict.fromkeys(ids[order].tolist()):
        some = np.flatnonzero((ids == token) & (weakest <= least))
        if not len(some):
            break
        if weakest[some].max() <= 0 and len(some) < ALIKE:
            continue
        reachable = np.maximum(between[some].min(axis=1), 0.0)
        others = np.flatnonzero((apart[some] <= reachable[:, None]).any(axis=0))
        read = model.difference_read(x.rows(rows[some]), token, others)
        both = apart[some]
        both[:, others] = np.fmax(both[:, others], read.center - read.error)
        weakest[some] = found[rows[some]] = np.nan_to_num(both.min(axis=1), nan=-np.inf)
        least = min([least, *weakest[some][weakest[some] > 0].tolist()])
    return found
