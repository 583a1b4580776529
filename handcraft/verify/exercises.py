"""What a sample covered: how often each rule decided, and what each selection found."""

from __future__ import annotations

import numpy as np

from handcraft.circuits import Circuits
from handcraft.language import Program
from handcraft.verify.meant import asked_of
from handcraft.verify.report import Exercise, Selected
from handcraft.verify.texts.contexts import Batch, Ids


class Exercises:
    """Counts, batch by batch, which rules decided, which tokens were right, and what selections found.

    Of circuits no rules are known.
    """

    def __init__(self, source: Program | Circuits) -> None:
        self.source = source
        rules = source.rules if isinstance(source, Program) else ()
        self._decided = np.zeros(len(rules) + 1, dtype=np.int64)  # the last: none did
        self._selections = source.selections if isinstance(source, Program) else ()
        self._selected = np.zeros((len(self._selections), 2), dtype=np.int64)
        self._right = np.zeros(len(source.vocabulary) + 1, dtype=np.int64)

    def add(self, batch: Batch, expected: Ids) -> None:
        """Count the answers of a batch; `expected` are the right tokens, -1 for none: [answer]."""
        self._right += np.bincount(expected % len(self._right), minlength=len(self._right))
        if isinstance(self.source, Program):
            size = len(self._decided)
            for _, texts, rows, places in asked_of(self.source, batch):
                winners = self.source.rules_at(texts, rows, places)
                self._decided += np.bincount(winners % size, minlength=size)
                if self._selections:
                    self._selected += self.source.selected_at(texts, rows, places)

    @property
    def rules(self) -> tuple[Exercise, ...]:
        """How often each rule decided."""
        rules = self.source.rules if isinstance(self.source, Program) else ()
        return tuple(
            Exercise(str(rule), rule.place.short if rule.place else None, count)
            for rule, count in zip(rules, self._decided.tolist(), strict=False)
        )

    @property
    def selections(self) -> tuple[Selected, ...]:
        """How often each selection found a source, and how often none."""
        return tuple(
            Selected(
                node.text.defined,
                node.place.short if node.place else None,
                some,
                none,
                node.sources.always,
            )
            for node, (some, none) in zip(self._selections, self._selected.tolist(), strict=True)
        )

    @property
    def answers(self) -> tuple[tuple[str, int], ...]:
        """How often each token was right."""
        return tuple(zip(self.source.vocabulary.tokens, self._right.tolist(), strict=False))
