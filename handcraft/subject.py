"""What is known of a model: all that explanations, pictures and pages are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handcraft.circuits import Circuits
from handcraft.errors import LimitError, ProgramError
from handcraft.language.judged import Judged
from handcraft.language.meaning import Meaning
from handcraft.model import AxisNames, Model, Stored
from handcraft.weights import Weights


@dataclass(frozen=True, eq=False)
class Subject:
    """A program, a model, or both, wherever they were read from; what is not known is None.

    Args:
        name: what it is called in titles.
        meaning: what the model is to compute.
        circuits: its heads and neurons.
        model: the model.
        weights: what its rows and columns stand for, and what each weight serves.
        stored: the values of its residual stream.
        predicts: whether the model predicts tokens, and does not only compute values.
    """

    name: str
    meaning: Meaning | None = None
    circuits: Circuits | None = None
    model: Model | None = None
    weights: Weights | None = None
    stored: tuple[Stored, ...] = ()
    predicts: bool = True

    @property
    def names(self) -> AxisNames | None:
        """What the rows and columns of its weights stand for."""
        return None if self.weights is None else self.weights.names

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules as they are written; none where they are not known."""
        if self.meaning is not None:
            return tuple(origin.what for origin in self.meaning.written)
        return () if self.weights is None else self.weights.rules

    def judged(self, tokens: Sequence[str]) -> tuple[Judged | None, str]:
        """What the rules and expressions say about a text; else None, and why that is not known.

        The reason is empty where nothing is known of what the model is to compute.
        """
        if self.meaning is None:
            return None, ""
        try:
            return self.meaning.for_length(len(tokens)).judged(tokens), ""
        except (LimitError, ProgramError) as error:
            return None, error.what
