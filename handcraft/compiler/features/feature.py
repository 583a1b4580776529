"""Features: the numbers that the residual stream stores of each value, and sums over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import lcm

from handcraft.circuits import Subspace
from handcraft.circuits.number import plainest
from handcraft.compiler.passes.ir import Attend, StepFunction
from handcraft.display import short_repr
from handcraft.language.graph.domain import Finite, Plain, Value, as_number, magnitude
from handcraft.language.graph.node import (
    Choice,
    Node,
    walk,
)

Numbers = tuple[Plain, ...]
"""A number for each value of a domain, in its order."""

ITSELF: Numbers = ()
"""Stands for the number itself, of a value that is stored as one number only."""


CODE = "code of the token"
"""The name of the feature that stores the signed bits of the id of the token."""


@short_repr
@dataclass(frozen=True)
class Reading:
    """A number as a sum over features: factors and numbers of values, and a constant.

    Its size is known once every feature is allocated.
    """

    terms: tuple[tuple[Plain, Feature, int], ...]
    constant: Plain = 0
    parts: tuple[Reading, ...] = field(default=(), compare=False, repr=False)
    """Readings of different features, if it is their sum: many rules share them, and so their sizes."""

    @cached_property
    def features(self) -> frozenset[int]:
        """The features that it reads, by their `id`."""
        return frozenset(id(feature) for _, feature, _ in self.terms)

    @cached_property
    def _over(self) -> int:
        """A denominator of all factors: fractions take most of the time where there are many rules."""
        return lcm(*{factor.denominator for factor, _, _ in self.terms})

    @cached_property
    def _whole_terms(self) -> list[tuple[int, Feature, int]]:
        """The terms with the numerators of their factors over it."""
        over = self._over
        return [(f.numerator * (over // f.denominator), feature, i) for f, feature, i in self.terms]

    @cached_property
    def size(self) -> Plain:
        """No sum of absolute terms is larger."""
        if self.parts:
            return _sum([part.size for part in self.parts])
        ends = [(abs(factor), feature.largest(i)) for factor, feature, i in self._whole_terms]
        return _total(ends, self._over)

    @cached_property
    def rest(self) -> Plain:
        """The constant, and half the factor of every flag: those are stored as differences from 1/2."""
        if self.parts:
            return _sum([part.rest for part in self.parts])
        halves = (Fraction(factor) / 2 for factor, feature, i in self.terms if feature.is_flag(i))
        return self.constant + sum(halves)

    @cached_property
    def digits(self) -> int:
        """The most significant binary digits of a factor."""
        if self.parts:
            return max(part.digits for part in self.parts)
        return max((_digits(Fraction(factor)) for factor, _, _ in self.terms), default=0)

    @cached_property
    def weight(self) -> Plain:
        """The sum of the absolute factors, by which an error of every dimension is multiplied.

        Small numbers are left out: their errors are relative.
        """
        if self.parts:
            return _sum([part.weight for part in self.parts])
        total: Plain = 0
        for factor, feature, i in self.terms:
            if not feature.is_small(i):
                total += magnitude(factor) * feature.weight(i)
        return total

    @cached_property
    def small(self) -> tuple[Plain, Plain]:
        """The most that small numbers add, and the most that they subtract."""
        if self.parts:
            adds, takes = zip(*(part.small for part in self.parts), strict=True)
            return _sum(adds), _sum(takes)
        more, less = Fraction(0), Fraction(0)
        for factor, feature, i in self.terms:
            if feature.is_small(i):
                ends = [Fraction(factor * end) for end in (0, *feature.span(i))]
                more, less = more + max(ends), less - min(ends)
        return more, less

    @cached_property
    def has_one_small(self) -> bool:
        """Whether exactly one of its numbers is small."""
        return sum(feature.is_small(i) for _, feature, i in self.terms) == 1

    @cached_property
    def size_of_others(self) -> Plain:
        """No sum of absolute terms that are not small is larger."""
        if self.parts:
            return _sum([part.size_of_others for part in self.parts])
        terms = [term for term in self.terms if not term[1].is_small(term[2])]
        return self.size if len(terms) == len(self.terms) else Reading(tuple(terms)).size

    @cached_property
    def span(self) -> tuple[Plain, Plain]:
        """No value of the sum is smaller than the first, and none larger than the second."""
        if self.parts:
            lows, highs = zip(*(part.span for part in self.parts), strict=True)
            return _sum(lows), _sum(highs)
        ends = [(factor, feature.span(i)) for factor, feature, i in self._whole_terms]
        low = _total([(factor, span[factor < 0]) for factor, span in ends], self._over)
        high = _total([(factor, span[factor > 0]) for factor, span in ends], self._over)
        return self.constant + low, self.constant + high

    @cached_property
    def is_whole(self) -> bool:
        """Whether all terms are integers."""
        if self.parts:
            return all(part.is_whole for part in self.parts)
        return all(f.denominator == 1 and feature.is_whole(i) for f, feature, i in self.terms)

    @cached_property
    def has_means(self) -> bool:
        """Whether a term depends on a mean, which floats round."""
        if self.parts:
            return any(part.has_means for part in self.parts)
        return any(feature.has_means for _, feature, _ in self.terms)

    @cached_property
    def sizes(self) -> tuple[object, ...]:
        """All that precision depends on: two sums with parts of the same sizes are as precise."""
        small = self.small, self.size_of_others, self.digits
        return self.size, self.rest, self.weight, self.span, self.constant, small

    def __mul__(self, factor: Plain) -> Reading:
        return Reading(
            tuple((f * factor, feature, i) for f, feature, i in self.terms), self.constant * factor
        )

    def __add__(self, other: Reading) -> Reading:
        return sum_of((self, other))


def _sum(numbers: Iterable[Plain]) -> Plain:
    """A sum, where few of the numbers are fractions or all have the same denominator."""
    whole, rest = 0, []
    for number in numbers:
        if isinstance(number, int):
            whole += number
        else:
            rest.append((1, number))
    return _total([(1, whole), *rest], 1) if rest else whole


def _total(terms: Sequence[tuple[int, Plain]], over: int) -> Plain:
    """A sum of products, divided by a number; whole numbers are added as such."""
    totals: dict[int, int] = {}
    for factor, number in terms:
        below = number.denominator
        totals[below] = totals.get(below, 0) + factor * number.numerator
    if totals.keys() <= {1} and over == 1:
        return totals.get(1, 0)
    return sum((Fraction(total, below * over) for below, total in totals.items()), Fraction(0))


def sum_of(readings: Sequence[Reading]) -> Reading:
    """The sum of all readings; a feature that occurs in several is one term."""
    parts = [part for reading in readings for part in reading.parts or (reading,)]
    parts = [part for part in parts if part.terms or part.constant]
    if len(parts) == 1:
        return parts[0]
    features = {feature for part in parts for feature in part.features}
    if len(features) == sum(len(part.features) for part in parts):
        terms = tuple([term for part in parts for term in part.terms])
        return Reading(terms, _sum([part.constant for part in parts]), tuple(parts))
    total: dict[tuple[Feature, int], Plain] = {}
    constant: Plain = 0
    for reading in readings:
        constant += reading.constant
        for factor, feature, i in reading.terms:
            known = total.get((feature, i))
            total[feature, i] = factor if known is None else known + factor
    return Reading(tuple((f, feature, i) for (feature, i), f in total.items() if f), constant)


@short_repr
@dataclass(eq=False)
class Feature:
    """A value in the residual stream.

    Args:
        node: the value: a token, a position, the output of a head, or that of neurons.
        numbers: which numbers of it are stored, each in one dimension; `ITSELF` for the number itself.
        moved: for the output of a head, how each of the numbers is read at the source.
        is_one_hot: whether it is stored with one dimension for each value instead.
        scale: the divisor of the number itself when it is stored.
        code: for a source whose numbers are one codeword: makes its subspace, given its name.
        has_flags: whether a number that is 0 or 1 is stored as a flag.
        has_small: whether a number that is no flag is stored small.
        zeros: the numbers for which 0 must be stored as 0, and not as -1 beside +1.
        logits: which numbers of it are written directly into the logits, each by the id of its token.
        moved_logits: for the output of a head, how each of those is read at the source.
        within: for a sum that is added up in a dimension of another feature: which one.
        adds: the sums to which its number is added where it is computed, each with a factor.
        moved_number: for the output of a head, how that number is read at the source.
        at_begin: for a source, what its number is at the begin token; None for that at the first token.
    """

    node: Node
    numbers: dict[Numbers, int] = field(default_factory=dict)
    moved: list[Reading] = field(default_factory=list)
    is_one_hot: bool = False
    code: Callable[[str], Subspace] | None = None
    has_flags: bool = False
    has_small: bool = False
    zeros: set[int] = field(default_factory=set)
    scale: Plain = 1
    logits: dict[int, Numbers] = field(default_factory=dict)
    moved_logits: dict[int, Reading] = field(default_factory=dict)
    within: tuple[Feature, int] | None = None
    adds: list[tuple[Plain, Feature]] = field(default_factory=list)
    moved_number: Reading | None = None
    at_begin: Plain | None = None
    _ordered: list[Numbers] = field(default_factory=list)
    _flags: dict[int, tuple[Plain, Plain] | None] = field(default_factory=dict)
    _whole: dict[int, bool] = field(default_factory=dict)
    _spans: dict[tuple[int, bool, Plain, bool], tuple[Plain, Plain]] = field(default_factory=dict)

    def __hash__(self) -> int:
        return id(self)

    @property
    def is_code(self) -> bool:
        """Whether its numbers are one codeword, which is embedded as a whole."""
        return self.code is not None

    def is_flag(self, i: int) -> bool:
        """Whether one of the numbers is stored as a flag: -1 or +1, whose square is constant."""
        if not self.has_flags or self.is_one_hot or i in self.zeros:
            return False
        return self._ends(i) is not None

    def _ends(self, i: int) -> tuple[Plain, Plain] | None:
        """The smallest and the largest number if all are 0 or 1; None otherwise."""
        if i not in self._flags:
            numbers = set(self.numbers_at(i))
            self._flags[i] = (min(numbers), max(numbers)) if numbers <= {0, 1} else None
        return self._flags[i]

    def is_small(self, i: int) -> bool:
        """Whether one of the numbers is stored so small that it does not change LayerNorm's scale."""
        return self.has_small and not (self.is_one_hot or self.is_code or self.is_flag(i))

    def constant(self, i: int) -> Plain:
        """The constant that readers add to a number that a head moves; a flag is moved with it."""
        return self.moved[i].constant if self.moved and not self.is_flag(i) else 0

    def span(self, i: int) -> tuple[Plain, Plain]:
        """The smallest and the largest value of one of the numbers."""
        key = i, i in self.zeros, self.scale, bool(self.numbers)  # what may still change
        if key not in self._spans:
            self._spans[key] = self._span(i)
        return self._spans[key]

    def _span(self, i: int) -> tuple[Plain, Plain]:
        if not self.numbers:
            return 0, 1
        if self.is_flag(i) and (ends := self._ends(i)) is not None:
            return ends
        numbers = self.numbers_at(i)
        if self.is_code:
            return min(numbers), max(numbers)
        constant = self.constant(i)
        if numbers != ITSELF:
            return min(numbers) - constant, max(numbers) - constant
        if isinstance(self.node, Choice):
            most = max(greatest(n) - least(n) for n in (self.node.yes, self.node.no))
            return 0, plainest(Fraction(most) / self.scale)
        share = Fraction(1, self.scale)
        return least(self.node) * share - constant, greatest(self.node) * share - constant

    def largest(self, i: int) -> Plain:
        """The largest of one of the numbers, without its sign."""
        low, high = self.span(i)
        return max(-low, high)

    @cached_property
    def has_means(self) -> bool:
        """Whether the value depends on a mean, which floats round."""
        return any(isinstance(node, Attend) and node.picks == "mean" for node in walk(self.node))

    def weight(self, i: int) -> Plain:
        """The factor of an error of each dimension in one of the numbers."""
        if not self.is_one_hot or not self.numbers:
            return 1
        total: Plain = 0
        for number in self.numbers_at(i):
            total += magnitude(number)
        return total

    def is_whole(self, i: int) -> bool:
        """Whether one of the numbers is always an integer."""
        if self.is_one_hot and not self.numbers:
            return True
        if i not in self._whole:
            numbers = self.numbers_at(i)
            self._whole[i] = numbers != ITSELF and all(n.denominator == 1 for n in numbers)
        return self._whole[i] and self.constant(i).denominator == 1

    def numbers_at(self, i: int) -> Numbers:
        """For each value, the number that one of the dimensions stores."""
        if len(self._ordered) < len(self.numbers):
            self._ordered = list(self.numbers)
        return self._ordered[i]

    @property
    def at_reached(self) -> list[int]:
        """For a step function: the index of its value for each number of reached thresholds."""
        assert isinstance(self.node, StepFunction)
        place = {(isinstance(v, bool), v): i for i, v in enumerate(self.values)}
        return [place[isinstance(v, bool), v] for v in self.node.values]

    @property
    def changes(self) -> list[bool]:
        """For a step function: whether any number that is read changes at each threshold."""
        read = [*self.numbers, *self.logits.values()]
        if self.adds:
            read.append(tuple(map(as_number, self.values)))
        return [
            before != after
            if self.is_one_hot
            else any(numbers[before] != numbers[after] for numbers in read)
            for before, after in pairwise(self.at_reached)
        ]

    @property
    def values(self) -> tuple[Value, ...]:
        """The values of its domain."""
        assert isinstance(self.node.domain, Finite)
        return self.node.domain.values


def least(node: Node) -> Plain:
    """No value of the number is smaller."""
    return as_number(node.domain.values[0]) if isinstance(node.domain, Finite) else node.domain.low


def greatest(node: Node) -> Plain:
    """No value of the number is larger."""
    return as_number(node.domain.values[-1]) if isinstance(node.domain, Finite) else node.domain.high


def _digits(number: Fraction) -> int:
    """The significant binary digits of a number; too many if its expansion is infinite."""
    whole, below = abs(number.numerator), number.denominator
    if below & below - 1:
        return whole.bit_length() + below.bit_length()
    return whole.bit_length() - ((whole & -whole).bit_length() - 1 if whole else 0)
