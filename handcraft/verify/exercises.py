"""What a sample is worth: how often each rule decided, and texts drawn so that rules do."""

from __future__ import annotations

import numpy as np

from handcraft.circuits import Circuits
from handcraft.language import Program
from handcraft.verify.contexts import Batch, Change, Ids
from handcraft.verify.meant import asked_of
from handcraft.verify.report import Exercise, Selected


class Exercises:
    """Counts, batch by batch, which rules decided, which tokens were right, and what selections found.

    Args:
        source: what says so; of circuits no rules are known.
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
                str(node), node.place.short if node.place else None, some, none, node.sources.always
            )
            for node, (some, none) in zip(self._selections, self._selected.tolist(), strict=True)
        )

    @property
    def answers(self) -> tuple[tuple[str, int], ...]:
        """How often each token was right."""
        return tuple(zip(self.source.vocabulary.tokens, self._right.tolist(), strict=False))


def with_patterns(program: Program) -> Change:
    """Put the pattern of a random rule into every second text, at a random place.

    A rule of four tokens out of 26 fires by chance in one of 456,976 contexts.

    Args:
        program: rules that are patterns.
    """
    patterns = [clause.pattern for clause in program.clauses if len(clause.pattern)]
    classes = [[sorted(allowed) for allowed in pattern.classes] for pattern in patterns]

    def change(texts: Ids, random: np.random.Generator) -> Ids:
        texts, length = texts.copy(), texts.shape[1]
        fitting = [i for i, pattern in enumerate(patterns) if len(pattern) <= length]
        if not fitting:
            return texts
        chosen = random.choice(fitting, size=len(texts))
        for row in range(0, len(texts), 2):
            pattern = classes[chosen[row]]
            last = 0 if patterns[chosen[row]].anchored else length - len(pattern)
            first = int(random.integers(0, last + 1))
            for place, allowed in enumerate(pattern, first):
                texts[row, place] = allowed[int(random.integers(len(allowed)))]
        return texts

    return change
