"""Allocate features: only those numbers of a value that are read get a dimension.

A value that is read only as itself takes one dimension; one whose square is read too takes two. A
function of one value is not a value of its own, but another number of the same feature. So a function
of the token, of the position, or of any feature costs only its dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from math import ceil, gcd, log2

from handcraft.circuits import coded, signed_bits
from handcraft.circuits.number import plainest
from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.features.feature import CODE, ITSELF, Feature, Numbers, Reading, greatest, least
from handcraft.compiler.features.text_begins import (
    at_begin,
    by_steps,
    position_by_part,
    with_begin,
)
from handcraft.compiler.features.value_numbers import (
    at_0,
    canonical,
    line_through,
    places_of_values,
    usual,
)
from handcraft.compiler.passes.ir import (
    Attend,
    IsBegin,
    IsText,
    StepFunction,
    WeightedSum,
    is_scalar,
)
from handcraft.compiler.passes.tables.fuse import digital
from handcraft.language.graph.domain import Finite, Plain, as_number, magnitude
from handcraft.language.graph.node import (
    Assumed,
    Choice,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Node,
    is_position,
)

MOST = 4
"""The largest number that is stored before LayerNorm: its square is small beside the ballast."""

COPY = "copy of the code"
"""The name of its copy, which neurons read if they must not read the subspace of the logits."""

ONE = "one"
"""The name of a flag that is always 1."""


class Features:
    """Allocates features, as one number after the other is requested.

    Args:
        one_hot: the sources ("token") that are stored one-hot.
        normed: whether LayerNorm reads the stream. Then numbers are kept small, so that its scale
            changes little, and scores that must tie are 0, which no scale changes.
        in_bits: whether values are stored in bits: the token in those of its id, unless it is one-hot,
            and every whole number that is not a flag in its binary digits.
        small: whether numbers that are not flags are stored so small that LayerNorm's scale does not
            change; otherwise there is ballast.
        code_apart: whether the bits of the token are read from a copy, so that only the unembedding
            reads the subspace of the logits.
        positions: how the positions that heads look for are encoded, if that is asked for. In a rotary
            model, ``parts`` if neurons find them by a part of the attention, instead of heads.
        begin: the name of the begin token, where no position is embedded: heads find out then where
            the text begins. None where positions are embedded.
    """

    def __init__(
        self,
        one_hot: Sequence[str] = (),
        *,
        normed: bool = False,
        in_bits: bool = False,
        small: bool = False,
        code_apart: bool = False,
        positions: str = "auto",
        begin: str | None = None,
    ) -> None:
        self.begin = begin
        self.one_hot = (*one_hot, *(["position"] if positions == "one-hot" else []))
        self.positions = positions
        self.normed = normed
        self.in_bits = in_bits
        self.small = (small and normed) or begin is not None
        self.code_apart = code_apart
        self.by_node: dict[Node | str, Feature] = {}
        self.given: dict[Node, Reading] = {}
        self._step_functions: dict[Node, StepFunction] = {}
        self._places: dict[Node, list[int]] = {}
        self._numbers: dict[Node, Reading] = {}

    def number(self, node: Node) -> Reading:
        """The reading of a node that is a number; a flag counts as 0 or 1."""
        if node not in self._numbers:
            self._numbers[node] = finish(self._number(node))
        return self._numbers[node]

    def give(self, node: Node, reading: Reading) -> None:
        """Read a node in this way from now on."""
        self.given[node] = reading
        self._numbers.clear()

    def read(self, node: Node, numbers: Numbers, *, keeps_zero: bool = False) -> Reading:
        """The reading of a function of a node.

        Args:
            node: with a finite domain.
            numbers: the number for each of its values.
            keeps_zero: whether the number 0 must be stored as 0, and not as a difference.
        """
        return finish(self._read(node, numbers, keeps_zero=keeps_zero))

    def _number(self, node: Node) -> Call[Reading]:
        if node in self.given:
            return self.given[node]
        match node:
            case Constant():
                return Reading((), as_number(node.value))
            case Linear():
                total = Reading((), node.constant)
                for factor, term in node.terms:
                    read = yield from result_of(self._number(term))
                    total += read * factor
                return total
            case Assumed():
                return (yield from result_of(self._number(node.value)))
            case Choice():
                return (yield from result_of(self._chosen(node)))
        if is_scalar(node):
            feature = self._of(node)
            feature.scale = self._scale(least(node), greatest(node))
            alone = yield from result_of(self._dimension(feature, ITSELF))
            return alone * feature.scale
        assert isinstance(node.domain, Finite)
        numbers = tuple(as_number(v) for v in node.domain.values)
        return (yield from result_of(self._read(node, numbers, keeps_zero=False)))

    def _read(self, node: Node, numbers: Numbers, *, keeps_zero: bool) -> Call[Reading]:
        assert isinstance(node.domain, Finite)
        if len(set(numbers)) == 1:
            return Reading((), numbers[0])
        match node:
            case Lookup():
                (argument,) = node.arguments
                through = self._through(node, numbers)
                return (yield from result_of(self._read(argument, through, keeps_zero=keeps_zero)))
            case Assumed() if not is_scalar(node):
                through = self._through(node, numbers)
                return (yield from result_of(self._read(node.value, through, keeps_zero=keeps_zero)))
        if is_scalar(node):
            line = line_through(node.domain.values, numbers)
            if line is not None:
                number = yield from result_of(self._number(node))
                return number * line[0] + Reading((), line[1])
            if node not in self._step_functions:
                self._step_functions[node] = digital(node)
            step_function = self._step_functions[node]
            return (yield from result_of(self._read(step_function, numbers, keeps_zero=keeps_zero)))
        if isinstance(node, Attend | StepFunction):
            ever = self._through(node, numbers)
            if len(set(ever)) == 1:
                return Reading((), ever[0])
        if isinstance(node, IsText):
            return at_begin(self) * (numbers[0] - numbers[1]) + Reading((), numbers[1])
        if isinstance(node, IsBegin):
            return at_begin(self) * (numbers[1] - numbers[0]) + Reading((), numbers[0])
        if self.begin is not None and is_position(node):
            if self.positions != "parts":
                return by_steps(self, numbers)
            node = position_by_part(len(numbers))
        if self.in_bits and isinstance(node, Embedded) and node.of == "token" not in self.one_hot:
            found = self._of_code(node, numbers)
            if found is not None:
                return found
        feature = self._of(node)
        if feature.is_one_hot:
            at_rest = usual(numbers) if self.begin is None else numbers[0]
            base = 0 if keeps_zero else at_rest  # which is what the begin token reads as
            terms = [(n - base, feature, i) for i, n in enumerate(numbers) if n != base]
            return Reading(tuple(terms), base)
        if self.in_bits and len(set(numbers)) > 2 and all(n.denominator == 1 for n in numbers):
            return (yield from result_of(self._in_digits(node, numbers, keeps_zero=keeps_zero)))
        shape, factor, constant = canonical(numbers, 0 if keeps_zero else usual(numbers))
        scale = self._scale(*shape)
        small = tuple(plainest(Fraction(n, scale)) for n in shape) if scale > 1 else shape
        if keeps_zero:
            feature.zeros.add(feature.numbers.get(small, len(feature.numbers)))
        shaped = yield from result_of(self._dimension(feature, small))
        return shaped * (factor * scale) + Reading((), constant)

    def one(self, position: Node) -> Reading:
        """A constant 1, embedded at every position, which LayerNorm scales like all features."""
        if ONE not in self.by_node:
            assert isinstance(position.domain, Finite)
            everywhere = (1,) * len(position.domain.values)
            self.by_node[ONE] = Feature(position, {everywhere: 0}, has_flags=True)
        return Reading(((1, self.by_node[ONE], 0),))

    def code(self, node: Node, name: str = CODE) -> Feature:
        """The signed bits of the id of a token, embedded as a whole.

        Args:
            node: the token.
            name: of the feature. The one named `CODE` is the subspace of the logits.
        """
        assert isinstance(node.domain, Finite)
        if name not in self.by_node:
            size = len(node.domain.values)
            tokens = [*map(str, node.domain.values), *([] if self.begin is None else [self.begin])]
            feature = Feature(node, code=partial(signed_bits, values=tuple(tokens)))
            for i, k in enumerate(reversed(range(max(1, (len(tokens) - 1).bit_length())))):
                feature.numbers[tuple(1 if place >> k & 1 else -1 for place in range(size))] = i
            self.by_node[name] = feature
        return self.by_node[name]

    def codewords(self, node: Embedded, numbers: Mapping[str, Numbers]) -> Feature:
        """Codewords of a source, embedded as a whole.

        Args:
            node: the token or the position.
            numbers: for each dimension its name, and the number for each value.
        """
        assert isinstance(node.domain, Finite)
        values = (v if isinstance(v, int) else str(v) for v in node.domain.values)
        words = dict(zip(values, zip(*numbers.values(), strict=True), strict=True))
        code = partial(coded, words=words, dimensions=tuple(numbers))
        feature = Feature(node, {row: i for i, row in enumerate(numbers.values())}, code=code)
        self.by_node[str(node)] = feature
        return feature

    def add_up(
        self, total: Linear, *, scale: Plain = 1, within: tuple[Feature, int] | None = None
    ) -> Feature:
        """Store a sum in one dimension, to which whatever makes its terms adds each.

        Args:
            total: of numbers that heads and neurons make; its constant is not stored.
            scale: by what it is divided before it is stored.
            within: the dimension of another feature where it is added up; None for one of its own.
        """
        feature = Feature(total, {ITSELF: 0}, scale=scale, within=within)
        self.by_node[total] = feature
        self.give(total, Reading(((scale, feature, 0),), total.constant))
        for factor, node in total.terms:
            part = self._of(node)
            times = Fraction(factor) / scale
            if isinstance(node, WeightedSum) and node.total is not None:
                part.moved_number = self.number(node.value)
                times *= node.total
            part.adds.append((times, feature))
        return feature

    def _of_code(self, token: Node, numbers: Numbers) -> Reading | None:
        """A function of the token as a sum over the bits of its id; None if it is not such a sum.

        At the begin token it must be what it is at the first token: heads move several numbers from
        there, and together they must be those of some value.
        """
        code = self.code(token, COPY if self.code_apart else CODE)
        count = len(code.numbers)
        bits = range(count)  # of which the highest may be set for the begin token alone
        steps = [numbers[1 << k] - numbers[0] if 1 << k < len(numbers) else 0 for k in bits]
        for place, number in enumerate(numbers):
            if (
                place
                and number != numbers[place & place - 1] + steps[(place & -place).bit_length() - 1]
            ):
                return None
        if self.begin is not None:
            size = len(numbers)
            there = numbers[0] + sum(step for k, step in enumerate(steps) if size >> k & 1)
            if there != numbers[0]:
                return None
        halves = [plainest(Fraction(step) / 2) for step in reversed(steps)]
        terms = tuple((half, code, i) for i, half in enumerate(halves) if half)
        return Reading(terms, plainest(Fraction(numbers[0] + sum(halves))))

    def _in_digits(self, node: Node, numbers: Numbers, *, keeps_zero: bool) -> Call[Reading]:
        """Whole numbers as a sum of flags: the binary digits of their excess over the smallest."""
        low = min(numbers)
        unit = gcd(*(int(n - low) for n in numbers))
        steps = [int(n - low) // unit for n in numbers]
        total = Reading((), low)
        for k in range(max(steps).bit_length()):
            digits = tuple(step >> k & 1 for step in steps)
            flag = yield from result_of(self._read(node, digits, keeps_zero=keeps_zero))
            total += flag * (unit << k)
        return total

    def _scale(self, *numbers: Plain) -> int:
        """A power of two by which the numbers are divided before they are stored."""
        if not self.normed:
            return 1
        largest, most = max(map(magnitude, numbers)), 1 if self.small else MOST
        return 1 << max(0, ceil(log2(largest / most))) if largest > most else 1

    def _through(self, node: Lookup | Assumed | Attend | StepFunction, numbers: Numbers) -> Numbers:
        """Translate numbers for the values of a node into numbers for the values of its argument."""
        if node not in self._places:
            self._places[node] = places_of_values(node)
        return tuple([numbers[i] for i in self._places[node]])

    def _dimension(self, feature: Feature, numbers: Numbers) -> Call[Reading]:
        """One stored number; the constant of a sum that a head moves is added here."""
        i = yield from result_of(self._index(feature, numbers))
        if not feature.moved:
            return Reading(((1, feature, i),))
        if not feature.moved[i].terms:
            return Reading((), feature.moved[i].constant)
        return Reading(((1, feature, i),), feature.constant(i))

    def _chosen(self, node: Choice) -> Call[Reading]:
        """A choice as two ramps, each a number minus its minimum, plus linear terms."""
        low_yes, low_no = least(node.yes), least(node.no)
        ramps = Reading(())
        span = max(greatest(n) - least(n) for n in (node.yes, node.no))
        if span:
            feature = self._of(node)
            feature.scale = self._scale(span)
            ramps = (yield from result_of(self._dimension(feature, ITSELF))) * feature.scale
        condition = yield from result_of(self._number(node.condition))
        return ramps + condition * (low_yes - low_no) + Reading((), low_no)

    def write_logits(self, node: Node, numbers: Mapping[int, Numbers]) -> Feature | None:
        """Let the head or step function that computes a node write functions of it into the logits.

        Args:
            node: with a finite domain.
            numbers: for the id of each token the number for each value of the node.

        Returns:
            The feature whose functions are written; None if neither a head nor a step function
            computes it.
        """
        while isinstance(node, Lookup | Assumed) and not is_scalar(node):
            numbers = {token: self._through(node, row) for token, row in numbers.items()}
            node = node.arguments[0] if isinstance(node, Lookup) else node.value
        if is_scalar(node) or not isinstance(node, Attend | StepFunction):
            return None
        feature = self._of(node)
        feature.logits |= numbers
        if isinstance(node, Attend):
            for token, row in numbers.items():
                feature.moved_logits[token] = self.read(node.value, self._through(node, row))
        return feature

    def keeps_numbers(self, feature: Feature) -> bool:
        """Whether its numbers are stored one by one, though it may have fewer values than numbers."""
        is_position = isinstance(feature.node, Embedded) and feature.node.of == "position"
        return self.in_bits or (is_position and self.positions in ("binary", "sinusoidal"))

    def allocate(self, node: Node) -> Feature:
        """Allocate a feature for a value, whether or not any number of it is read."""
        return self._of(node)

    def _of(self, node: Node) -> Feature:
        """The feature of a value; token and position each have one, however many nodes they have."""
        key = node.of if isinstance(node, Embedded) else node
        if key not in self.by_node:
            feature = Feature(node)
            feature.is_one_hot = isinstance(node, Embedded) and node.of in self.one_hot
            has_bits = self.in_bits or (key == "position" and self.positions == "binary")
            feature.has_flags = has_bits and self.normed and not is_scalar(node)
            feature.has_small = self.small
            self.by_node[key] = feature
        return self.by_node[key]

    def _index(self, feature: Feature, numbers: Numbers) -> Call[int]:
        """The dimension of a number, allocated if new; for a head also at its sources."""
        if numbers not in feature.numbers:
            feature.numbers[numbers] = len(feature.numbers)
            if isinstance(feature.node, Attend):
                value = feature.node.value
                if numbers == ITSELF:
                    read = (yield from result_of(self._number(value))) * Fraction(1, feature.scale)
                else:
                    through = self._through(feature.node, numbers)
                    is_exact = self.in_bits and feature.node.picks != "mean"
                    keeps_zero = self.normed and self.begin is None and not is_exact
                    read = yield from result_of(self._read(value, through, keeps_zero=keeps_zero))
                if feature.node.begun and not isinstance(value, IsBegin):
                    read = with_begin(read, self, at_0(feature, numbers))
                feature.moved.append(read)
        return feature.numbers[numbers]
