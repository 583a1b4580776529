"""Compare the probabilities of a model with those that a program predicts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handcraft.circuits import Circuits
from handcraft.circuits.ideal import logits_of_prefixes
from handcraft.circuits.resolve import resolve
from handcraft.compiler.rules.rulings import SHARES_WITHIN
from handcraft.language import Program
from handcraft.model.layers.attention import Array, Flags, softmax
from handcraft.verify.meant import asked_of
from handcraft.verify.texts.batch import Batch

CLOSE = 10 * SHARES_WITHIN
"""The largest error of a probability: ten times what the compiler accepts from rounding."""

IMPOSSIBLE = 1e-12
"""Less than the probability of any token that is named, and more than that of those that are not."""

Probabilities = Callable[[Batch], Array]
"""From answers to how probable each token should be: [answer, n_vocab]."""


def probabilities_of(source: Program | Circuits) -> Probabilities | None:
    """How probable each token is that may follow; None where one always is sure."""
    if isinstance(source, Circuits):
        return _probabilities_of_circuits(source) if source.logit_scale is not None else None
    if source.has_only_patterns or not any(isinstance(d.answer, dict) for d in source.decisions):
        return None
    return _probabilities_of_rules(source)


def _probabilities_of_rules(program: Program) -> Probabilities:
    def probabilities(batch: Batch) -> Array:
        found = np.zeros(batch.logits.shape)
        size = len(program.vocabulary)
        for here, texts, rows, places in asked_of(batch, causal=program.prompts.causal):
            found[here, :size] = program.probabilities_at(texts, rows, places)
        return found

    return probabilities


def _probabilities_of_circuits(circuits: Circuits) -> Probabilities:
    resolved = resolve(circuits)

    def probabilities(batch: Batch) -> Array:
        logits, prefixes = logits_of_prefixes(resolved, batch.texts)
        exact = logits.floats[prefixes.of[batch.rows, batch.places]]
        likely = probabilities_after(exact)
        found = np.zeros(batch.logits.shape)
        found[:, : exact.shape[1]] = np.where(likely < IMPOSSIBLE, 0, likely)
        return found

    return probabilities


def probabilities_after(logits: Array) -> Array:
    """The softmax of logits, in float64: [.., n_vocab] -> [.., n_vocab]."""
    return softmax(logits.astype(np.float64))


def probability_errors(logits: Array, probabilities: Array) -> Array:
    """The total variation distance between the two distributions: [answer].

    It is half the sum of the errors of all tokens. Where one token is sure it is what others get.
    """
    return np.asarray(np.abs(probabilities_after(logits) - probabilities).sum(axis=1) / 2)


def probability_margins(logits: Array, probabilities: Array) -> Array:
    """The least logit of the tokens that may follow less the best of those that may not: [answer].

    Infinite where all may.
    """
    may: Flags = probabilities > 0
    least = np.where(may, logits, np.inf).min(axis=1)
    return np.asarray(least - np.where(may, -np.inf, logits).max(axis=1))
