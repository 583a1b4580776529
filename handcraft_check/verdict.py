"""What a proof of a folder found, in words and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from handcraft_check.program.words import at_least, at_most, counted_in_words, printable

Word: TypeAlias = Literal["proved", "unproved", "refuted"]


ASSUMED_OF = {
    "gpt2": (
        "round to nearest; sums in float32 or wider, in any order, with fused multiply-add or without; "
        "exp within 4 units in the last place, exp(0) = 1; square root and division within one; tanh "
        "is 1 beyond 10; LayerNorm and softmax in float32, a mean as a sum or kept running, the "
        "variance about it; a mask leaves later positions no weight"
    ),
    "llama": (
        "round to nearest; sums in float32 or wider, in any order, with fused multiply-add or without; "
        "exp and powers within 4 units in the last place, exp(0) = 1, x^0 = 1; cos and sin within 4 "
        "units in the last place of 1, exact at 0; square root and division within one; RMSNorm, "
        "frequencies, angles, SiLU and softmax in float32; a mask leaves later positions no weight"
    ),
}
"""What every proof assumes of the machine, by the architecture."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about a folder.

    Args:
        word: ``proved``, ``unproved`` or ``refuted``.
        inputs: how many inputs the claim is about; a text where Python writes no number so long.
        writes: how many tokens the program writes after each.
        length: the most tokens of a context.
        arithmetic: the dtype of the weights, and the regime, in words.
        margin: the least by which the right logit surely is above all others; where it is not proved,
            the least that could not be excluded; where it is refuted, the most that it can be there.
        context: where that is; of a refuted claim, a context after which the model is wrong.
        cases: how many cases the proof has.
        seconds: how long it took.
        reason: why it is not proved; empty where it is.
        broken: the first part of the model whose bounds are too wide after the context, in words;
            empty where it is proved or refuted, or where no part is to blame.
        within: how far probabilities may be from those meant, in total variation, by the certificate;
            None where the program has none.
        distance: how far they are at most, as was shown, where it is proved.
        farthest: where that is.
        values: of a model of values, how far each may be off by the certificate; `distance` is how far
            they are at most, of that.
        everywhere: whether it is about every position of each context, as without a causal mask.
        ran_out: whether it took more cases than it may, so that a longer try may prove it.
        separator: what is between two tokens in text: nothing where all tokens of the vocabulary are
            single characters.
        architecture: of the model, "gpt2" or "llama".
    """

    word: Word
    inputs: int | str
    writes: int
    length: int
    arithmetic: str
    margin: float
    context: tuple[str, ...]
    cases: int
    seconds: float
    reason: str = ""
    broken: str = ""
    within: float | None = None
    distance: float = 0.0
    farthest: tuple[str, ...] = ()
    values: Mapping[str, float] | None = None
    everywhere: bool = False
    ran_out: bool = False
    separator: str = " "
    architecture: str = "gpt2"

    def __str__(self) -> str:
        text, far = self.separator.join(self.context), self.separator.join(self.farthest)
        domain = f"{counted_in_words(self.inputs)} inputs, contexts of up to {self.length:,} tokens"
        if self.writes > 1:
            domain += f", and the {self.writes} tokens that are written after each"
        if self.everywhere:
            domain += ", at every position"
        lines = [f"{self.word}: {domain}"]
        if self.architecture == "llama":
            lines.append("architecture: llama, with a begin token in front of every text")
        lines.append(f"arithmetic: {self.arithmetic}; {ASSUMED_OF[self.architecture]}")
        if self.word == "proved":
            if self.within is not None:
                lines.append(
                    f"probabilities: off by at most {at_most(self.distance)} in total variation "
                    f"({self.within:g} is allowed), most after {far!r}"
                )
            margin = f"at least {at_least(self.margin)}, least after {text!r}"
            margin = margin if self.context else "none, since every token may follow"
            if self.values is not None:
                bounds = ", ".join(
                    f"{printable(name)} {within:g}" for name, within in self.values.items()
                )
                lines.append(
                    f"values: off by at most {at_most(self.distance)} times what is allowed "
                    f"({bounds}), most after {far!r}; {self.cases:,} cases"
                )
            else:
                lines.append(f"margin: {margin}; {self.cases:,} cases")
        else:
            lines.append(f"reason: {self.reason}")
            if self.broken:
                lines.append(f"first bound that breaks: {self.broken}")
            lines.append(f"context: {text!r}{self._margin_there}")
        return "\n".join(lines)

    @property
    def _margin_there(self) -> str:
        """What is known of the margin after the context of a claim that is not proved."""
        if self.values is not None:
            return ""
        if self.word == "refuted":
            is_known = np.isfinite(self.margin)
            return f", where the margin is at most {at_most(self.margin)}" if is_known else ""
        return f", where the margin may be {at_least(self.margin)}"

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            "verdict": self.word,
            "inputs": self.inputs,
            "writes": self.writes,
            "length": self.length,
            "arithmetic": self.arithmetic,
            "margin": self.margin if np.isfinite(self.margin) else None,
            "context": list(self.context),
            "cases": self.cases,
            "seconds": self.seconds,
            "reason": self.reason,
            "broken": self.broken,
            "everywhere": self.everywhere,
            "ran_out": self.ran_out,
            "separator": self.separator,
            "architecture": self.architecture,
        } | (
            {}
            if self.within is None and self.values is None
            else {
                "within": self.within,
                "values": self.values,
                "distance": self.distance,
                "farthest": list(self.farthest),
            }
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        """A verdict as `to_json` writes it."""
        given = dict(data)
        word, margin = given.pop("verdict"), given.pop("margin")
        infinite = np.inf if word == "proved" else -np.inf
        return cls(
            word=word,
            margin=infinite if margin is None else margin,
            context=tuple(given.pop("context")),
            farthest=tuple(given.pop("farthest", ())),
            **given,
        )
