"""Sequences: a value, or none, at every position, computed from those at the same position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from typing import Any, TypeVar

from handcraft.errors import DomainError
from handcraft.language.graph.domain import Value, as_number, show_value, whole
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.written.written_place import written_place
from handcraft.origin import caller_place
from handcraft.rasp.operators import Operator
from handcraft.rasp.rasp_node import Node, Text, apply, name_of, value_of


class Encoding(Enum):
    """How a sequence is meant: as labels, of which one is selected, or as numbers, which have means."""

    CATEGORICAL = "categorical"
    NUMERICAL = "numerical"


Method = Callable[["SOp", object], "SOp"]


def _both_ways(operator: Operator) -> tuple[Method, Method]:
    """The methods of an operator whose left operand is a sequence, and whose right one is."""

    def forward(self: SOp, other: object) -> SOp:
        return SequenceMap(operator, self, as_sequence(other))

    def backward(self: SOp, other: object) -> SOp:
        return SequenceMap(operator, as_sequence(other), self)

    return forward, backward


@dataclass(frozen=True, eq=False, repr=False)
class SOp(Node):
    """A sequence. Operators between sequences, or with plain values, give sequences."""

    encoding: Encoding | None = field(default=None, kw_only=True)

    __hash__ = object.__hash__
    __array_ufunc__ = None
    """Numbers of NumPy leave operators to the sequence."""

    __add__, __radd__ = _both_ways(Operator.ADD)
    __sub__, __rsub__ = _both_ways(Operator.SUBTRACT)
    __mul__, __rmul__ = _both_ways(Operator.MULTIPLY)
    __truediv__, __rtruediv__ = _both_ways(Operator.DIVIDE)
    __mod__, __rmod__ = _both_ways(Operator.REMAINDER)
    __floordiv__, __rfloordiv__ = _both_ways(Operator.QUOTIENT)
    __and__, __rand__ = _both_ways(Operator.AND)
    __or__, __ror__ = _both_ways(Operator.OR)
    __eq__ = _both_ways(Operator.EQUAL)[0]  # type: ignore[assignment]
    __ne__ = _both_ways(Operator.UNEQUAL)[0]  # type: ignore[assignment]
    __lt__ = _both_ways(Operator.LESS)[0]
    __le__ = _both_ways(Operator.AT_MOST)[0]
    __gt__ = _both_ways(Operator.MORE)[0]
    __ge__ = _both_ways(Operator.AT_LEAST)[0]

    def __neg__(self) -> SOp:
        return 0 - self

    def __invert__(self) -> SOp:
        return Map(opposite, self)


def opposite(value: object) -> bool:
    """Not."""
    return not value


class Tokens(SOp):
    """The token at every position."""

    def _written(self) -> Wording:
        return reads("tokens")

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return list(text.tokens)


class Indices(SOp):
    """The position, from 0."""

    def _written(self) -> Wording:
        return reads("indices")

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return list(range(len(text)))


class Length(SOp):
    """How many positions there are; in a causal program, how many are seen."""

    def _written(self) -> Wording:
        return reads("length")

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [text.seen(here) for here in range(len(text))]


tokens = Tokens(place=caller_place(0))
indices = Indices(place=caller_place(0))
length = Length(place=caller_place(0))


@dataclass(frozen=True, eq=False, repr=False)
class Full(SOp):
    """The same value at every position."""

    fill: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", value_of(self.fill))
        super().__post_init__()

    def _written(self) -> Wording:
        return reads(f"Full({show_value(self.fill)})")

    def operand(self, binding: int) -> Wording:
        """As an operand: the value."""
        return reads(self.name or show_value(self.fill))

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [self.fill] * len(text)


@dataclass(frozen=True, eq=False, repr=False)
class Map(SOp):
    """A function of a sequence, position by position; no value gives no value."""

    f: Callable[[Any], object]
    inner: SOp

    def __post_init__(self) -> None:
        check_function(self.f, self)
        object.__setattr__(self, "inner", as_sequence(self.inner))
        super().__post_init__()

    def _written(self) -> Wording:
        if self.f is opposite:
            return reads("~", self.inner.operand(6), binding=7)
        return reads(f"Map({name_of(self.f)}, ", self.inner.operand(0), ")")

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [None if x is None else apply(self.f, (x,), self) for x in children[0]]


class _OfPairs(SOp):
    """What is computed from two values; where either is missing there is none."""

    f: Callable[[Any, Any], object]

    def __post_init__(self) -> None:
        for name in ("fst", "snd"):
            object.__setattr__(self, name, as_sequence(getattr(self, name)))
        super().__post_init__()

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [
            None if x is None or y is None else apply(self.f, (x, y), self)
            for x, y in zip(*children, strict=True)
        ]


@dataclass(frozen=True, eq=False, repr=False)
class SequenceMap(_OfPairs):
    """A function or an operator of two sequences; where either has no value there is none."""

    f: Callable[[Any, Any], object]
    fst: SOp
    snd: SOp

    def __post_init__(self) -> None:
        check_function(self.f, self)
        super().__post_init__()

    def _written(self) -> Wording:
        if not isinstance(self.f, Operator):
            parts = (self.fst.operand(0), ", ", self.snd.operand(0), ")")
            return reads(f"SequenceMap({name_of(self.f)}, ", *parts)
        binding = self.f.binding
        left = self.fst.operand(1 if binding == 1 else binding - 1)
        return reads(left, f" {self.f.sign} ", self.snd.operand(binding), binding=binding)


@dataclass(frozen=True, eq=False, repr=False)
class LinearSequenceMap(_OfPairs):
    """A weighted sum of two sequences of numbers."""

    fst: SOp
    snd: SOp
    fst_fac: int | float | Fraction
    snd_fac: int | float | Fraction

    def __post_init__(self) -> None:
        for factor in ("fst_fac", "snd_fac"):
            found = value_of(getattr(self, factor))
            if not isinstance(found, int | Fraction):
                raise DomainError(
                    f"the weight {factor}={found!r} is not a number",
                    where=self.place,
                    fix="use a number",
                )
            object.__setattr__(self, factor, found)
        super().__post_init__()

    def _written(self) -> Wording:
        weights = f", {show_value(self.fst_fac)}, {show_value(self.snd_fac)})"
        return reads("LinearSequenceMap(", self.fst.operand(0), ", ", self.snd.operand(0), weights)

    def f(self, x: Value, y: Value) -> int | Fraction:
        """The weighted sum of two numbers."""
        for number in (x, y):
            if not isinstance(number, int | Fraction):
                raise TypeError(f"{number!r} is not a number")
        return whole(Fraction(self.fst_fac * as_number(x) + self.snd_fac * as_number(y)))


Sequence = TypeVar("Sequence", bound=SOp)


def numerical(sop: Sequence) -> Sequence:
    """Promise that the values are numbers; `build` checks it."""
    return replace(sop, encoding=Encoding.NUMERICAL, place=written_place())


def categorical(sop: Sequence) -> Sequence:
    """Say that the values are labels, even where they are numbers.

    A categorical `Aggregate` never averages different values: all positions that it selects must have
    the same one.
    """
    return replace(sop, encoding=Encoding.CATEGORICAL, place=written_place())


def as_sequence(value: object) -> SOp:
    """A sequence as it is, a plain value as the same everywhere.

    Raises:
        DomainError: it is a selector, or no value.
    """
    if isinstance(value, SOp):
        return value
    if isinstance(value, Node):
        raise DomainError(
            f"`{value}` is a selector, not a sequence",
            where=written_place(),
            fix="use SelectorWidth(...) or Aggregate(..., sequence) for what it selects",
        )
    return Full(value)


def check_function(function: object, node: Node, fix: str = "") -> None:
    """Raise unless it can be called with values.

    Raises:
        DomainError: it cannot.
    """
    if isinstance(function, Node) or not callable(function):
        described = f"`{function}`" if isinstance(function, Node) else repr(function)
        raise DomainError(
            f"{type(node).__name__} takes a function here, not {described}",
            where=node.place,
            fix=fix
            or f"the function comes first, as in {type(node).__name__}(function, sequence, ...)",
        )
