"""Check answers batch by batch: count wrong ones, and keep the smallest logit margin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import numpy as np

from handcraft.circuits import Circuits
from handcraft.language import Program
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.verify.exercises import Counts, Exercised, Exercises
from handcraft.verify.meant import broken_assumption
from handcraft.verify.probabilities import CLOSE, probability_errors, probability_margins
from handcraft.verify.report import Failure, Report
from handcraft.verify.texts.batch import Batch, Ids

SHOWN = 10
"""How many failures a report keeps, each context once."""


@dataclass
class Found:
    """What was found of some contexts.

    Args:
        tried: how many there were.
        failed: how many answers were wrong.
        failures: the first of these, each context once.
        margin: the smallest logit margin.
        margin_context: after which context that is.
        margin_position: at which position of it; None at its end.
        counts: what `Exercises` counted; empty where it did not.
    """

    tried: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    margin: float = inf
    margin_context: str = ""
    margin_position: int | None = None
    counts: Counts = ()

    def take(self, later: Found) -> None:
        """Add what was found of the contexts that come next."""
        self.tried += later.tried
        self.failed += later.failed
        for failure in later.failures:
            self.add_failure(failure)
        if later.margin_context:
            self.add_margin(later.margin, later.margin_context, later.margin_position)
        if later.counts:
            mine = self.counts or (0,) * len(later.counts)
            self.counts = tuple(one + other for one, other in zip(mine, later.counts, strict=True))

    def add_margin(self, margin: float, context: str, position: int | None) -> None:
        """Keep a margin if it is the smallest so far."""
        if margin < self.margin or not self.margin_context:
            self.margin, self.margin_context, self.margin_position = margin, context, position

    def lacks(self, context: str, position: int | None) -> bool:
        """Whether a failure there would be a new one; a sample may have a context twice."""
        return all((each.context, each.position) != (context, position) for each in self.failures)

    def add_failure(self, failure: Failure) -> None:
        """Keep a failure, if it is one of the first."""
        if len(self.failures) < SHOWN and self.lacks(failure.context, failure.position):
            self.failures.append(failure)

    def report(self, source: Program | Circuits, **more: Any) -> Report:
        """What was found; `more` are the fields that say which contexts were tried."""
        exercised = Exercises(source).described(self.counts) if self.counts else Exercised()
        return Report(
            failed=self.failed,
            failures=tuple(self.failures),
            margin=self.margin,
            margin_context=self.margin_context,
            margin_position=self.margin_position,
            rules=exercised.rules,
            answers=exercised.answers,
            selections=exercised.selections,
            counts_rules=isinstance(source, Program),
            **more,
        )


class Tally:
    """Counts right and wrong answers, batch by batch."""

    def __init__(self, model: Model, source: Program | Circuits | None = None) -> None:
        self.model = model
        self.source = source
        self.found = Found()

    def add(self, batch: Batch, expected: Ids, probabilities: Array | None = None) -> None:
        """Check one batch: the tokens and, if the program predicts distributions, the probabilities."""
        margins = logit_margins(batch.logits, expected)
        errors = np.full(len(expected), np.nan)
        if probabilities is not None:
            known = (probabilities > 0).any(axis=1)  # nothing is, where an assumption is broken
            errors[known] = probability_errors(batch.logits[known], probabilities[known])
            margins[known] = probability_margins(batch.logits[known], probabilities[known])
        found = self.found
        found.tried += int(batch.is_last.sum())
        lowest = int(margins.argmin())
        found.add_margin(float(margins[lowest]), self._text(batch, lowest), _position(batch, lowest))
        wrong = np.flatnonzero(~(margins > 0) | (errors > CLOSE))
        found.failed += len(wrong)
        for row in wrong.tolist():
            if len(found.failures) == SHOWN:
                break
            if not found.lacks(self._text(batch, row), _position(batch, row)):
                continue
            failure = self._failure(batch, row, int(expected[row]), margins[row])
            is_other = not margins[row] > 0 and (
                probabilities is None or (probabilities[row] > 0).sum() <= 1
            )
            found.add_failure(failure if is_other else replace(failure, error=float(errors[row])))

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
