"""Count answers: how many are wrong, by which rule, and which have the thinnest margins."""

from __future__ import annotations

from collections import Counter
from math import inf

import numpy as np

from handcraft.testing.means.found import Count, Margin
from handcraft.testing.means.meaning import Reason
from handcraft.testing.means.trying import Answers, Trying

KEPT = 8
"""How many of the prompts with the thinnest margins are kept."""


class Tally:
    """What was found so far."""

    def __init__(self, trying: Trying, least_margin: float = 0) -> None:
        self.trying = trying
        self.least_margin = least_margin
        self.tried = 0
        self.failed = 0
        self.first: tuple[int, ...] | None = None
        """The shortest prompt that failed, and of those the earliest."""
        self.wrong: Margin | None = None
        """The answer to it."""
        self.input: tuple[int, ...] = ()
        """What it was made from."""
        self.thinnest: list[tuple[float, tuple[int, ...], Margin]] = []
        """The thinnest margins, each with the input that made the prompt."""
        self._decided: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()

    @property
    def counts(self) -> dict[Reason, Count]:
        """For each rule how many prompts it decided, and how many of those failed."""
        found = {}
        for rule, tried in sorted(self._decided.items()):
            if rule >= 0:
                reason = self.trying.meaning.reason(rule)
                found[reason] = Count(reason, tried, self._failed[rule])
        return found

    def add(self, answers: Answers) -> None:
        """Count some answers."""
        asked, wrong = answers.asked, answers.wrong(self.least_margin)
        if not wrong.size:
            return
        failing = np.flatnonzero(wrong.any(axis=1))
        self.tried += len(asked.texts)
        self.failed += len(failing)
        self._decided.update(asked.rules.reshape(-1).tolist())
        self._failed.update(asked.rules[wrong].tolist())
        if len(failing):
            prompts = [tuple(text) for text in asked.texts[failing].tolist()]
            best = min(range(len(prompts)), key=lambda i: prompts[i])
            if self.first is None or (len(prompts[best]), prompts[best]) < (
                len(self.first),
                self.first,
            ):
                row = int(failing[best])
                self.first, self.input = prompts[best], prompts[best][: asked.first]
                self.wrong = self._margin(answers, row, int(wrong[row].argmax()))
        self._keep(answers)

    def _keep(self, answers: Answers) -> None:
        lowest = answers.margins.min(axis=1)
        bound = self.thinnest[-1][0] if len(self.thinnest) == KEPT else inf
        rows = np.argsort(lowest, kind="stable")[:KEPT]
        for row in rows[(lowest[rows] < bound) | (len(self.thinnest) < KEPT)].tolist():
            text = tuple(answers.asked.texts[row, : answers.asked.first].tolist())
            place = int(answers.margins[row].argmin())
            self.thinnest.append((float(lowest[row]), text, self._margin(answers, row, place)))
        self.thinnest = sorted(self.thinnest, key=lambda each: each[0])[:KEPT]

    def _margin(self, answers: Answers, row: int, place: int) -> Margin:
        asked, subject = answers.asked, self.trying.subject
        right = int(asked.right[row, place])
        answered, rival, meant = answers.logits[row, place].tolist()
        is_last = place == asked.right.shape[1] - 1
        return Margin(
            subject.text(asked.texts[row].tolist()),
            asked.texts.shape[1],
            None if is_last else place,
            None if right < 0 else subject.token(right),
            subject.token(int(answers.answered[row, place])),
            subject.token(int(answers.rivals[row, place])),
            float(answers.margins[row, place]),
            (answered, rival, meant),
            self.trying.meaning.reason(int(asked.rules[row, place])),
            float(answers.errors[row, place]),
        )
