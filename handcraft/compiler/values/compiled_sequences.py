"""The result of compiling expressions: a model that computes them, and every stage on the way to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handcraft.circuits.ideal import ideal_stream
from handcraft.compiler.actions import Actions
from handcraft.compiler.compile_report import CompileReport
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.features.places import Places
from handcraft.compiler.stage import Stage
from handcraft.compiler.values.output import Output
from handcraft.compiler.values.value_model import ValueModel
from handcraft.display import short_repr
from handcraft.language.graph.domain import Value
from handcraft.language.meaning import Meaning
from handcraft.language.sequences.prompts import Prompts
from handcraft.model import Model, Trace
from handcraft.model.layers.attention import Array
from handcraft.subject import Subject
from handcraft.weights import Placement, Plan, axis_names, stored_values

if TYPE_CHECKING:
    from handcraft.verify import Report


@short_repr
@dataclass(frozen=True, eq=False)
class CompiledSequences(Actions):
    """Expressions, and the model that computes them.

    Args:
        prompts: the prompts that they are made from.
        outputs: the expressions, and how their values are read.
        stages: the trees after each pass.
        places: where every feature is stored.
        plan: the circuits, the dimensions of every subspace, and the layers of the model.
        sharpness: the factor of W_Q in every head.
        placement: every nonzero weight, exact, with its origin.
        model: the weights as arrays, ready to run.
    """

    prompts: Prompts = field(repr=False)
    outputs: tuple[Output, ...]
    stages: tuple[Stage, ...] = field(repr=False)
    places: Places = field(repr=False)
    plan: Plan = field(repr=False)
    sharpness: int
    placement: Placement = field(repr=False)
    model: Model

    @property
    def meant(self) -> Meaning:
        """The expressions that the model computes, for explanations, pictures and certificates."""
        names = [output.name for output in self.outputs]
        return Meaning(
            self.prompts.vocabulary.tokens,
            self.prompts.context,
            self.prompts.causal,
            outputs=dict(zip(names, self.stages[0].nodes, strict=True)),
            promise=self.prompts,
        )

    @property
    def subject(self) -> Subject:
        """All that is known of the model."""
        return replace(super().subject, meaning=self.meant, predicts=False)

    @property
    def values(self) -> ValueModel:
        """The model, and how the values of the outputs are read from its residual stream."""
        return ValueModel(self.model, self.outputs, self.prompts.context, self.plan.layout.read)

    def as_compiled(self) -> Compiled:
        """The same model as `Compiled`, for code that does not need the values."""
        return Compiled(
            self.circuits, self.plan, self.sharpness, self.placement, self.model, self.stages
        )

    def trace(self, text: str | Sequence[str]) -> Trace:
        """Every intermediate of running a text, with names for heads, dimensions and hidden units."""
        return self.model.trace(text, axis_names(self.plan), stored_values(self.plan))

    def verify(self, *, seed: int = 0) -> Report:
        """Run random texts, and compare the residual stream with that of the ideal circuits.

        Args:
            seed: of the texts.

        Raises:
            PrecisionError: a value is wrong; it says which, and by how much.
        """
        from handcraft.verify import Report, check_stream

        tried = check_stream(self.as_compiled(), seed)
        return Report.without_answers(tried, self.circuits.context, tried)

    def apply(self, texts: Sequence[str | Sequence[str]]) -> dict[str, list[tuple[Value, ...]]]:
        """The value of every output at every position of every text.

        Args:
            texts: texts or sequences of tokens, of one length or of several.

        Raises:
            VocabularyError: an unknown token.
            ModelError: a text that is empty or longer than the context, or one text alone.
        """
        return self.values.apply(texts)

    def numbers(self, ids: npt.NDArray[np.int64]) -> dict[str, Array]:
        """The numbers of every output, read from the final residual stream: [batch, position]."""
        return self.values.numbers(ids)

    def ideal(self, ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.object_]]:
        """The exact numbers of every output in the ideal circuits: [batch, position]."""
        stream = ideal_stream(self.circuits, ids)
        return {output.name: output.exact(stream, ids.shape) for output in self.outputs}

    def report(self) -> CompileReport:
        """The size of the model, and what each pass saved."""
        return CompileReport.of(self.plan, self.model, self.stages)
