"""The result of compiling: the model, and every stage on the way to it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from handcraft.circuits import Circuits
from handcraft.compiler.actions import Actions
from handcraft.compiler.compile_report import CompileReport
from handcraft.compiler.complete import complete
from handcraft.compiler.stage import Pass, Stage
from handcraft.compiler.symbolic import Symbolic
from handcraft.display import short_repr
from handcraft.errors import HandcraftWarning
from handcraft.language import Program
from handcraft.language.sliding import sliding_note
from handcraft.model import Model, Trace
from handcraft.origin import Origin
from handcraft.subject import Subject
from handcraft.weights import Layout, Placement, Plan, axis_names, stored_values

if TYPE_CHECKING:
    import pytest

    from handcraft.verify import Report


@short_repr
@dataclass(frozen=True, eq=False)
class Compiled(Actions):
    """A program, its circuits and their plan, their exact weights and the model, in this order.

    Args:
        source: what was compiled: a rule program or circuits.
        plan: its circuits, the dimensions of every subspace, and the layers of the model.
        sharpness: the factor of W_Q in every head without one of its own.
        placement: every nonzero weight, exact, with its origin.
        model: the weights as arrays, ready to run.
        stages: of rules over expressions, the trees after each pass.
        passes: where it was optimized, what each pass did, and what was proved for it.
        written: the rules as text, if the circuits of a compiled folder were compiled.
    """

    source: Program | Circuits = field(repr=False)
    plan: Plan = field(repr=False)
    sharpness: int
    placement: Placement = field(repr=False)
    model: Model
    stages: tuple[Stage, ...] = field(default=(), repr=False)
    passes: tuple[Pass, ...] = field(default=(), repr=False)
    written: tuple[str, ...] = field(default=(), repr=False)

    @property
    def _rules(self) -> tuple[str, ...]:
        return tuple(map(str, self.source.rules)) if isinstance(self.source, Program) else ()

    @property
    def subject(self) -> Subject:
        """All that is known of the model."""
        source = self.source
        return replace(super().subject, meaning=source.meant if isinstance(source, Program) else None)

    @property
    def layout(self) -> Layout:
        """The dimensions of every subspace."""
        return self.plan.layout

    def report(self) -> CompileReport:
        """What the model is made of, and what each pass saved."""
        return CompileReport.of(self.plan, self.model, self.stages, self.passes)

    def complete(self, prompt: str | Sequence[str], n: int = 10) -> str:
        """Continue a prompt by `n` tokens; past the context the model sees only the last tokens.

        Warns:
            HandcraftWarning: the text outgrows the context, and the rules read positions or the start.
        """
        answer = complete(self.model, prompt, n)
        read = len(self.model.vocabulary.ids(prompt)) + n - 1
        note = sliding_note(self.source, self.model.context, read)
        if note is not None:
            warnings.warn(HandcraftWarning(note), stacklevel=2)
        return answer

    def trace(self, prompt: str | Sequence[str]) -> Trace:
        """Every intermediate of running a prompt, with names for heads, dimensions and hidden units."""
        return self.model.trace(prompt, axis_names(self.plan), stored_values(self.plan))

    def symbolic(self) -> Symbolic:
        """The weights and the logits as exact expressions in the sharpness L."""
        return Symbolic.of(self.plan, self.sharpness)

    def origins(self, tensor: str, *index: int) -> tuple[Origin, ...]:
        """What one weight serves; nothing where it is 0.

        Args:
            tensor: its name, such as ``h.0.attn.c_attn.weight``.
            index: row and column, or the place in a bias.
        """
        return self.placement.tensors[tensor].origins.get(index, ())

    def parametrize(self, argument: str = "rule") -> pytest.MarkDecorator:
        """Run a test of pytest once for each rule, as `handcraft.testing.parametrize`.

        Args:
            argument: the name of the argument that gets the rule, with prompts where it decides.

        Raises:
            ModelError: the model was compiled from circuits, which have no rules.
        """
        from handcraft.testing import parametrize

        return parametrize(self, argument)

    def verify(
        self, *, sample: int | None = None, seed: int = 0, executor: Executor | None = None
    ) -> Report:
        """Compare what the model answers with what its source means; as `handcraft.verify`.

        Args:
            sample: how many random contexts to try where there are too many for all.
            seed: of the sample.
            executor: of `concurrent.futures` or like it: its workers try contexts. None for this
                process; the report is the same.
        """
        from handcraft.verify import verify

        return verify(self.model, self.source, sample=sample, seed=seed, executor=executor)
