"""An approximate sum as circuits: heads weigh, neurons take steps, and the nearest number wins."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cached_property
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
from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, sum_in
from handcraft.compiler.ordinal.design import Design
from handcraft.compiler.ordinal.qk_circuits import qk_circuits
from handcraft.compiler.ordinal.read_sum import NotASumError
from handcraft.compiler.ordinal.share import Group
from handcraft.compiler.passes.ir import StepFunction, between
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.language.graph.node import Lookup
from handcraft.origin import Origin, Place

NUMBER, SQUARE = 0, 1
"""The dimensions of a codeword."""

ECHOED = Origin("cancels the echo of the input token")
"""What clearing weights serve."""

GRAINS = 32
"""The gap of a step is a multiple of one part in so many of a unit."""

STEADY = 11
"""How much larger the gap of a step must be than what may put its sum off. Its hidden units lie at
least 16 (1 - 4/11) > 10 from 0 then, where GELU is straight."""


def build_circuits(design: Design, place: Place | None = None) -> Circuits:
    """The circuits of a design.

    Raises:
        PrecisionError: a threshold is too close to a sum, error bounds included.
    """
    return _Builder(design, place).circuits()


class _Builder:
    def __init__(self, design: Design, place: Place | None) -> None:
        self.design, self.place = design, place
        self.code = design.line.subspace
        self.steps = design.steps
        self.sums = {
            group.shown: scalar(f"sum {number}")
            for number, group in enumerate(design.groups, 1)
            if group.is_read and not group.is_home
        }
        self.owns = [(n, f) for n, f in design.answer.terms.items() if isinstance(n, Lookup)]

    def circuits(self) -> Circuits:
        tables, heads = self._heads()
        depth = max(self.steps.values(), default=0)
        blocks = []
        for layer in range(depth + 1):
            neurons: list[Neuron | Ramp] = [
                self._neuron(step) for step, before in self.steps.items() if before == layer
            ]
            if layer == depth:
                neurons += self._clearing() if self.design.has_norm else self._passing()
            first = layer == 0
            blocks.append(
                Block(
                    heads=tuple(heads) if first else (),
                    attention_bias=self._offset() if first else (),
                    neurons=tuple(neurons),
                    neuron_bias=self._unit() if layer == depth else (),
                )
            )
        moving = self._moving_constants()
        return Circuits(
            self.design.line.vocabulary,
            self.design.context,
            embedding=[*tables, embed_token(self.code), *([moving] if moving else ())],
            blocks=blocks,
            unembedding=self.code,
            scratch=tuple(self.sums.values()),
            place=self.place,
        )

    # -- what is written where ----------------------------------------------------------------------

    def _targets(self, group: Group, factor: Plain) -> list[tuple[Subspace, Plain]]:
        """The dimensions in which a part of a group is written, and how often."""
        found: list[tuple[Subspace, Plain]] = []
        if group.shown in self.sums:
            found.append((self.sums[group.shown], factor))
        if group.in_answer:
            found.append((self.code, factor * group.in_answer * self.design.scale))
        return found

    def _heads(self) -> tuple[list[Table], list[Head]]:
        parts = [(group, node) for group in self.design.groups for node in group.weighted]
        if not parts:
            return [], []
        tables, relations = qk_circuits(self.design)
        heads = []
        for (group, node), relation in zip(parts, relations, strict=True):
            assert node.total is not None
            carried, origins = scalar("carried"), (node.origin, *node.others)
            writes = [
                LinearMap(carried, subspace, ((0, NUMBER, node.total * times),))
                for subspace, times in self._targets(group, 1)
            ]
            heads.append(
                Head(
                    short(", ".join(origin.what for origin in origins)),
                    relation,
                    (LinearMap(self.code, carried, ((NUMBER, 0, 1),)),),
                    tuple(writes),
                    origins=origins,
                )
            )
        return tables, heads

    def _neuron(self, step: StepFunction) -> Neuron:
        """A step as a threshold on what is stored; its error bounds lie outside of its gap."""
        (threshold,) = step.thresholds
        reads, constant, noise = self._reading(sum_in(step, self.design.answer.zero))
        at_least = threshold.at_least - constant
        noise += magnitude(at_least) * self.design.steadiness
        gap = Fraction(floor((threshold.gap - 2 * noise) * GRAINS), GRAINS)
        if gap <= 0 or noise * STEADY >= gap:
            raise PrecisionError(
                f"`{step}` must distinguish numbers that differ by {float(max(0, threshold.gap)):g}, "
                f"but the error bound of their sum is {float(noise):g}",
                where=step.origin,
                fix="compile it without optimize",
            )
        writes: dict[Subspace, Plain] = {}
        for group in self.design.groups:
            for node, factor in group.parts:
                if node == step:
                    writes.update(self._targets(group, factor))
        return Neuron(
            str(step),
            _coefficients(reads),
            at_least + (gap - threshold.gap) / 2,
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
                (own.origin,),
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
                    (*(own.origin for own, _ in self.owns), ECHOED),
                    gap,
                )
            )
        return neurons

    def _reading(
        self, total: ApproximateSum
    ) -> tuple[dict[tuple[Subspace, int], Plain], Plain, Fraction]:
        """What to read for a sum, the constant to add, and by how much heads and echo put it off."""
        design, scale = self.design, self.design.scale
        reads: dict[tuple[Subspace, int], Plain] = {}
        noise = Fraction(0)
        for group in design.groups:
            times = group.times_in(total.terms)
            if not times:
                continue
            for node, factor in group.parts:
                if isinstance(node, StepFunction):
                    noise += design.blur(node) * magnitude(times * factor)
            if not group.is_home:
                reads[self.sums[group.shown], 0] = times
                noise += design.missed * magnitude(times)
                continue
            ratio = Fraction(times) / group.in_answer
            reads[self.code, NUMBER] = ratio / scale
            total = total.plus(replace(total.zero, constants=self._answer.constants).times(-ratio))
            noise += magnitude(ratio) * (Fraction(design.reach) / scale + design.missed)
        for node, factor in total.terms.items():
            if isinstance(node, Lookup):
                reads[self.code, SQUARE] = factor
        if len(set(total.known)) > 1:
            raise PrecisionError(
                "a threshold and the answer depend on the position in different ways",
                fix="compile it without optimize",
            )
        return reads, total.known[0], noise

    # -- constants ----------------------------------------------------------------------------------

    @cached_property
    def _answer(self) -> ApproximateSum:
        """The answer with constants as they are stored, so that it is off as much to either side."""
        low, high = self.design.answer.off
        owned = sum((factor for _, factor in self.owns), start=Fraction(0))
        if self.design.has_norm:
            _, first = min(zip(self.design.line.squares, self.design.line.numbers, strict=True))
            owned = (owned - 1) * -first  # what `_clearing` leaves where it takes no step
        else:
            owned *= self.design.deepest
        return self.design.answer.shifted(-Fraction(low + high) / 2 - owned)

    def _offset(self) -> tuple[Bias, ...]:
        """The constant of the answer, where it is the same everywhere."""
        constant, *others = set(self._answer.known)
        if others or not constant:
            return ()
        entry = (NUMBER, constant * self.design.scale)
        return (Bias(Coefficients(self.code, (entry,)), (Origin("the constant of the answer"),)),)

    def _unit(self) -> tuple[Bias, ...]:
        """The 1 that squares are multiplied with, as large as the answer is written."""
        lowest = min(self.design.line.squares) if self.design.has_norm else 0
        entry = (SQUARE, self.design.scale * self.design.line.shrink - lowest)
        return (Bias(Coefficients(self.code, (entry,)), (Origin("the nearest number wins"),)),)

    def _moving_constants(self) -> Table | None:
        """Constants that depend on the position are a column of its embedding."""
        constants = self._answer.constants
        if len(set(self._answer.known)) == 1:
            return None
        read = {there for node in self.design.weighted for _, row in node.rows for there, _ in row}
        if any(constants[there] is not None for there in read):
            raise PrecisionError(
                "a constant of the answer depends on the position, and heads attend to its positions",
                fix="compile it without optimize",
            )
        rows = tuple(((NUMBER, c * self.design.scale),) if c else () for c in constants)
        return Table("position", self.code, rows)


def _coefficients(reads: dict[tuple[Subspace, int], Plain]) -> tuple[Coefficients, ...]:
    by_subspace: dict[Subspace, list[tuple[int, Plain]]] = {}
    for (subspace, i), number in reads.items():
        by_subspace.setdefault(subspace, []).append((i, number))
    return tuple(Coefficients(subspace, tuple(sorted(e))) for subspace, e in by_subspace.items())
