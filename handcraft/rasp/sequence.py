"""Sequences: a value, or none, at every position, computed from those at the same position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar

from handcraft.errors import DomainError
from handcraft.language.graph.domain import show_value
from handcraft.language.written_place import written_place
from handcraft.rasp.operators import Operator
from handcraft.rasp.rasp_node import Node, Text, apply, name_of, value_of


class Encoding(Enum):
    """How a sequence is meant: as labels, of which one is selected, or as numbers, which have means."""

    CATEGORICAL = "categorical"
    NUMERICAL = "numerical"


@dataclass(frozen=True, eq=False, repr=False)
class SOp(Node):
    """A sequence. Operators between sequences, or with plain values, give sequences.

    Args:
        encoding: what `numerical` or `categorical` said; None where neither did.
    """

    encoding: Encoding | None = field(default=None, kw_only=True)

    __hash__ = object.__hash__
    __array_ufunc__ = None
    """Numbers of NumPy leave operators to the sequence."""

    def __add__(self, other: object) -> SOp:
        return _operation(Operator.ADD, self, other)

    def __radd__(self, other: object) -> SOp:
        return _operation(Operator.ADD, other, self)

    def __sub__(self, other: object) -> SOp:
        return _operation(Operator.SUBTRACT, self, other)

    def __rsub__(self, other: object) -> SOp:
        return _operation(Operator.SUBTRACT, other, self)

    def __mul__(self, other: object) -> SOp:
        return _operation(Operator.MULTIPLY, self, other)

    def __rmul__(self, other: object) -> SOp:
        return _operation(Operator.MULTIPLY, other, self)

    def __truediv__(self, other: object) -> SOp:
        return _operation(Operator.DIVIDE, self, other)

    def __rtruediv__(self, other: object) -> SOp:
        return _operation(Operator.DIVIDE, other, self)

    def __mod__(self, other: object) -> SOp:
        return _operation(Operator.REMAINDER, self, other)

    def __rmod__(self, other: object) -> SOp:
        return _operation(Operator.REMAINDER, other, self)

    def __floordiv__(self, other: object) -> SOp:
        return _operation(Operator.QUOTIENT, self, other)

    def __rfloordiv__(self, other: object) -> SOp:
        return _operation(Operator.QUOTIENT, other, self)

    def __eq__(self, other: object) -> SOp:  # type: ignore[override]
        return _operation(Operator.EQUAL, self, other)

    def __ne__(self, other: object) -> SOp:  # type: ignore[override]
        return _operation(Operator.UNEQUAL, self, other)

    def __lt__(self, other: object) -> SOp:
        return _operation(Operator.LESS, self, other)

    def __le__(self, other: object) -> SOp:
        return _operation(Operator.AT_MOST, self, other)

    def __gt__(self, other: object) -> SOp:
        return _operation(Operator.MORE, self, other)

    def __ge__(self, other: object) -> SOp:
        return _operation(Operator.AT_LEAST, self, other)

    def __and__(self, other: object) -> SOp:
        return _operation(Operator.AND, self, other)

    def __rand__(self, other: object) -> SOp:
        return _operation(Operator.AND, other, self)

    def __or__(self, other: object) -> SOp:
        return _operation(Operator.OR, self, other)

    def __ror__(self, other: object) -> SOp:
        return _operation(Operator.OR, other, self)

    def __neg__(self) -> SOp:
        return _operation(Operator.SUBTRACT, 0, self)

    def __invert__(self) -> SOp:
        return Map(opposite, self)


def opposite(value: object) -> bool:
    """Not."""
    return not value


@dataclass(frozen=True, eq=False, repr=False)
class Full(SOp):
    """The same value at every position.

    Args:
        fill: the value; None for no value.
    """

    fill: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", value_of(self.fill))

    @property
    def written(self) -> str:
        """How it is written."""
        return f"Full({show_value(self.fill)})"

    def operand(self, binding: int) -> str:
        """As an operand: the value."""
        return self.name or show_value(self.fill)

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """The value, as often as there are positions."""
        return [self.fill] * len(text)


@dataclass(frozen=True, eq=False, repr=False)
class Map(SOp):
    """A function of a sequence, position by position; no value gives no value.

    Args:
        f: a function of one value.
        inner: the sequence.
    """

    f: Callable[[Any], object]
    inner: SOp

    def __post_init__(self) -> None:
        check_function(self.f, self)
        object.__setattr__(self, "inner", as_sequence(self.inner))

    @property
    def written(self) -> str:
        """How it is written."""
        if self.f is opposite:
            return f"~{self.inner.operand(6)}"
        return f"Map({name_of(self.f)}, {self.inner.operand(0)})"

    @property
    def binding(self) -> int:
        """How tightly it binds."""
        return 7 if self.f is opposite else 9

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """The function of every value."""
        return [None if x is None else apply(self.f, (x,), self) for x in children[0]]


@dataclass(frozen=True, eq=False, repr=False)
class SequenceMap(SOp):
    """A function of two sequences, position by position; where either has no value there is none.

    Args:
        f: a function of two values, or an operator.
        fst: the sequence of the first.
        snd: the sequence of the second.
    """

    f: Callable[[Any, Any], object]
    fst: SOp
    snd: SOp

    def __post_init__(self) -> None:
        check_function(self.f, self)
        object.__setattr__(self, "fst", as_sequence(self.fst))
        object.__setattr__(self, "snd", as_sequence(self.snd))

    @property
    def written(self) -> str:
        """How it is written."""
        if isinstance(self.f, Operator):
            left = 1 if self.binding == 1 else self.binding - 1
            return f"{self.fst.operand(left)} {self.f.value} {self.snd.operand(self.binding)}"
        return f"SequenceMap({name_of(self.f)}, {self.fst.operand(0)}, {self.snd.operand(0)})"

    @property
    def binding(self) -> int:
        """How tightly it binds."""
        return self.f.binding if isinstance(self.f, Operator) else 9

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """The function of every pair of values."""
        return [
            None if x is None or y is None else apply(self.f, (x, y), self)
            for x, y in zip(*children, strict=True)
        ]


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


def _operation(operator: Operator, first: object, second: object) -> SOp:
    return SequenceMap(operator, as_sequence(first), as_sequence(second))
