"""Try inputs on a model: the margin of what is meant, after each prompt that they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from handcraft.testing.means.meaning import Asked, Meaning
from handcraft.testing.models.answering import Array, Flags, Ids
from handcraft.testing.models.checked import CheckedModel
from handcraft.verify.probabilities import CLOSE, probability_errors, probability_margins
from handcraft.verify.tally import logit_margins

ROWS = 256
"""How many prompts are answered at once where a model has very many tokens."""

MANY = 4_096
"""The same where it has few."""


@dataclass(frozen=True)
class Answers:
    """What a model answered to some prompts.

    Args:
        asked: the prompts, and what is meant.
        margins: the logit of the right token less the best other one, [text, place]; of probabilities
            the least logit of those that may follow less the best of those that may not.
        answered: the column with the highest logit, [text, place].
        rivals: the column with the highest logit of those that are wrong, [text, place].
        logits: of these two and of the right token: [text, place, answered / rival / right].
        errors: of probabilities the total variation distance, [text, place]; else 0.
    """

    asked: Asked
    margins: Array
    answered: Ids
    rivals: Ids
    logits: Array
    errors: Array

    def wrong(self, least_margin: float) -> Flags:
        """Where the answer is not what is meant, or not by this margin: [text, place]."""
        enough = (self.margins > 0) & (self.margins >= least_margin)
        return np.asarray(~enough | (self.errors > CLOSE))


@dataclass(frozen=True)
class Trying:
    """A model and what is meant.

    Args:
        subject: the model under test.
        meaning: what it should answer.
        rule: only prompts where the rule of this number decides; None for all.
    """

    subject: CheckedModel
    meaning: Meaning
    rule: int | None = None

    def answers(self, inputs: Ids) -> Iterator[Answers]:
        """What the model answers to the prompts that some inputs make, [text, position]."""
        rows = MANY if len(self.subject.model.vocabulary) < MANY else ROWS
        for asked in self.meaning.asked(inputs):
            chosen = asked if self.rule is None else _where(asked, self.rule)
            for start in range(0, len(chosen.texts), rows):
                yield self._answers(_part(chosen, slice(start, start + rows)))

    def lowest(self, inputs: Ids, least_margin: float = 0) -> tuple[Array, Flags]:
        """The lowest margin of the prompts that each input makes, and whether one is answered wrong.

        Args:
            inputs: [text, position].
            least_margin: the margin that is asked for.

        Returns:
            Both [text]; infinite and False where nothing is meant.
        """
        row_of = {tuple(text): row for row, text in enumerate(inputs.tolist())}
        lowest, wrong = np.full(len(inputs), np.inf), np.zeros(len(inputs), dtype=bool)
        for answers in self.answers(inputs):
            first = answers.asked.texts[:, : answers.asked.first].tolist()
            rows = np.array([row_of[tuple(text)] for text in first], dtype=np.int64)
            np.minimum.at(lowest, rows, answers.margins.min(axis=1))
            np.logical_or.at(wrong, rows, answers.wrong(least_margin).any(axis=1))
        return lowest, wrong

    def _answers(self, asked: Asked) -> Answers:
        logits = self.subject.logits(asked.texts, everywhere=asked.everywhere)
        shape, columns = asked.right.shape, logits.shape[2]
        flat = logits.reshape(-1, columns).astype(np.float64)
        right = asked.right.reshape(-1)
        rows = np.arange(len(flat))
        others = flat.copy()
        others[rows[right >= 0], right[right >= 0]] = -np.inf
        margins: Array = logit_margins(flat, right)
        errors: Array = np.zeros(len(flat))
        if asked.likely is not None:
            likely = np.zeros(flat.shape)
            likely[:, : len(self.subject.vocabulary)] = asked.likely.reshape(len(flat), -1)
            margins, errors = probability_margins(flat, likely), probability_errors(flat, likely)
            others = np.where(likely > 0, -np.inf, flat)
        answered, rivals = flat.argmax(axis=1), others.argmax(axis=1)
        shown = np.stack([flat[rows, answered], flat[rows, rivals], flat[rows, right]], axis=1)
        return Answers(
            asked,
            margins.reshape(shape),
            answered.reshape(shape),
            rivals.reshape(shape),
            shown.reshape(*shape, 3),
            errors.reshape(shape),
        )


def _part(asked: Asked, rows: slice | Flags) -> Asked:
    likely = None if asked.likely is None else asked.likely[rows]
    texts, right, rules = asked.texts[rows], asked.right[rows], asked.rules[rows]
    return replace(asked, texts=texts, right=right, rules=rules, likely=likely)


def _where(asked: Asked, rule: int) -> Asked:
    """The prompts after which one rule decides, at some position."""
    return _part(asked, (asked.rules == rule).any(axis=1))
