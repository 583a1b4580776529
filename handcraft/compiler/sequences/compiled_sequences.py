"""What compiling expressions gives: a model that computes them, and every stage on the way to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handcraft.circuits.ideal import ideal_stream
from handcraft.compiler.actions import Actions
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.report import CompileReport
from handcraft.compiler.sequences.held import Holder, Reading
from handcraft.compiler.sequences.places import Places
from handcraft.compiler.stage import Stage
from handcraft.display import short_repr
from handcraft.errors import ModelError, PrecisionError
from handcraft.language.sequences.domain import Domain, Finite, Kind, Value, as_number
from handcraft.language.sequences.expression import Expression
from handcraft.language.sequences.node import Node
from handcraft.language.sequences.prompts import Prompts
from handcraft.language.sequences.reachable import plain
from handcraft.model import Model, Trace
from handcraft.model.attention import Array
from handcraft.origin import Place
from handcraft.weights import Placement, Plan, trace_names

if TYPE_CHECKING:
    from handcraft.verify import Report

BATCH = 256
"""So many texts run at once."""


@short_repr
@dataclass(frozen=True)
class Output:
    """One expression, and how its value is read from the residual stream.

    Args:
        name: of the output.
        domain: the values it can have.
        reading: the number that stands for a value: itself, or its place among the values.
        off: by how much the number may be off in the model.
        place: where the expression was written.
    """

    name: str
    domain: Domain
    reading: Reading
    off: float = 0
    place: Place | None = None

    @classmethod
    def of(cls, name: str, expression: Expression, node: Node, holder: Holder) -> Output:
        """Ask the holder for the value of an expression."""
        domain = expression.domain
        if domain.kind is Kind.NUMBER:
            finer = node.domain.parts < domain.parts  # means that were added up are one mean now
            known = node.domain if finer else domain
            return cls(name, known, holder.number(node), place=expression.node.place)
        assert isinstance(domain, Finite)
        assert isinstance(node.domain, Finite)
        places = {(isinstance(v, bool), v): i for i, v in enumerate(domain.values)}
        numbers = tuple(places[isinstance(v, bool), v] for v in node.domain.values)
        return cls(name, domain, holder.read(node, numbers), place=expression.node.place)

    def value(self, number: float) -> Value:
        """The value that a number of the residual stream stands for.

        Where a tolerance let values come that the weights do not tell apart, it stays a float.
        """
        if not self.is_told:
            return number
        if not isinstance(self.domain, Finite):
            unit = self.domain.unit
            return plain(Fraction(number / float(unit)).limit_denominator(self.domain.parts) * unit)
        if self.domain.kind is not Kind.NUMBER:
            return self.domain.values[min(max(round(number), 0), len(self.domain.values) - 1)]
        return self.domain.values[int(np.abs(self._known - number).argmin())]

    @property
    def is_told(self) -> bool:
        """Whether values are further apart than twice what a number may be off."""
        return self.apart > 2 * self.off

    @cached_property
    def apart(self) -> Fraction:
        """The smallest difference between two of its numbers."""
        if self.domain.kind is not Kind.NUMBER:
            return Fraction(1)
        if isinstance(self.domain, Finite):
            return self.domain.gap
        parts = self.domain.parts
        return self.domain.unit / (parts * max(1, parts - 1))

    def check(self, dtype: str, tolerance: float) -> None:
        """Raise unless its values are told apart, or need not be.

        Args:
            dtype: of the weights.
            tolerance: by how much numbers may be off.

        Raises:
            PrecisionError: the nearest value may be a neighbour of the right one.
        """
        if self.is_told or (self.domain.kind is Kind.NUMBER and self.off <= tolerance):
            return
        apart = float(self.apart)
        raise PrecisionError(
            f"`{self.name}` has values that differ by {apart:.3g}, but what the model holds in {dtype} "
            f"may be off by up to {self.off:.3g}; less than {apart / 2:.3g} is safe",
            where=self.place,
            fix="a shorter context, or .assume() the values that occur",
            is_tight=True,
        )

    @cached_property
    def _known(self) -> Array:
        """The numbers that it can be, as floats."""
        assert isinstance(self.domain, Finite)
        return np.array([float(as_number(v)) for v in self.domain.values])


@short_repr
@dataclass(frozen=True, eq=False)
class CompiledSequences(Actions):
    """Expressions, and the model that computes them.

    Args:
        prompts: the texts that they speak about.
        outputs: the expressions, and where their values are.
        stages: the trees after each pass.
        places: where everything is held.
        plan: the circuits, where every subspace lies, and the layers of the model.
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

    def as_compiled(self) -> Compiled:
        """The same model as one of circuits, for everything that does not ask for values."""
        return Compiled(
            self.circuits, self.plan, self.sharpness, self.placement, self.model, self.stages
        )

    def trace(self, text: str | Sequence[str]) -> Trace:
        """Every intermediate of running a text, with names for heads, dimensions and hidden units."""
        return self.model.trace(text).with_names(trace_names(self.plan))

    def verify(self, *, seed: int = 0) -> Report:
        """Run random texts, and compare the residual stream with that of the ideal circuits.

        Args:
            seed: of the texts.

        Raises:
            PrecisionError: a value is wrong; it says which, and by how much.
        """
        from handcraft.verify import Report, check_stream

        return Report.of_values(check_stream(self.as_compiled(), seed), self.circuits.context)

    def apply(self, texts: Sequence[str | Sequence[str]]) -> dict[str, list[tuple[Value, ...]]]:
        """The value of every output at every position of every text.

        Args:
            texts: texts or sequences of tokens, of one length or of several.

        Raises:
            VocabularyError: an unknown token.
            ModelError: a text that is empty or longer than the context, or one text alone.
        """
        if isinstance(texts, str):
            raise ModelError(
                f"{texts!r} is one text, and a list of texts is expected", fix=f"apply([{texts!r}])"
            )
        ids = [self._checked(text) for text in texts]
        found: dict[str, list[tuple[Value, ...]]] = {
            output.name: [()] * len(ids) for output in self.outputs
        }
        for length in sorted({len(row) for row in ids}):
            rows = [i for i, row in enumerate(ids) if len(row) == length]
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                numbers = self.numbers(np.array([ids[i] for i in some]))
                for output in self.outputs:
                    for row, line in zip(some, numbers[output.name].tolist(), strict=True):
                        found[output.name][row] = tuple(map(output.value, line))
        return found

    def numbers(self, ids: npt.NDArray[np.int64]) -> dict[str, Array]:
        """What the residual stream says of every output after the last block: [batch, position]."""
        last = f"h.{self.model.shape.n_layer - 1}.output"
        kept: dict[str, Array] = {}

        def keep(name: str, value: Array) -> None:
            if name == last:
                kept[name] = value.astype(np.float64)

        self.model.watch(ids, keep)
        stream = kept[last]  # [batch, position, n_embd]
        layout = self.plan.layout
        found: dict[str, Array] = {}
        for output in self.outputs:
            total = np.full(stream.shape[:2], float(output.reading.constant))
            for part in self.places.coefficients(output.reading):
                for i, number in part.entries:
                    dimension, factor, constant = layout.read(part.subspace, i, number)
                    total += stream[..., dimension] * float(factor) + float(constant)
            found[output.name] = total
        return found

    def ideal(self, ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.object_]]:
        """The same of the ideal circuits, exact: [batch, position]."""
        stream = ideal_stream(self.circuits, ids)
        found = {}
        for output in self.outputs:
            total = np.full(ids.shape, output.reading.constant, dtype=object)
            for part in self.places.coefficients(output.reading):
                for i, number in part.entries:
                    total = total + stream[part.subspace][..., i] * number
            found[output.name] = total
        return found

    def report(self) -> CompileReport:
        """What the model is made of, and what each pass saved."""
        return CompileReport.of(self.plan, self.model, self.stages)

    def _checked(self, text: str | Sequence[str]) -> tuple[int, ...]:
        ids = self.prompts.vocabulary.ids(text)
        if not 0 < len(ids) <= self.prompts.context:
            raise ModelError(
                f"a text of {len(ids)} tokens for a context of {self.prompts.context}",
                fix=f"give 1 to {self.prompts.context} tokens",
            )
        return ids
