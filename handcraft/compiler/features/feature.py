"""How values are held: as those numbers of them that somebody reads.

A value that is read only as itself takes one dimension; one whose square is read too takes two. What is
computed point by point from one value is no value of its own: it is another number of that one. So a
function of the token, of the position, or of anything held costs nothing but its dimension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil, gcd, lcm, log2

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.passes.fuse import digital
from handcraft.compiler.passes.ir import Attend, Ladder, is_scalar
from handcraft.display import short_repr
from handcraft.language.graph.domain import Finite, Plain, Value, as_number, magnitude
from handcraft.language.graph.node import (
    Assumed,
    Choice,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Node,
    walk,
)

Numbers = tuple[Plain, ...]
"""A number for each value of a domain, in its order."""

SMALL = 4
"""Before LayerNorm no number that is held is larger: its square counts little beside the ballast."""

CODE = "code of the token"
"""What is held under this name are the signed bits of the id of the token."""

ITSELF: Numbers = ()
"""Stands for the number itself, of a value that is held as one number only."""


@short_repr
@dataclass(frozen=True)
class Reading:
    """A number as a sum over what is held: factors and numbers of values, and a constant.

    How large it can be is asked once everything is held.
    """

    terms: tuple[tuple[Plain, Held, int], ...]
    constant: Plain = 0

    @cached_property
    def size(self) -> Plain:
        """No sum of absolute terms is larger."""
        total: Plain = 0
        for factor, held, i in self.terms:
            low, high = held.span(i)
            total += magnitude(factor) * max(magnitude(low), magnitude(high))
        return total

    @cached_property
    def rest(self) -> Plain:
        """The constant, where a flag counts as the half by which it is off 1/2: as it is stored."""
        halves = (Fraction(factor) / 2 for factor, held, i in self.terms if held.is_flag(i))
        return self.constant + sum(halves)

    @property
    def digits(self) -> int:
        """The most binary digits that a factor has, zeros at either end not counted."""
        return max((_digits(Fraction(factor)) for factor, _, _ in self.terms), default=0)

    @cached_property
    def weight(self) -> Plain:
        """The sum of the factors without their signs: what an error of each dimension counts."""
        total: Plain = 0
        for factor, held, i in self.terms:
            total += magnitude(factor) * held.weight(i)
        return total

    @cached_property
    def span(self) -> tuple[Plain, Plain]:
        """No value of the sum is smaller than the first, and none larger than the second."""
        low, high = self.constant, self.constant
        for factor, held, i in self.terms:
            ends = [factor * end for end in held.span(i)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    @property
    def is_whole(self) -> bool:
        """Whether all that is added up is integers."""
        return all(f.denominator == 1 and held.is_whole(i) for f, held, i in self.terms)

    @property
    def has_shares(self) -> bool:
        """Whether something in it rests on a mean, which floats round."""
        nodes = walk(*{held.node for _, held, _ in self.terms})
        return any(isinstance(node, Attend) and node.picks == "mean" for node in nodes)

    def __mul__(self, factor: Plain) -> Reading:
        return Reading(
            tuple((f * factor, held, i) for f, held, i in self.terms), self.constant * factor
        )

    def __add__(self, other: Reading) -> Reading:
        return sum_of((self, other))


def sum_of(readings: Sequence[Reading]) -> Reading:
    """All of them added up; what occurs in several is read once."""
    total: dict[tuple[Held, int], Plain] = {}
    constant: Plain = 0
    for reading in readings:
        constant += reading.constant
        for factor, held, i in reading.terms:
            total[held, i] = total.get((held, i), 0) + factor
    return Reading(tuple((f, held, i) for (held, i), f in total.items() if f), constant)


@short_repr
@dataclass(eq=False)
class Held:
    """A value that is held in the residual stream.

    Args:
        node: the value: a token, a position, what a head brings, what neurons write.
        numbers: which numbers of it are held, each for one dimension; `ITSELF` for the number itself.
        brought: for what a head brings, how each of the numbers reads at the source.
        is_one_hot: whether it is held with one dimension for each value instead.
        scale: by what the number itself is divided before it is held.
        is_bits: whether its numbers are the signed bits of one code, which is embedded as a whole.
        has_flags: whether a number that is 0 or 1 is stored as a flag.
        zeros: the numbers for which 0 must be stored as 0, and not as -1 beside +1.
        spoken: which numbers of it are written straight into the logits, each by the id of its token.
        said: for what a head brings, how each of those reads at the source.
    """

    node: Node
    numbers: dict[Numbers, int] = field(default_factory=dict)
    brought: list[Reading] = field(default_factory=list)
    is_one_hot: bool = False
    is_bits: bool = False
    has_flags: bool = False
    zeros: set[int] = field(default_factory=set)
    scale: int = 1
    spoken: dict[int, Numbers] = field(default_factory=dict)
    said: dict[int, Reading] = field(default_factory=dict)

    def __hash__(self) -> int:
        return id(self)

    def is_flag(self, i: int) -> bool:
        """Whether one of the numbers is stored as a flag: as -1 or +1, whose square never changes."""
        return self.has_flags and i not in self.zeros and set(self._numbers(i)) == {0, 1}

    def constant(self, i: int) -> Plain:
        """What readers add to a number that a head brings; of a flag nothing is left out."""
        return self.brought[i].constant if self.brought and not self.is_flag(i) else 0

    def span(self, i: int) -> tuple[Plain, Plain]:
        """The smallest and the largest of one of the numbers, in however many dimensions it lies."""
        if not self.numbers:
            return 0, 1
        numbers = self._numbers(i)
        constant = self.constant(i)
        if numbers != ITSELF:
            return min(numbers) - constant, max(numbers) - constant
        if isinstance(self.node, Choice):
            most = max(greatest(n) - least(n) for n in (self.node.yes, self.node.no))
            return 0, _plainer(Fraction(most) / self.scale)
        share = Fraction(1, self.scale)
        return least(self.node) * share - constant, greatest(self.node) * share - constant

    def weight(self, i: int) -> Plain:
        """What an error of each dimension counts in one of the numbers."""
        if not self.is_one_hot or not self.numbers:
            return 1
        total: Plain = 0
        for number in self._numbers(i):
            total += magnitude(number)
        return total

    def is_whole(self, i: int) -> bool:
        """Whether one of the numbers is always an integer."""
        if self.is_one_hot and not self.numbers:
            return True
        numbers = self._numbers(i)
        constant = self.constant(i)
        return numbers != ITSELF and all(n.denominator == 1 for n in (*numbers, constant))

    def _numbers(self, i: int) -> Numbers:
        return next(numbers for numbers, place in self.numbers.items() if place == i)

    @property
    def values(self) -> tuple[Value, ...]:
        """The values that it can have."""
        assert isinstance(self.node.domain, Finite)
        return self.node.domain.values


class Holder:
    """Decides what is held, as one number after the other is asked for.

    Args:
        one_hot: the sources ("token") that are held one-hot.
        normed: whether LayerNorm will see what is held: numbers are kept small then, so that its scale
            changes little, and what decides a tie is kept at 0, where a change of scale does nothing.
        in_bits: whether values of many kinds are held in bits: the token in those of its id, and every
            whole number that is no flag in those of its binary digits.
    """

    def __init__(
        self, one_hot: Sequence[str] = (), *, normed: bool = False, in_bits: bool = False
    ) -> None:
        self.one_hot = tuple(one_hot)
        self.normed = normed
        self.in_bits = in_bits
        self.held: dict[Node | str, Held] = {}
        self._ladders: dict[Node, Ladder] = {}
        self._places: dict[Node, list[int]] = {}

    def number(self, node: Node) -> Reading:
        """How the number that a node is can be read; a flag counts as 0 or 1."""
        return finish(self._number(node))

    def read(self, node: Node, numbers: Numbers, *, keeps_zero: bool = False) -> Reading:
        """How a function of a node can be read.

        Args:
            node: with a finite domain.
            numbers: the number for each of its values.
            keeps_zero: whether 0 is to be read where the number is 0, and not as a difference.
        """
        return finish(self._read(node, numbers, keeps_zero=keeps_zero))

    def _number(self, node: Node) -> Call[Reading]:
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
            held = self._of(node)
            held.scale = self._scale(least(node), greatest(node))
            alone = yield from result_of(self._dimension(held, ITSELF))
            return alone * held.scale
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
            line = _line(node.domain.values, numbers)
            if line is not None:
                number = yield from result_of(self._number(node))
                return number * line[0] + Reading((), line[1])
            if node not in self._ladders:
                self._ladders[node] = digital(node)
            ladder = self._ladders[node]
            return (yield from result_of(self._read(ladder, numbers, keeps_zero=keeps_zero)))
        if isinstance(node, Attend | Ladder):
            ever = self._through(node, numbers)
            if len(set(ever)) == 1:
                return Reading((), ever[0])
        if self.in_bits and isinstance(node, Embedded) and node.of == "token":
            found = self._of_code(node, numbers)
            if found is not None:
                return found
        held = self._of(node)
        if held.is_one_hot:
            base = 0 if keeps_zero else usual(numbers)
            terms = [(n - base, held, i) for i, n in enumerate(numbers) if n != base]
            return Reading(tuple(terms), base)
        if self.in_bits and len(set(numbers)) > 2 and all(n.denominator == 1 for n in numbers):
            return (yield from result_of(self._in_digits(node, numbers, keeps_zero=keeps_zero)))
        shape, factor, constant = _canonical(numbers, 0 if keeps_zero else usual(numbers))
        scale = self._scale(*shape)
        small = tuple(_plainer(Fraction(n, scale)) for n in shape) if scale > 1 else shape
        if keeps_zero:
            held.zeros.add(held.numbers.get(small, len(held.numbers)))
        shaped = yield from result_of(self._dimension(held, small))
        return shaped * (factor * scale) + Reading((), constant)

    def code(self, node: Node) -> Held:
        """The signed bits of the id of a token, embedded as a whole; logits are read with them."""
        assert isinstance(node.domain, Finite)
        if CODE not in self.held:
            size = len(node.domain.values)
            held = Held(node, is_bits=True)
            for i, k in enumerate(reversed(range(max(1, (size - 1).bit_length())))):
                held.numbers[tuple(1 if place >> k & 1 else -1 for place in range(size))] = i
            self.held[CODE] = held
        return self.held[CODE]

    def _of_code(self, token: Node, numbers: Numbers) -> Reading | None:
        """A function of the token as a sum over the bits of its id; None where it is no such sum."""
        code = self.code(token)
        count = len(code.numbers)
        steps = [numbers[1 << k] - numbers[0] for k in range(count)]  # of bit k set, the lowest first
        for place, number in enumerate(numbers):
            if (
                place
                and number != numbers[place & place - 1] + steps[(place & -place).bit_length() - 1]
            ):
                return None
        halves = [_plainer(Fraction(step) / 2) for step in reversed(steps)]
        terms = tuple((half, code, i) for i, half in enumerate(halves) if half)
        return Reading(terms, _plainer(Fraction(numbers[0] + sum(halves))))

    def _in_digits(self, node: Node, numbers: Numbers, *, keeps_zero: bool) -> Call[Reading]:
        """Whole numbers as a sum of flags: the binary digits of what they exceed the least by."""
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
        """A power of two by which the numbers are divided before they are held."""
        if not self.normed:
            return 1
        largest = max(map(magnitude, numbers))
        return 1 << max(0, ceil(log2(largest / SMALL))) if largest > SMALL else 1

    def _through(self, node: Lookup | Assumed | Attend | Ladder, numbers: Numbers) -> Numbers:
        """Numbers for the values of a node as numbers for the values of what it is made from."""
        if node not in self._places:
            self._places[node] = _places(node)
        return tuple([numbers[i] for i in self._places[node]])

    def _dimension(self, held: Held, numbers: Numbers) -> Call[Reading]:
        """One number of what is held; the constant of a sum that a head brings is added here."""
        i = yield from result_of(self._index(held, numbers))
        if not held.brought:
            return Reading(((1, held, i),))
        if not held.brought[i].terms:
            return Reading((), held.brought[i].constant)
        return Reading(((1, held, i),), held.constant(i))

    def _chosen(self, node: Choice) -> Call[Reading]:
        """Each number less its least passes a ramp where it is chosen; the rest is linear."""
        low_yes, low_no = least(node.yes), least(node.no)
        ramps = Reading(())
        span = max(greatest(n) - least(n) for n in (node.yes, node.no))
        if span:
            held = self._of(node)
            held.scale = self._scale(span)
            ramps = (yield from result_of(self._dimension(held, ITSELF))) * held.scale
        condition = yield from result_of(self._number(node.condition))
        return ramps + condition * (low_yes - low_no) + Reading((), low_no)

    def speak(self, node: Node, numbers: Mapping[int, Numbers]) -> Held | None:
        """Have functions of a node written straight into the logits by what makes it.

        Args:
            node: with a finite domain.
            numbers: for the id of each token the number for each value of the node.

        Returns:
            What holds the value that they are functions of; None where neither a head nor a ladder
            makes it.
        """
        while isinstance(node, Lookup | Assumed) and not is_scalar(node):
            numbers = {token: self._through(node, row) for token, row in numbers.items()}
            node = node.arguments[0] if isinstance(node, Lookup) else node.value
        if is_scalar(node) or not isinstance(node, Attend | Ladder):
            return None
        held = self._of(node)
        held.spoken |= numbers
        if isinstance(node, Attend):
            for token, row in numbers.items():
                held.said[token] = self.read(node.value, self._through(node, row))
        return held

    def hold(self, node: Node) -> Held:
        """Hold a value whether anything of it is read or not."""
        return self._of(node)

    def _of(self, node: Node) -> Held:
        """What holds a value; token and position are held once, however many nodes they have."""
        key = node.of if isinstance(node, Embedded) else node
        if key not in self.held:
            held = Held(node)
            held.is_one_hot = isinstance(node, Embedded) and node.of in self.one_hot
            held.has_flags = self.in_bits and self.normed and not is_scalar(node)
            self.held[key] = held
        return self.held[key]

    def _index(self, held: Held, numbers: Numbers) -> Call[int]:
        """The dimension of a number, held from now on; a head's is asked for at its source too."""
        if numbers not in held.numbers:
            held.numbers[numbers] = len(held.numbers)
            if isinstance(held.node, Attend):
                value = held.node.value
                if numbers == ITSELF:
                    read = (yield from result_of(self._number(value))) * Fraction(1, held.scale)
                else:
                    through = self._through(held.node, numbers)
                    keeps_zero = self.normed and not (self.in_bits and held.node.picks != "mean")
                    read = yield from result_of(self._read(value, through, keeps_zero=keeps_zero))
                held.brought.append(read)
        return held.numbers[numbers]


def least(node: Node) -> Plain:
    """No value of the number is smaller."""
    return as_number(node.domain.values[0]) if isinstance(node.domain, Finite) else node.domain.low


def greatest(node: Node) -> Plain:
    """No value of the number is larger."""
    return as_number(node.domain.values[-1]) if isinstance(node.domain, Finite) else node.domain.high


def _places(node: Lookup | Assumed | Attend | Ladder) -> list[int]:
    """For each value of what a node is made from, the place of the value that the node has then.

    What never occurs counts as the first. A ladder is made from the number of rungs that are reached.
    """
    assert isinstance(node.domain, Finite)
    first = node.domain.values[0]
    match node:
        case Lookup():
            (argument,) = node.arguments
            assert isinstance(argument.domain, Finite)
            made: Sequence[Value] = [node.table.get((v,), first) for v in argument.domain.values]
        case Assumed() | Attend():
            assert isinstance(node.value.domain, Finite)
            made = [v if v in node.domain else first for v in node.value.domain.values]
        case Ladder():
            made = node.values
    at = {_typed(v): i for i, v in enumerate(node.domain.values)}
    return [at[_typed(v)] for v in made]


def _digits(number: Fraction) -> int:
    """The significant binary digits of a number; too many where it has no end."""
    whole, below = abs(number.numerator), number.denominator
    if below & below - 1:
        return whole.bit_length() + below.bit_length()
    return whole.bit_length() - ((whole & -whole).bit_length() - 1 if whole else 0)


def _line(values: Sequence[Value], numbers: Numbers) -> tuple[Plain, Plain] | None:
    """Factor and constant where the numbers are a straight line over the values."""
    first, second = as_number(values[0]), as_number(values[1])
    factor = Fraction(numbers[1] - numbers[0]) / (second - first)
    constant = numbers[0] - factor * first
    if all(factor * as_number(v) + constant == n for v, n in zip(values, numbers, strict=True)):
        return factor, constant
    return None


def usual(numbers: Numbers) -> Plain:
    """The number that most values have, the first of those: what is held is the difference from it.

    A mark on one position is held as a mark, and not as its absence everywhere else: of 1/1000 float32
    keeps all digits, of 999/1000 it does not.
    """
    return Counter(numbers).most_common(1)[0][0]


def _canonical(numbers: Numbers, constant: Plain) -> tuple[Numbers, Plain, Plain]:
    """The numbers less a constant as a factor times whole ones.

    Functions that differ by a factor and a constant share a dimension.
    """
    left = [n - constant for n in numbers] if constant else numbers
    below = lcm(*{n.denominator for n in left})
    whole = [int(n * below) for n in left]
    if below > 1 << 20:
        return tuple(left), 1, constant
    common = gcd(*whole)
    first = next(n for n in whole if n)
    sign = 1 if first > 0 else -1
    shape = tuple(n // common * sign for n in whole)
    return shape, _plainer(Fraction(common * sign, below)), constant


def _plainer(number: Fraction) -> Plain:
    return number.numerator if number.denominator == 1 else number


def _typed(value: Value) -> tuple[bool, Value]:
    return isinstance(value, bool), value
