"""A case as it is in the files of a pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handcraft.conformance.cases.planned import Right
from handcraft.conformance.cases.request import Kind, Outcome, Request


@dataclass(frozen=True)
class Margin:
    """How far the right answer is ahead of the next one, where that is least.

    Args:
        logit: the difference of the two logits.
        ulp: the same, in units in the last place of the larger of the two.
        proved: what the difference surely is at least, in whatever order sums are made, as
            `handcraft_check` found; None where it found nothing.
    """

    logit: float
    ulp: float
    proved: float | None = None


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that is known.

    Args:
        answer: the ids for each prompt.
        faults: the ids of the faults that give it.
    """

    answer: tuple[tuple[int, ...], ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One case.

    Args:
        id: a name that no other case of the pack has.
        comment: what the case is for.
        flags: what it is about, to select and to leave out by.
        model: the name of the model.
        kind: how to run it.
        prompts: the ids of each prompt.
        texts: the same as text.
        answers: for each prompt, for each position or step, the ids that are right; an empty list where
            every answer is.
        margins: the dtypes in which the right answers come out where every step is rounded, each with
            its margin, or null where answers are not chosen by single logits.
        wrong: what wrong answers mean.
        pieces: the lengths of the pieces in which the prompt is run.
        new_tokens: how many tokens to generate.
        beams: how many beams.
        end: the id that ends a text; null where none does.
    """

    id: str
    comment: str
    flags: tuple[str, ...]
    model: str
    kind: Kind
    prompts: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]
    answers: Right
    margins: Mapping[str, Margin | None]
    wrong: tuple[Wrong, ...] = ()
    pieces: tuple[int, ...] = ()
    new_tokens: int = 1
    beams: int = 1
    end: int | None = None

    @property
    def request(self) -> Request:
        """What is run."""
        text = self.texts[0] if self.kind == "encode" else ""
        return Request(
            self.kind, self.prompts, self.pieces, self.new_tokens, self.beams, text, self.end
        )

    def is_right(self, outcome: Outcome) -> bool:
        """Whether every answer that is judged is right."""
        return first_wrong(outcome.tokens, self.answers) is None


def first_wrong(tokens: tuple[tuple[int, ...], ...], right: Right) -> tuple[int, int] | None:
    """The row and the place of the first answer that is not right; None if all are."""
    if len(tokens) != len(right):
        return (min(len(tokens), len(right)), 0)
    for row, (given, accepted) in enumerate(zip(tokens, right, strict=True)):
        for place, allowed in enumerate(accepted):
            if place >= len(given) or (allowed and given[place] not in allowed):
                return (row, place)
        if len(given) > len(accepted):
            return (row, len(accepted))
    return None
