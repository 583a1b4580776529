"""Check answers batch by batch: count wrong ones, and keep the smallest logit margin."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from handcraft.circuits import Circuits
from handcraft.language import Program
from handcraft.model import Model
from handcraft.model.attention import Array
from handcraft.verify.exercises import Exercises
from handcraft.verify.meant import broken_assumption
from handcraft.verify.probabilities import CLOSE, probability_errors, probability_margins
from handcraft.verify.report import Failure, Report
from handcraft.verify.texts.contexts import Batch, Ids

SHOWN = 10
"""How many failures a report keeps, each context once."""


class Tally:
    """Counts right and wrong answers, batch by batch."""

    def __init__(self, model: Model, source: Program | Circuits | None = None) -> None:
        self.model = model
        self.source = source
        self.tried = 0
        self.failed = 0
        self.failures: list[Failure] = []
        self._listed: set[tuple[str, int | None]] = set()
        self.margin = inf
        self.margin_context = ""
        self.margin_position: int | None = None

    def add(self, batch: Batch, expected: Ids, probabilities: Array | None = None) -> None:
        """Check one batch: the tokens and, if the program predicts distributions, the probabilities."""
        margins = logit_margins(batch.logits, expected)
        errors = np.full(len(expected), np.nan)
        if probabilities is not None:
            known = (probabilities > 0).any(axis=1)  # nothing is, where an assumption is broken
            errors[known] = probability_errors(batch.logits[known], probabilities[known])
            margins[known] = probability_margins(batch.logits[known], probabilities[known])
        self.tried += int(batch.is_last.sum())
        lowest = int(margins.argmin())
        if margins[lowest] < self.margin or not self.margin_context:
            self.margin = float(margins[lowest])
            self.margin_context = self._text(batch, lowest)
            self.margin_position = _position(batch, lowest)
        wrong = np.flatnonzero(~(margins > 0) | (errors > CLOSE))
        self.failed += len(wrong)
        for row in wrong.tolist():
            if len(self.failures) == SHOWN:
                break
            if (self._text(batch, row), _position(batch, row)) in self._listed:
                continue  # a sample may have a context twice
            self._listed.add((self._text(batch, row), _position(batch, row)))
            found = self._failure(batch, row, int(expected[row]), margins[row])
            is_other = not margins[row] > 0 and (
                probabilities is None or (probabilities[row] > 0).sum() <= 1
            )
            self.failures.append(found if is_other else replace(found, error=float(errors[row])))

    def report(self, exercises: Exercises | None, **more: Any) -> Report:
        """What was found; `more` are the fields that say which contexts were tried."""
        return Report(
            failed=self.failed,
            failures=tuple(self.failures),
            margin=self.margin,
            margin_context=self.margin_context,
            margin_position=self.margin_position,
            rules=exercises.rules if exercises is not None else (),
            answers=exercises.answers if exercises is not None else (),
            selections=exercises.selections if exercises is not None else (),
            counts_rules=isinstance(self.source, Program),
            **more,
        )

    def _text(self, batch: Batch, row: int) -> str:
        vocabulary = self.model.vocabulary
        return vocabulary.join(vocabulary.tokens[token] for token in batch.context(row))

    def _token(self, token: int) -> str:
        tokens = self.model.vocabulary.tokens
        return tokens[token] if token < len(tokens) else "a padding token"

    def _failure(self, batch: Batch, row: int, expected: int, margin: float) -> Failure:
        context = batch.context(row)
        return Failure(
            self._text(batch, row),
            None if expected < 0 else self._token(expected),
            self._token(int(batch.logits[row].argmax())),
            float(margin),
            _position(batch, row),
            broken_assumption(self.source, context) if expected < 0 else None,
        )


def _position(batch: Batch, row: int) -> int | None:
    """The position of an answer in its context; None at the end."""
    return None if batch.is_last[row] else int(batch.places[row])


def logit_margins(logits: Array, expected: Ids) -> Array:
    """The logit of the right token less the best wrong one.

    Args:
        logits: [batch, n_vocab].
        expected: the right token of each row, [batch]; -1 where there is none.

    Returns:
        [batch]; infinite with a single token, and -inf where no token is right.
    """
    rows = np.arange(len(expected))
    others = logits.copy()
    others[rows, expected] = -np.inf
    margins = logits[rows, expected] - others.max(axis=1)
    margins[expected < 0] = -np.inf
    return np.asarray(margins)
