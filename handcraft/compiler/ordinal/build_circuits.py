"""The circuits of a design: heads compute weighted sums, neurons steps, and the stream adds them up.

The answer is one of these sums. It is stored in the codeword from which logits are read. Weighted sums
and steps that are always read in the same ratio form a group: only their sum is stored, in one
dimension. The largest group may use the dimension of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import floor

from handcraft.circuits import Circuits
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.assemble import assemble
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Feature, Reading
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, sum_in
from handcraft.compiler.ordinal.codes import by_token
from handcraft.compiler.ordinal.design import Design
from handcraft.compiler.ordinal.patterns import patterns, position
from handcraft.compiler.ordinal.share import Group
from handcraft.compiler.passes.ir import StepFunction, Threshold, between
from handcraft.compiler.rules.rule_logits import LogitNeuron
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import FLAGS, Plain, finite, magnitude
from handcraft.language.graph.node import Choice, Constant, Embedded, Linear, Lookup, Node
from handcraft.language.graph.pointwise import linear
from handcraft.language.graph.wording import reads
from handcraft.origin import Origin, Place

NUMBER, SQUARE = 0, 1
"""The dimensions of a codeword."""

MOVING = "constants"
"""The name of the feature that stores the constants of the answer, if they depend on the position."""

GRAINS = 32
"""The gap of a step is a multiple of 1 / `GRAINS`."""

STEADY = 11
"""The gap of a step is at least this many times the error bound of its sum. The pre-activations of its
hidden units are then at least 16 (1 - 4/11) > 10 away from 0, where GELU is straight."""


def build_circuits(design: Design, place: Place | None = None) -> Circuits:
    """The circuits of a design.

    Raises:
        PrecisionError: a threshold is too close to a sum, error bounds included.
    """
    builder = _Builder(design)
    for step in design.steps:
        builder.steps[step] = builder.step(step)
    last, biases = builder.answer(), builder.biases()
    features = builder.features
    precision = Precision(design.dtype.name, design.has_norm)
    assembly = Assembly(features, design.context, precision, builder.patterns)
    assembly.settle()
    depth = max(1, *((slot + 1) // 2 for slot in assembly.slots.values()))
    for feature in last:
        assembly.slots[id(feature)] = 2 * depth
    circuits, _ = assemble(
        assembly,
        design.line.vocabulary,
        causal=True,
        place=place,
        logit_neurons=biases,
        code=builder.code,
    )
    return circuits


class _Builder:
    def __init__(self, design: Design) -> None:
        self.design = design
        self.features = Features(normed=design.has_norm)
        line = design.line
        token = Embedded(finite(line.vocabulary.tokens), reads("answer"), "token")
        self.code = self.features.codewords(token, {"number": line.numbers, "-square/2": line.squares})
        for node in design.weighted:
            self.features.give(node.value, Reading(((1, self.code, NUMBER),)))
        self.patterns = patterns(design, self.features)
        self.steps: dict[Node, Node] = {}
        self.sums: dict[Group, Linear] = {}
        self.owns = [(n, f) for n, f in design.answer.terms.items() if isinstance(n, Lookup)]

    def step(self, step: StepFunction) -> StepFunction:
        """The step as a threshold on stored numbers; its gap excludes all error bounds."""
        design, noise = self.design, Fraction(0)
        terms: list[tuple[Plain, Node]] = []
        (threshold,) = step.thresholds
        total = sum_in(step, design.answer.zero)
        for group in design.groups:
            times = dict(group.read_by).get(step, 0)
            if not times:
                continue
            terms.append((times, self._sum(group)))
            noise += magnitude(times) * design.missed
            for node, factor in group.parts:
                if isinstance(node, StepFunction):
                    noise += design.blur(node) * magnitude(times * factor)
            if group.is_home:
                noise += magnitude(times) * Fraction(design.reach) / design.scale
        for node, factor in total.terms.items():
            if isinstance(node, Lookup):
                self.features.give(node, Reading(((1, self.code, SQUARE),)))
                terms.append((factor, node))
        if len(set(total.known)) > 1:
            raise PrecisionError(
                "a threshold depends on the position",
                fix="compile it without optimize",
            )
        at_least = threshold.at_least - total.known[0]
        noise += magnitude(at_least) * design.steadiness
        gap = Fraction(floor((threshold.gap - 2 * noise) * GRAINS), GRAINS)
        if gap <= 0 or noise * STEADY >= gap:
            raise PrecisionError(
                f"`{step}` must distinguish numbers that differ by {float(max(0, threshold.gap)):g}, "
                f"but the error bound of their sum is {float(noise):g}",
                where=step.origin,
                fix="compile it without optimize",
            )
        stored = Threshold(tuple(terms), at_least + (gap - threshold.gap) / 2, gap)
        return StepFunction(step.domain, step.text, (stored,), step.values, place=step.place)

    def _sum(self, group: Group) -> Linear:
        """The sum of a group, as it is stored."""
        if group not in self.sums:
            total = self._linear(group.parts, f"sum {len(self.sums) + 1}")
            self.sums[group] = total
            if group.is_home:
                scale = Fraction(1, self.design.scale)
                self.features.add_up(total, scale=scale, within=(self.code, NUMBER))
            else:
                self.features.add_up(total)
        return self.sums[group]

    def _linear(self, parts: Iterable[tuple[Node, Plain]], name: str) -> Linear:
        terms = [(factor, self.steps.get(node, node)) for node, factor in parts]
        total = linear(terms, 0, reads(name))
        assert isinstance(total, Linear)
        return total

    def answer(self) -> list[Feature]:
        """Add up the answer in the codeword, and return what must be computed last."""
        design, features = self.design, self.features
        parts = [p for g in design.groups if g.in_answer and not g.is_home for p in g.parts]
        last = [self._clearing()] if design.has_norm else []
        for own, factor in () if design.has_norm else self.owns:
            features.give(own, Reading(((1, self.code, SQUARE),)))
            always, zero = Constant(FLAGS, reads("always"), True), Constant(finite((0,)), reads("0"), 0)
            ramp = Choice(own.domain, reads("the token itself"), always, own, zero, place=own.place)
            parts.append((ramp, factor))
            last.append(features.allocate(ramp))
        if parts:
            scale = Fraction(1, design.scale)
            features.add_up(self._linear(parts, "answer"), scale=scale, within=(self.code, NUMBER))
        if self.moves:
            column = tuple(c * design.scale if c else 0 for c in self.constants.constants)
            features.by_node[MOVING] = Feature(
                position(design.context), {column: 0}, within=(self.code, NUMBER)
            )
        return last

    def _clearing(self) -> Feature:
        """Subtract the token's own codeword, except for what the answer needs of its number.

        The square of a codeword identifies it: one threshold between each and the next.
        """
        line = self.design.line
        words = sorted(set(zip(line.squares, line.numbers, strict=True)))
        squares, numbers = zip(*words, strict=True)
        if len(set(squares)) < len(words):
            raise PrecisionError(
                "two tokens have one square, and different numbers",
                fix="compile it without optimize",
            )
        square = by_token(line.vocabulary, line.squares, reads("-square/2"))
        self.features.give(square, Reading(((1, self.code, SQUARE),)))
        steps = [Threshold(((1, square),), *between(*pair)) for pair in pairwise(squares)]
        places = tuple(range(len(words)))
        step = StepFunction(finite(places), reads("the token itself"), tuple(steps), places)
        feature = self.features.allocate(step)
        kept = sum((factor for _, factor in self.owns), start=Fraction(0)) - 1
        feature.logits[NUMBER] = tuple(kept * number for number in numbers)
        feature.logits[SQUARE] = tuple(-square for square in squares)
        return feature

    # -- constants ----------------------------------------------------------------------------------

    @cached_property
    def constants(self) -> ApproximateSum:
        """The answer with its constants shifted so that the error is the same in both directions."""
        low, high = self.design.answer.off
        passed = 0 if self.design.has_norm else sum(factor for _, factor in self.owns)
        return self.design.answer.shifted(-Fraction(low + high) / 2 - passed * self.design.deepest)

    @property
    def moves(self) -> bool:
        """Whether the constant of the answer depends on the position."""
        return len(set(self.constants.known)) > 1

    def biases(self) -> list[LogitNeuron]:
        """Biases: the constant of the answer, and the 1 by which squares are multiplied, both scaled.

        Raises:
            PrecisionError: the constant depends on the position, and heads read its dimension.
        """
        design = self.design
        constant = 0 if self.moves else self.constants.known[0] * design.scale
        if self.moves and any(
            self.constants.constants[there] is not None
            for node in design.weighted
            for _, row in node.rows
            for there, _ in row
        ):
            raise PrecisionError(
                "a constant of the answer depends on the position, and heads attend to its positions",
                fix="compile it without optimize",
            )
        added: list[tuple[int, Plain, str]] = [
            (NUMBER, constant, "the constant of the answer"),
            (SQUARE, design.scale * design.line.shrink, "the nearest number wins"),
        ]
        return [LogitNeuron(Reading(()), 0, {i: n}, Origin(name)) for i, n, name in added if n]
