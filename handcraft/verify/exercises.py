"""What a sample covered: how often each rule decided, and what each selection found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from handcraft.circuits import Circuits
from handcraft.language import Program
from handcraft.verify.meant import asked_of
from handcraft.verify.report import Exercise, Selected
from handcraft.verify.texts.batch import Batch, Ids

Counts: TypeAlias = tuple[Any, ...]
"""How often each rule decided, what each selection found, and how often each token was right.

Three arrays, which are added where several parts were counted: [rule + 1], [selection, 2], [token + 1].
"""


@dataclass(frozen=True)
class Exercised:
    """The counts with what they count.

    Args:
        rules: how often each rule decided.
        selections: how often each selection found a source, and how often none.
        answers: how often each token was right.
    """

    rules: tuple[Exercise, ...] = ()
    selections: tuple[Selected, ...] = ()
    answers: tuple[tuple[str, int], ...] = ()


class Exercises:
    """Counts, batch by batch, which rules decided, which tokens were right, and what selections found.

    Of circuits no rules are known.
    """

    def __init__(self, source: Program | Circuits) -> None:
        self.source = source
        self._rules = source.rules if isinstance(source, Program) else ()
        self._decided = np.zeros(len(self._rules) + 1, dtype=np.int64)  # the last: none did
        self._selections = source.selections if isinstance(source, Program) else ()
        self._selected = np.zeros((len(self._selections), 2), dtype=np.int64)
        self._right = np.zeros(len(source.vocabulary) + 1, dtype=np.int64)

    def add(self, batch: Batch, expected: Ids) -> None:
        """Count the answers of a batch; `expected` are the right tokens, -1 for none: [answer]."""
        self._right += np.bincount(expected % len(self._right), minlength=len(self._right))
        if isinstance(self.source, Program):
            size = len(self._decided)
            for _, texts, rows, places in asked_of(batch, causal=self.source.prompts.causal):
                winners = self.source.rules_at(texts, rows, places)
                self._decided += np.bincount(winners % size, minlength=size)
                if self._selections:
                    self._selected += self.source.selected_at(texts, rows, places)

    @property
    def counts(self) -> Counts:
        """What was counted so far."""
        return self._decided, self._selected, self._right

    def described(self, counts: Counts) -> Exercised:
        """Counts of this source, with what they count."""
        decided, selected, right = (each.tolist() for each in counts)
        rules = tuple(
            Exercise(str(rule), rule.place.short if rule.place else None, count)
            for rule, count in zip(self._rules, decided, strict=False)
        )
        selections = tuple(
            Selected(
                node.text.defined,
                node.place.short if node.place else None,
                some,
                none,
                node.sources.always,
            )
            for node, (some, none) in zip(self._selections, selected, strict=True)
        )
        answers = tuple(zip(self.source.vocabulary.tokens, right, strict=False))
        return Exercised(rules, selections, answers)
