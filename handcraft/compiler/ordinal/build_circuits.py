"""A form as circuits: heads bring its looks, neurons take its steps, and the nearest number wins."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    Ramp,
    Subspace,
    Table,
    embed_token,
    scalar,
)
from handcraft.compiler.features.places import short
from handcraft.compiler.ordinal.design import Design
from handcraft.compiler.ordinal.form import Form, Own, Step, all_steps
from handcraft.compiler.ordinal.looking import looking
from handcraft.compiler.ordinal.read_form import NotASumError
from handcraft.compiler.ordinal.share import Group
from handcraft.compiler.passes.ir import between
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.origin import Origin, Place
from handcraft.vocabulary import Vocabulary

NUMBER, SQUARE = 0, 1
"""The dimensions of a codeword."""

ECHOED = Origin("cancels the echo of the input token")
"""What clearing weights serve."""

GRAINS = 32
"""The gap of a step is a multiple of one part in so many of a unit."""

STEADY = 11
"""How much larger the gap of a step must be than what may put its sum off. Its hidden units lie at
least 16 (1 - 4/11) > 10 from 0 then, where GELU is straight."""


def build_circuits(
    design: Design, vocabulary: Vocabulary, context: int, place: Place | None = None
) -> Circuits:
    """The circuits of a design.

    Raises:
        PrecisionError: a threshold is too close to a sum, error bounds included.
    """
    return _Builder(design, vocabulary, context, place).circuits()


class _Builder:
    def __init__(
        self, design: Design, vocabulary: Vocabulary, context: int, place: Place | None
    ) -> None:
        self.design, self.vocabulary, self.context, self.place = design, vocabulary, context, place
        self.code = design.line.subspace(vocabulary)
        self.steps = all_steps(design.answer)
        self.depth = max(1, design.answer.depth)
        self.names: dict[int, Subspace] = {}
        for number, group in enumerate(design.groups):
            if group.is_read and not group.is_home:
                self.names[number] = scalar(f"sum {number + 1}")
        self.owns = [
            (atom, factor) for atom, factor in design.answer.terms.items() if isinstance(atom, Own)
        ]

    def circuits(self) -> Circuits:
        tables, heads = self._heads()
        blocks = []
        for depth in range(self.depth):
            neurons: list[Neuron | Ramp] = [self._neuron(s) for s in self.steps if s.depth == depth]
            if depth == self.depth - 1:
                neurons += self._clearing() if self.design.has_norm else self._passing()
            first = depth == 0
            blocks.append(
                Block(
                    heads=tuple(heads) if first else (),
                    attention_bias=self._offset() if first else (),
                    neurons=tuple(neurons),
                    neuron_bias=self._unit() if depth == self.depth - 1 else (),
                )
            )
        tables.append(embed_token(self.code))
        moving = self._moving_constants()
        if moving is not None:
            tables.append(moving)
        return Circuits(
            self.vocabulary,
            self.context,
            embedding=tables,
            blocks=blocks,
            unembedding=self.code,
            scratch=tuple(self.names.values()),
            place=self.place,
        )

    # -- what is written where ----------------------------------------------------------------------

    def _targets(self, group: Group, factor: Plain) -> list[tuple[Subspace, Plain]]:
        """The dimensions in which a part of a group is written, and how often."""
        number = self.design.groups.index(group)
        found: list[tuple[Subspace, Plain]] = []
        if number in self.names:
            found.append((self.names[number], factor))
        if group.in_answer:
            found.append((self.code, factor * group.in_answer * self.design.scale))
        return found

    def _heads(self) -> tuple[list[Table], list[Head]]:
        parts = [
            (group, look.times(factor)) for group in self.design.groups for look, factor in group.looks
        ]
        if not parts:
            return [], []
        asking = looking(self.design, self.context)
        heads = []
        for (group, look), relation in zip(parts, asking.relations, strict=True):
            upright, sign = look.upright()
            assert upright.total is not None
            carried = scalar("carried")
            writes = [
                LinearMap(carried, subspace, ((0, NUMBER, sign * upright.total * times),))
                for subspace, times in self._targets(group, 1)
            ]
            heads.append(
                Head(
                    short(", ".join(origin.what for origin in look.origins)),
                    relation,
                    (LinearMap(self.code, carried, ((NUMBER, 0, 1),)),),
                    tuple(writes),
                    origins=look.origins,
                )
            )
        return asking.tables, heads

    def _neuron(self, step: Step) -> Neuron:
        """A step as a threshold on what is held; what is off by nature lies outside of its gap."""
        reads, constant, noise = self._reading(step.form)
        low, high = step.space
        noise += magnitude(high) * self.design.steadiness
        gap = Fraction(floor((high - low - 2 * noise) * GRAINS), GRAINS)
        if gap <= 0 or noise * STEADY >= gap:
            raise PrecisionError(
                f"`{step.text}` must distinguish numbers that differ by {float(max(0, high - low)):g}, "
                f"but the error bound of their sum is {float(noise):g}",
                where=step.origin,
                fix="compile it without optimize",
            )
        writes: dict[Subspace, Plain] = {}
        for group in self.design.groups:
            for atom, factor in group.parts:
                if atom is step:
                    writes.update(self._targets(group, factor))
        return Neuron(
            step.text,
            _coefficients(reads),
            (low + high + gap) / 2 - constant,
            tuple(Coefficients(s, ((0, n),)) for s, n in writes.items()),
            (step.origin,),
            gap,
        )

    def _passing(self) -> list[Ramp]:
        """Bring the square of the token here into the answer, with a constant that keeps it above 0."""
        reads, deepest = Coefficients(self.code, ((SQUARE, 1),)), self.design.deepest
        return [
            Ramp(
                "the token itself",
                (reads,),
                deepest,
                (),
                1,
                deepest,
                (Coefficients(self.code, ((NUMBER, factor * self.design.scale),)),),
                own.origins,
            )
            for own, factor in self.owns
        ]

    def _clearing(self) -> list[Neuron]:
        """Take the token's own codeword off, and leave what the answer asks of its number.

        The square of a codeword identifies it: one threshold between each and the next.
        """
        line = self.design.line
        words = sorted(set(zip(line.squares, line.numbers, strict=True)))
        if len({square for square, _ in words}) < len(words):
            raise NotASumError("two tokens have one square, and different numbers")
        kept = sum((f for _, f in self.owns), start=Fraction(0)) - 1
        neurons = []
        for (low, one), (high, other) in pairwise(words):
            at_least, gap = between(low, high)
            entries = [(NUMBER, kept * (other - one)), (SQUARE, low - high)]
            neurons.append(
                Neuron(
                    f"the token itself, from {other}",
                    (Coefficients(self.code, ((SQUARE, 1),)),),
                    at_least,
                    (Coefficients(self.code, tuple((i, n) for i, n in entries if n)),),
                    (*(origin for own, _ in self.owns for origin in own.origins), ECHOED),
                    gap,
                )
            )
        return neurons

    def _reading(self, form: Form) -> tuple[dict[tuple[Subspace, int], Plain], Plain, Fraction]:
        """What to read for a form, the constant to add, and by how much heads and echo put it off."""
        design, scale = self.design, self.design.scale
        reads: dict[tuple[Subspace, int], Plain] = {}
        constants = list(form.constants)
        noise = Fraction(0)
        for number, group in enumerate(design.groups):
            times = group.times_in(form)
            if not times:
                continue
            if not group.is_home:
                reads[self.names[number], 0] = times
                noise += design.missed * magnitude(times)
                continue
            ratio = Fraction(times) / group.in_answer
            reads[self.code, NUMBER] = ratio / scale
            constants = [c - ratio * a for c, a in zip(constants, self._answer_constants, strict=True)]
            noise += magnitude(ratio) * (Fraction(design.reach) / scale + design.missed)
        for atom, factor in form.terms.items():
            if isinstance(atom, Own):
                assert atom.is_square
                reads[self.code, SQUARE] = factor
        if len(set(constants)) > 1:
            raise PrecisionError(
                "a threshold and the answer depend on the position in different ways",
                fix="compile it without optimize",
            )
        return reads, constants[0], noise

    # -- constants ----------------------------------------------------------------------------------

    @property
    def _answer_constants(self) -> tuple[Plain, ...]:
        """What is added to the answer at each destination, so that it is off as much to either side."""
        low, high = self.design.answer.off
        middle = Fraction(low + high) / 2
        owned = sum((factor for _, factor in self.owns), start=Fraction(0))
        if self.design.has_norm:
            _, first = min(zip(self.design.line.squares, self.design.line.numbers, strict=True))
            owned = (owned - 1) * -first  # what `_clearing` leaves where it takes no step
            return tuple(c - middle - owned for c in self.design.answer.constants)
        owned *= self.design.deepest
        return tuple(c - middle - owned for c in self.design.answer.constants)

    def _offset(self) -> tuple[Bias, ...]:
        """The constant of the answer, where it is the same everywhere."""
        constants = self._answer_constants
        if len(set(constants)) > 1 or not constants[0]:
            return ()
        entry = (NUMBER, constants[0] * self.design.scale)
        return (Bias(Coefficients(self.code, (entry,)), (Origin("the constant of the answer"),)),)

    def _unit(self) -> tuple[Bias, ...]:
        """The 1 that squares are multiplied with, as large as the answer is written."""
        lowest = min(self.design.line.squares) if self.design.has_norm else 0
        entry = (SQUARE, self.design.scale * self.design.line.shrink - lowest)
        return (Bias(Coefficients(self.code, (entry,)), (Origin("the nearest number wins"),)),)

    def _moving_constants(self) -> Table | None:
        """Constants that depend on the position are a column of its embedding."""
        constants = self._answer_constants
        if len(set(constants)) == 1:
            return None
        asked = {there for look in self.design.looks for s in look.sources for there, _ in s}
        if not asked.isdisjoint(self.design.destinations):
            raise PrecisionError(
                "a constant of the answer depends on the position, and heads attend to its positions",
                fix="compile it without optimize",
            )
        rows: list[tuple[tuple[int, Plain], ...]] = [()] * self.context
        for here, constant in zip(self.design.destinations, constants, strict=True):
            rows[here] = ((NUMBER, constant * self.design.scale),) if constant else ()
        return Table("position", self.code, tuple(rows))


def _coefficients(reads: dict[tuple[Subspace, int], Plain]) -> tuple[Coefficients, ...]:
    by_subspace: dict[Subspace, list[tuple[int, Plain]]] = {}
    for (subspace, i), number in reads.items():
        by_subspace.setdefault(subspace, []).append((i, number))
    return tuple(Coefficients(subspace, tuple(sorted(e))) for subspace, e in by_subspace.items())
