"""What a model of a pack is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from handcraft.language import Program
from handcraft.model import Model

DTYPES = ("float32", "bfloat16", "float16")
"""The dtypes that engines run in."""


@dataclass(frozen=True, eq=False)
class Diagnostic:
    """A model of a pack, with what is known of its answers.

    Args:
        name: its name, also that of its folder.
        computes: what it computes, in one sentence.
        model: the weights, in float32. Every number is one of bfloat16 and float16 too, unless the
            model measures something finer than these.
        readings: what an answer says, for the tokens that say something by themselves: in the recall
            model, which slot was read.
        dtypes: in which it may be run.
        is_robust: whether its logits are at least 100 units in the last place apart.
        means: the program that says what is right after every text; None where no program does.
    """

    name: str
    computes: str
    model: Model
    readings: Mapping[int, str] = field(default_factory=dict)
    dtypes: tuple[str, ...] = DTYPES
    is_robust: bool = False
    means: Program | None = None

    def ids(self, text: str) -> tuple[int, ...]:
        """The ids of a text."""
        return self.model.vocabulary.ids(text)
