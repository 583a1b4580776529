"""Whether logits are what a causal model answers: the same best token, or the same probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handcraft.ground_truth.causal.mechanisms import Flags, Ids
from handcraft.model.layers.attention import Array
from handcraft_check.program.meaning import Meaning


def are_answers(logits: Array, answers: Ids, meaning: Meaning) -> Flags:
    """Whether logits are right; false where nothing is answered.

    Args:
        logits: tokens of the vocabulary first, and in its order: [.., n_vocab].
        answers: as `Outcome.answers`: [..].
        meaning: what distributions stand for.
    """
    size = len(meaning.vocabulary)
    best: Ids = logits.argmax(axis=-1)
    found: Flags = (best == answers) & (answers >= 0)
    if meaning.within is None:
        return found
    for number, shares in enumerate(meaning.distributions):
        here = answers == size + number
        if not here.any():
            continue
        meant = np.zeros(logits.shape[-1])
        for place, share in shares.items():
            meant[place] = float(share)
        found[here] = _distance(logits[here], meant) <= float(meaning.within)
    tokens = (answers >= 0) & (answers < size)  # a token beside distributions has the probability 1
    certain = np.eye(logits.shape[-1])[answers[tokens]]
    found[tokens] = _distance(logits[tokens], certain) <= float(meaning.within)
    return found


def _distance(logits: Array, meant: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The total variation between the probabilities of logits and those that are meant: [answer]."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares = raised / raised.sum(axis=-1, keepdims=True)
    return np.asarray(np.abs(shares - meant).sum(axis=-1) / 2)
