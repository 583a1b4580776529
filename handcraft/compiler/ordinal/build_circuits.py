"""A form as circuits: heads bring its looks, neurons take its steps, and the nearest number wins."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor, log

import numpy as np

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    Ramp,
    Relation,
    Subspace,
    Table,
    coded,
    embed_position,
    embed_token,
    one_hot,
    scalar,
)
from handcraft.compiler.ordinal.circle import Circle
from handcraft.compiler.ordinal.codes import Line
from handcraft.compiler.ordinal.form import Form, Look, Own, Step, all_steps
from handcraft.compiler.ordinal.read_form import NotASumError
from handcraft.compiler.ordinal.share import Group
from handcraft.compiler.sequences.ir import between
from handcraft.compiler.sequences.places import short
from handcraft.compiler.sequences.precision import BITS, NOISE
from handcraft.errors import PrecisionError
from handcraft.language.sequences.domain import Plain, magnitude
from handcraft.origin import Origin, Place
from handcraft.vocabulary import Vocabulary
from handcraft.weights.norms import BALLAST

NUMBER, SQUARE = 0, 1
"""The dimensions of a codeword."""

ECHO = Fraction(1, 32)
"""By how much the input token's own codeword, which a tied head counts too, may put an answer off."""

SMALLEST_SCALE = 1024
"""Half a unit, less what puts the answer off, is over 104 nats then: wrong tokens have no chance."""

ECHOED = Origin("the input token's echo, which a tied head would count")
"""What clearing weights serve."""

GRAINS = 32
"""The gap of a step is a multiple of one part in so many of a unit."""

STEADY = 11
"""How much larger the gap of a step must be than what may put its sum off. Its hidden units lie at
least 16 (1 - 4/11) > 10 from 0 then, where GELU is straight."""

APART = 32
"""How many nats the sources of a pattern by single positions have more than all others."""


@dataclass(frozen=True)
class Design:
    """Everything that is decided before circuits are built.

    Args:
        answer: what is predicted, as a number.
        line: the number of every token.
        groups: which looks and steps share a dimension.
        destinations: the positions whose answers count.
        dtype: of the weights.
        circle: where positions are, if on a circle.
        normed: whether the target has LayerNorm. Numbers must stay small then, so the input token's own
            codeword is taken off instead of being drowned.
    """

    answer: Form
    line: Line
    groups: tuple[Group, ...]
    destinations: tuple[int, ...]
    dtype: str
    circle: Circle | None = None
    normed: bool = False

    @property
    def looks(self) -> list[Look]:
        """What heads look for, with positive weights, in order."""
        return [_upright(look.times(f))[0] for group in self.groups for look, f in group.looks]

    @property
    def reach(self) -> Plain:
        """No number of the line is larger, whatever its sign."""
        return max(abs(n) for n in self.line.numbers)

    @property
    def deepest(self) -> Fraction:
        """No square of a codeword is further below 0."""
        return -min(self.line.squares)

    @property
    def scale(self) -> int:
        """How many times the answer is written: the input token's echo, at most `ECHO` beside it."""
        if self.normed:
            return 1
        echo = self.reach + self.reach * self.deepest
        scale = SMALLEST_SCALE
        while echo > ECHO * scale:
            scale *= 2
        return scale

    @property
    def noise(self) -> float:
        """By what part LayerNorm scales one source more than another: it follows the sum of squares."""
        if not self.normed:
            return 0.0
        pairs = zip(self.line.numbers, self.line.squares, strict=True)
        words = [(float(number), float(square)) for number, square in pairs]
        balanced = [n * n + s * s + 1 + (abs(n) + abs(s) + 2) ** 2 for n, s in words]
        return max(balanced) / (4 * BALLAST**2) + 2 * float(NOISE)

    @property
    def missed(self) -> Fraction:
        """By how much heads may put the answer off: what one source gets too much another lacks."""
        missed = self.circle.missed if self.circle else [*map(self.astray, self.looks)]
        weights = [max(sum(w for _, w in s) for s in look.sources) for look in self.looks]
        width = Fraction(max(self.line.numbers) - min(self.line.numbers)) / 2
        read = Fraction(self.noise) * self.reach
        parts = [w * (Fraction(m) * width + read) for m, w in zip(missed, weights, strict=True)]
        return sum(parts, start=Fraction(0))

    def astray(self, look: Look) -> float:
        """How much attention a pattern by single positions misses: none where it is exactly hard."""
        if _is_single(look):
            return 0.0
        return float(np.expm1(APART * (2 * float(digit(self.dtype)) + self.noise)))

    @property
    def steadiness(self) -> Fraction:
        """By what part LayerNorm may put off the sum that a step reads."""
        if not self.normed:
            return digit(self.dtype)
        weights = (max(sum(w for _, w in s) for s in look.sources) for look in self.looks)
        largest = self.reach + sum((w * self.reach for w in weights), start=Fraction(0))
        return digit(self.dtype) + NOISE + Fraction(largest * largest) / BALLAST**2

    @property
    def off(self) -> Fraction:
        """By how much the answer may be off, all in all."""
        low, high = self.answer.off
        return Fraction(high - low) / 2 + (0 if self.normed else ECHO) + self.missed


def digit(dtype: str) -> Fraction:
    """Half a unit in the last place of 1."""
    return Fraction(1, 1 << BITS[dtype])


def build_circuits(
    design: Design, vocabulary: Vocabulary, context: int, place: Place | None = None
) -> Circuits:
    """The circuits of a design, for an architecture without LayerNorm.

    Raises:
        PrecisionError: a step is not told apart, its errors included.
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
                neurons += self._clearing() if self.design.normed else self._passing()
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
        asking = self._circle() if self.design.circle else self._one_by_one()
        heads = []
        for (group, look), relation in zip(parts, asking.relations, strict=True):
            upright, sign = _upright(look)
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
                f"`{step.text}` hangs on a difference of {float(max(0, high - low)):g}, and the sum "
                f"may be off by {float(noise):g}",
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

        Codewords are told by their squares: one step from each to the next.
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
                "what is compared hangs on the position otherwise than what is answered",
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
        if self.design.normed:
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
        lowest = min(self.design.line.squares) if self.design.normed else 0
        entry = (SQUARE, self.design.scale * self.design.line.shrink - lowest)
        return (Bias(Coefficients(self.code, (entry,)), (Origin("the nearest number wins"),)),)

    def _moving_constants(self) -> Table | None:
        """Constants that hang on the position are a column of its embedding."""
        constants = self._answer_constants
        if len(set(constants)) == 1:
            return None
        asked = {there for look in self.design.looks for s in look.sources for there, _ in s}
        if not asked.isdisjoint(self.design.destinations):
            raise PrecisionError(
                "what is added hangs on the position, and the same positions are looked at",
                fix="compile it without optimize",
            )
        rows: list[tuple[tuple[int, Plain], ...]] = [()] * self.context
        for here, constant in zip(self.design.destinations, constants, strict=True):
            rows[here] = ((NUMBER, constant * self.design.scale),) if constant else ()
        return Table("position", self.code, tuple(rows))

    # -- where heads look ---------------------------------------------------------------------------

    def _circle(self) -> _Asking:
        circle = self.design.circle
        assert circle is not None
        angle = coded("angle", dict(enumerate(circle.places)), dimensions=("across", "up"))
        relations = []
        for look, query, missed in zip(self.design.looks, circle.queries, circle.missed, strict=True):
            entries = [(i, j, Fraction(query[j][i])) for i in (0, 1) for j in (0, 1) if query[j][i]]
            meets = coded("meets", dict(enumerate(circle.places)), dimensions=("across", "up"))
            key = LinearMap(angle, meets, ((0, 0, 1), (1, 1, 1)))
            relations.append(
                Relation(
                    self._label(look),
                    (LinearMap(angle, meets, tuple(entries)),),
                    (key,),
                    shares=self._shares(look),
                    within=2 * missed,
                )
            )
        return _Asking([embed_position(angle)], relations)

    def _one_by_one(self) -> _Asking:
        """A QK circuit for each look, exactly hard where every destination has one source.

        Those on a parabola cost least: the score of source p for target t is 2 t p - p p, and the
        nearest position has the highest. Behind LayerNorm positions are one-hot, whose numbers are
        small, and so they are where several sources share.
        """
        relations: list[Relation] = []
        tables: dict[str, Table] = {}
        for number, look in enumerate(self.design.looks, 1):
            is_single = _is_single(look)
            if is_single and not self.design.normed:
                relations.append(self._on_parabola(look, number, tables))
            else:
                relations.append(self._one_hot(look, tables, is_single=is_single))
        return _Asking(list(tables.values()), relations)

    def _on_parabola(self, look: Look, number: int, tables: dict[str, Table]) -> Relation:
        targets = [0] * self.context
        for here, ((there, _),) in zip(self.design.destinations, look.sources, strict=True):
            targets[here] = there
        held = {
            f"target {number}": targets,
            "place": list(range(self.context)),
            "-place squared": [-p * p for p in range(self.context)],
        }
        for name, column in held.items():
            rows = tuple(((0, n),) if n else () for n in column)
            tables.setdefault(name, Table("position", scalar(name), rows))
        target, place, square = (tables[name].subspace for name in held)
        along, squared = scalar("along"), scalar("squared")
        return Relation(
            self._label(look),
            (LinearMap(target, along, ((0, 0, 2),)),),
            (LinearMap(place, along, ((0, 0, 1),)), LinearMap(square, squared, ((0, 0, 1),))),
            picks_one=True,
            always_asked=(Coefficients(squared, ((0, 1),)),),
        )

    def _one_hot(self, look: Look, tables: dict[str, Table], *, is_single: bool) -> Relation:
        position = one_hot("position", range(self.context))
        tables.setdefault(position.name, embed_position(position))
        meets = one_hot("meets", range(self.context))
        others = sorted(set(range(self.context)).difference(self.design.destinations))
        entries: list[tuple[int, int, Plain]] = [(here, 0, 1) for here in others if is_single]
        for here, sources in zip(self.design.destinations, look.sources, strict=True):
            most = max(weight for _, weight in sources)
            for there, weight in sources:
                score = 1 if is_single else APART + Fraction(log(weight / most))
                entries.append((here, there, score))
        key = LinearMap(position, meets, tuple((p, p, 1) for p in range(self.context)))
        return Relation(
            self._label(look),
            (LinearMap(position, meets, tuple(entries)),),
            (key,),
            picks_one=is_single,
            shares=None if is_single else self._shares(look),
            within=0 if is_single else 2 * self.design.astray(look),
        )

    def _shares(self, look: Look) -> tuple[tuple[tuple[int, Plain], ...], ...]:
        assert look.total is not None
        rows: list[tuple[tuple[int, Plain], ...]] = [()] * self.context
        for here, sources in zip(self.design.destinations, look.sources, strict=True):
            rows[here] = tuple((there, Fraction(weight) / look.total) for there, weight in sources)
        return tuple(rows)

    def _label(self, look: Look) -> str:
        """How far back the first destination looks, and how much each source counts."""
        here, sources = self.design.destinations[0], look.sources[0]
        least = min(weight for _, weight in sources)
        found = [f"{here - s} back" + (f" x{w / least}" if w != least else "") for s, w in sources]
        return ", ".join(found)


@dataclass(frozen=True)
class _Asking:
    """Tables of positions, and for each look the QK circuit."""

    tables: list[Table]
    relations: list[Relation]


def _is_single(look: Look) -> bool:
    return all(len(sources) == 1 for sources in look.sources)


def _upright(look: Look) -> tuple[Look, int]:
    """A look whose sources all count more than nothing, and the sign that it lacks."""
    return (look, 1) if look.is_positive else (look.times(-1), -1)


def _coefficients(reads: dict[tuple[Subspace, int], Plain]) -> tuple[Coefficients, ...]:
    by_subspace: dict[Subspace, list[tuple[int, Plain]]] = {}
    for (subspace, i), number in reads.items():
        by_subspace.setdefault(subspace, []).append((i, number))
    return tuple(Coefficients(subspace, tuple(sorted(e))) for subspace, e in by_subspace.items())
