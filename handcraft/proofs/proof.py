"""What a folder says of its own proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from handcraft_check.program.words import at_least, at_most, counted_in_words

Wanted: TypeAlias = Literal["never", "quick", "required"]
"""Whether a proof is tried when a folder is written: never, where it takes seconds, or in any case."""


@dataclass(frozen=True)
class Proof:
    """What handcraft.json says of the proof that was tried when the folder was written.

    Args:
        verdict: "proved", "unproved" or "refuted".
        inputs: how many inputs it is about; a text where Python writes no number so long.
        writes: how many tokens the program writes after each.
        why: why it is not proved.
        margin: how far the right token's logit leads at least, where it is proved; None where every
            token may follow.
        distance: how far probabilities are at most from those of the program, in total variation; None
            where it predicts none.
        values: whether it is about values, each within its bound, in place of tokens.
        everywhere: whether it is about every position of each prompt, as without a causal mask.
        weights: the dtype of the weights.
        steps: the regime in which that was tried.
    """

    verdict: str
    inputs: int | str = 0
    writes: int = 1
    why: str = ""
    margin: float | None = 0
    distance: float | None = None
    values: bool = False
    everywhere: bool = False
    weights: str = "float32"
    steps: str = "float32"

    def __str__(self) -> str:
        if self.verdict != "proved":
            return f"sampled, and not proved: {self.why}"
        if self.values:
            place = self.domain if self.everywhere else f"every position of {self.domain}"
            return f"proved: at {place}, with each value within its bound {self.arithmetic}"
        found = []
        if self.distance is not None:
            found.append(f"probabilities off by at most {at_most(self.distance)} in total variation")
        if self.margin is not None:
            found.append(f"a logit margin of at least {at_least(self.margin)}")
        preposition = "at" if self.everywhere else "after"
        return (
            f"proved: right {preposition} {self.domain}, with {' and '.join(found)} {self.arithmetic}"
        )

    @property
    def arithmetic(self) -> str:
        """In which arithmetic, in words."""
        if self.weights == self.steps:
            return f"in {self.steps}"
        return f"with {self.weights} weights and steps in {self.steps}"

    @property
    def domain(self) -> str:
        """What it is about, in words."""
        more = f", and at each of the {self.writes} tokens written then" if self.writes > 1 else ""
        place = "every position of " if self.everywhere else ""
        return f"{place}every one of {counted_in_words(self.inputs)} prompts{more}"
