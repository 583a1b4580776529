"""How probable each token should be, in programs that predict distributions, and is in a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handcraft.circuits import Circuits, ideal_logits
from handcraft.circuits.resolve import resolve
from handcraft.compiler.sequences.decisions import SHARES_WITHIN
from handcraft.language import Program
from handcraft.model.attention import Array, Flags
from handcraft.verify.meant import asked_of
from handcraft.verify.texts.contexts import Batch

CLOSE = 10 * SHARES_WITHIN
"""How far a probability may be off: ten times what the compiler lets a dtype round away."""

IMPOSSIBLE = 1e-12
"""Less than the probability of any token that is named, and more than that of those that are not."""

Shares = Callable[[Batch], Array]
"""From answers to how probable each token should be: [answer, n_vocab]."""


def shares_of(source: Program | Circuits) -> Shares | None:
    """How probable each token is that may follow; None where one always is sure."""
    if isinstance(source, Circuits):
        return _shares_of_circuits(source) if source.nats is not None else None
    if source.has_only_patterns or not any(isinstance(d.answer, dict) for d in source.decisions):
        return None
    return _shares_of_rules(source)


def _shares_of_rules(program: Program) -> Shares:
    def shares(batch: Batch) -> Array:
        found = np.zeros(batch.logits.shape)
        size = len(program.vocabulary)
        for here, texts, rows, places in asked_of(program, batch):
            found[here, :size] = program.probabilities_at(texts, rows, places)
        return found

    return shares


def _shares_of_circuits(circuits: Circuits) -> Shares:
    resolved = resolve(circuits)

    def shares(batch: Batch) -> Array:
        exact = ideal_logits(resolved, batch.texts)[batch.rows, batch.places].astype(np.float64)
        likely = probabilities(exact)
        found = np.zeros(batch.logits.shape)
        found[:, : exact.shape[1]] = np.where(likely < IMPOSSIBLE, 0, likely)
        return found

    return shares


def probabilities(logits: Array) -> Array:
    """Softmax: [answer, n_vocab] -> [answer, n_vocab]."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def share_errors(logits: Array, shares: Array) -> Array:
    """How much probability goes to other tokens than it should, the total variation distance: [answer].

    It is half the sum of what all tokens are off by. Where one token is sure it is what others get.
    """
    return np.asarray(np.abs(probabilities(logits) - shares).sum(axis=1) / 2)


def share_margins(logits: Array, shares: Array) -> Array:
    """The least logit of the tokens that may follow less the best of those that may not: [answer].

    Infinite where all may.
    """
    may: Flags = shares > 0
    least = np.where(may, logits, np.inf).min(axis=1)
    return np.asarray(least - np.where(may, -np.inf, logits).max(axis=1))
