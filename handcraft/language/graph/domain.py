"""Domains: the values that an expression can have, as an exact set if it is small, else as a range."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import isfinite, lcm
from numbers import Integral, Real
from typing import TypeAlias

from handcraft.display import short_repr
from handcraft.errors import DomainError
from handcraft.language.written.written_place import written_place
from handcraft.limits import LISTED_POSITIONS, NUMBER_BITS
from handcraft.vocabulary import shorten

Value: TypeAlias = Hashable
"""A token or other label, a flag (`bool`), or an exact number (`int` or `Fraction`)."""

Plain: TypeAlias = int | Fraction

VALUES_UP_TO = LISTED_POSITIONS.most
"""The most values of an exact set; a larger set of numbers becomes a range."""


class Kind(Enum):
    """The kind of the values of an expression."""

    CATEGORY = "category"
    FLAG = "flag"
    NUMBER = "number"


@short_repr
@dataclass(frozen=True)
class Finite:
    """An exact set of values.

    Args:
        kind: what they are.
        values: each once; numbers in order, flags as (False, True).
        grid: for numbers, a unit and a largest denominator as of a `Range`; None for whole multiples
            of the largest unit that fits.
    """

    kind: Kind
    values: tuple[Value, ...]
    grid: tuple[Fraction, int] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.kind is Kind.NUMBER and self.values:
            check_number(self.low)
            check_number(self.high)

    def __str__(self) -> str:
        numbers = self.kind is Kind.NUMBER and len(self.values) > 3
        if numbers and all(isinstance(v, int) for v in self.values):
            low, high = self.low, self.high
            if high - low == len(self.values) - 1:
                return f"{low} to {high}"
        return shorten([show_value(v) for v in self.values], most=8)

    def __contains__(self, value: object) -> bool:
        return (isinstance(value, bool), value) in self._known

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.kind, self.values))

    @cached_property
    def _known(self) -> frozenset[tuple[bool, Value]]:
        return frozenset((isinstance(v, bool), v) for v in self.values)

    @cached_property
    def places(self) -> Mapping[Value, int]:
        """The place of each value in their order."""
        return {value: place for place, value in enumerate(self.values)}

    @property
    def low(self) -> Plain:
        """The smallest number."""
        return as_number(self.values[0])

    @property
    def high(self) -> Plain:
        """The largest number."""
        return as_number(self.values[-1])

    @property
    def gap(self) -> Fraction:
        """The smallest difference between two of the numbers; 1 where there is one only."""
        numbers = [Fraction(as_number(v)) for v in self.values]
        steps = [after - before for before, after in pairwise(numbers)]
        return min(steps, default=Fraction(1))

    @property
    def unit(self) -> Fraction:
        """The number of which every value is a fraction with a denominator of up to `parts`."""
        if self.grid is not None:
            return self.grid[0]
        below = lcm(*(Fraction(as_number(v)).denominator for v in self.values))
        return Fraction(1, below)

    @property
    def parts(self) -> int:
        """The largest denominator; 1 where all values are whole multiples of the unit."""
        return 1 if self.grid is None else self.grid[1]


@dataclass(frozen=True)
class Range:
    """Numbers too many to list: every one is unit * p / q, with whole p and q and 1 <= q <= parts.

    Args:
        low: no value is smaller.
        high: no value is larger.
        unit: what every value is a fraction of.
        parts: the largest denominator.
    """

    low: Plain
    high: Plain
    unit: Fraction = Fraction(1)
    parts: int = 1

    kind = Kind.NUMBER

    def __post_init__(self) -> None:
        for number in (self.low, self.high, self.unit, self.parts):
            check_number(number)

    def __str__(self) -> str:
        of = "" if self.parts == 1 else f", fractions with denominators up to {self.parts}"
        return f"numbers from {self.low} to {self.high}{of}"

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | Fraction) or not self.low <= value <= self.high:
            return False
        return (Fraction(value) / self.unit).denominator <= self.parts

    def below(self, bound: Plain) -> Fraction:
        """A lower bound on the distance from `bound` to the largest value below it.

        bound - unit p/q is a positive multiple of 1/(denominator of bound/unit * q).
        """
        return self.unit / (Fraction(bound) / self.unit).denominator / self.parts


Domain: TypeAlias = Finite | Range


FLAGS = Finite(Kind.FLAG, (False, True))


def finite(values: Iterable[Value]) -> Finite:
    """The set of `values`, which must all be of one kind.

    Raises:
        DomainError: there is none, or they are of several kinds.
    """
    values = tuple(values)
    types = set(map(type, values))
    if types == {bool}:
        return Finite(Kind.FLAG, tuple(sorted(set(values), key=bool)))
    if types == {str}:
        return Finite(Kind.CATEGORY, tuple(dict.fromkeys(values)))
    listed = list(dict.fromkeys((isinstance(v, bool), v) for v in values))
    plain = [v for _, v in listed]
    kinds = {kind_of(v) for v in plain}
    if len(kinds) != 1:
        raise DomainError(
            f"the values {shorten([show_value(v) for v in plain])} are of {len(kinds)} kinds"
            if kinds
            else "there are no values",
            where=written_place(),
            fix="use only labels, only flags or only numbers, at least one",
        )
    kind = kinds.pop()
    if kind is Kind.NUMBER:
        plain.sort(key=as_number)
    elif kind is Kind.FLAG:
        plain.sort(key=bool)
    return Finite(kind, tuple(plain))


def numbers(values: Iterable[Plain], *, unit: Fraction, parts: int = 1) -> Domain:
    """The set of these numbers, or their range where they are more than `VALUES_UP_TO`."""
    found = dict.fromkeys(values)
    if len(found) > VALUES_UP_TO:
        return Range(min(found), max(found), unit, parts)
    return Finite(Kind.NUMBER, tuple(sorted(found)), None if parts == 1 else (unit, parts))


def whole_numbers(low: int, high: int) -> Domain:
    """All whole numbers from `low` to `high`: their set, or their range where they are too many."""
    if high - low < VALUES_UP_TO:
        return Finite(Kind.NUMBER, tuple(range(low, high + 1)))
    return Range(low, high)


def kind_of(value: Value) -> Kind:
    """The kind of one value."""
    if isinstance(value, bool):
        return Kind.FLAG
    return Kind.NUMBER if isinstance(value, int | Fraction) else Kind.CATEGORY


def as_number(value: Value) -> Plain:
    """A number as it is, a flag as 0 or 1."""
    if isinstance(value, int):
        return int(value)
    assert isinstance(value, Fraction)
    return value


def whole(number: Plain) -> Plain:
    """A fraction that is whole as an integer."""
    return number.numerator if number.denominator == 1 else number


def magnitude(number: Plain) -> Plain:
    """The number without its sign."""
    return -number if number < 0 else number


SMALL_DENOMINATOR = 1000
"""A float is taken for a fraction with at most this denominator where they are equal as floats."""


def plain_value(value: object) -> Value:
    """A Python value as one of the language; a float becomes the fraction that it stands for.

    Raises:
        DomainError: the value cannot be one, such as a list or NaN.

    >>> plain_value(0.1), plain_value(1 / 3), plain_value(2.0), plain_value("a")
    (Fraction(1, 10), Fraction(1, 3), 2, 'a')
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    if isinstance(value, Integral):
        check_number(int(value))
        return int(value)
    try:
        if isinstance(value, Real):
            if isinstance(value, Fraction):
                fraction = value
            else:  # 1/3 where that has this float, else what it prints
                fraction = Fraction(float(value)).limit_denominator(SMALL_DENOMINATOR)
                if float(fraction) != float(value):
                    fraction = Fraction(repr(float(value)))
            check_number(fraction)
            return whole(fraction)
        hash(value)
    except (TypeError, ValueError, OverflowError):
        raise DomainError(
            f"{value!r} is not a value of a sequence",
            where=written_place(),
            fix="use a label, a flag or a finite number",
        ) from None
    assert isinstance(value, Hashable)
    return value


def check_number(number: Plain) -> None:
    """Raise a LimitError if a number has too many bits for exact arithmetic."""
    bits = max(number.numerator.bit_length(), number.denominator.bit_length())
    if bits > NUMBER_BITS.most:  # the place takes long to find
        NUMBER_BITS.check(bits, where=written_place(), fix="use smaller numbers, or rounder fractions")


def json_value(value: Value) -> str | int | float | bool:
    """A value as JSON has it: a flag, a whole number, a finite float, else text, as 1/3."""
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    return value if isinstance(value, bool | int) else str(value)


def show_value(value: Value) -> str:
    """The value as it is written in a program."""
    return str(value) if isinstance(value, Fraction) else repr(value)
