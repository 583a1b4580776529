"""Comparisons of numbers in the words of rule files: sums of counts, positions and table values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from handcraft.language.graph.domain import Finite, Kind, Value, as_number
from handcraft.language.graph.node import (
    COMPARED,
    Aggregate,
    AtLeast,
    Comparison,
    Constant,
    Linear,
    Lookup,
    Match,
    Node,
    is_position,
    is_token,
)
from handcraft.language.patterns.pattern import escape

LARGEST = 10**9
"""Numbers of a rule file are smaller."""


@dataclass(frozen=True)
class Place:
    """A place that a token is read from.

    Args:
        words: its name, without `the`.
        distance: how many tokens back it is; 0 where it is always there.
        default: the token to read if there is none; None if there always is one.
    """

    words: str
    distance: int = 0
    default: str | None = None

    @property
    def in_condition(self) -> str:
        """Its name in a comparison, with the token to read if there is none."""
        if self.default is None:
            return self.words
        return f"{self.words} else {escape_brackets(escape(self.default))}"


@dataclass
class Tables:
    """The tables that the rules of a file read, each once."""

    names: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict)

    def name(self, table: Mapping[Value, Value]) -> str:
        """How a table is called; the first ones are ``t1``, ``t2``."""
        rows = tuple((str(token), str(value)) for token, value in table.items())
        return self.names.setdefault(rows, f"t{len(self.names) + 1}")

    def lines(self) -> list[str]:
        """A line for each table."""
        return [
            f"table {name} {'  '.join(f'{_cell(token)} -> {_cell(value)}' for token, value in rows)}"
            for rows, name in self.names.items()
        ]


def place_of(node: Node | None, context: int) -> Place | None:
    """The place that a node reads a token from; None where it is something else."""
    if is_token(node):
        return Place("token")
    if not isinstance(node, Aggregate) or not is_token(node.value):
        return None
    match node.sources.cases:
        case ((Match(key=key, query=query, relation=Comparison.EQ),),) if is_position(key):
            match query:
                case Constant(value=0):
                    return Place("first token")
                case Linear(terms=((1, here),), constant=int(offset)):
                    is_near = is_position(here) and -context < offset < 0
                    if is_near and isinstance(node.default, str):
                        return Place(f"token {-offset} back", -offset, node.default)
    return None


def place_words(node: Node, context: int, tables: Tables, kind: Kind) -> str | None:
    """A place in a condition, or what a table gives for it; None where it is neither."""
    place = place_of(node, context)
    if place is not None:
        return place.in_condition if kind is Kind.CATEGORY else None
    if node.domain.kind is not kind:
        return None
    found = table_at(node, context)
    if found is None or not all(_is_nameable(value, kind) for value in found[1].values()):
        return None
    return f"{tables.name(found[1])} of {found[0].in_condition}"


def table_at(node: Node, context: int) -> tuple[Place, Mapping[Value, Value]] | None:
    """A place, and what a node is for every token there; None where it is no such table."""
    alone = alone_in(node)
    if alone is None:
        return None
    there, table = alone
    while (within := alone_in(there)) is not None and there.domain.kind is not Kind.FLAG:
        there, inner = within
        table = {token: table[value] for token, value in inner.items() if value in table}
    place = place_of(there, context)
    return None if place is None else (place, table)


def alone_in(node: Node) -> tuple[Node, Mapping[Value, Value]] | None:
    """A table over one expression, and constants beside it, as a table over that expression."""
    if not isinstance(node, Lookup):
        return None
    free = [i for i, argument in enumerate(node.arguments) if not isinstance(argument, Constant)]
    if len(free) != 1:
        return None
    (place,) = free
    return node.arguments[place], {row[place]: found for row, found in node.table.items()}


def escape_brackets(written: str) -> str:
    """A token or a class where a condition names it: brackets of conditions are escaped too."""
    return written.replace("(", r"\(").replace(")", r"\)")


def _is_nameable(value: Value, kind: Kind) -> bool:
    if kind is Kind.CATEGORY:
        return isinstance(value, str)
    return type(value) is int and abs(value) < LARGEST


def _cell(word: str) -> str:
    """A token, or a number, in a table."""
    return f"\\{word}" if word in ("->", "otherwise") else escape(word)


SIGNS = {sign: COMPARED[Comparison(sign)] for sign in ("==", "!=", ">", ">=", "<", "<=")}

FLIPPED = {"==": "==", "!=": "!=", ">": "<", ">=": "<=", "<": ">", "<=": ">="}

Atom = Callable[[Node], str]
"""The words of a number that is no sum; it raises where there are none."""


def comparison(node: Node, atom: Atom) -> str | None:
    """A flag as two sums that are compared; None where it is no comparison of sums.

    A term is on the side where its factor is positive, so that equal comparisons have the same text.
    """
    compared = _compared(node)
    if compared is None:
        return None
    one, sign, other = compared
    factors: dict[Node, Fraction] = {}
    constant = _gather(one, Fraction(1), factors) + _gather(other, Fraction(-1), factors)
    scale = lcm(*(f.denominator for f in (*factors.values(), constant)))
    left = [(int(f * scale), n) for n, f in factors.items() if f > 0]
    right = [(int(-f * scale), n) for n, f in factors.items() if f < 0]
    constant *= scale
    if not left:
        left, right, constant, sign = right, left, -constant, FLIPPED[sign]
    numbers = [abs(int(constant)), *(factor for factor, _ in (*left, *right))]
    if not left or max(numbers) >= LARGEST:
        return None
    first = [_times(atom(node), factor) for factor, node in left]
    second = [_times(atom(node), factor) for factor, node in right]
    if constant > 0:
        first.append(str(constant))
    if constant < 0 or not second:
        second.append(str(max(0, -constant)))
    return f"{' + '.join(first)} {sign} {' + '.join(second)}"


def modulo(node: Node) -> tuple[Node, int] | None:
    """The number of which a node is the remainder, and the divisor; None where it is something else."""
    alone = alone_in(node)
    if alone is None:
        return None
    number, table = alone
    divisor = _divisor(table)
    return None if divisor is None else (number, divisor)


def _times(words: str, factor: int) -> str:
    return words if factor == 1 else f"{words} * {factor}"


def _gather(number: Node | int, factor: Fraction, factors: dict[Node, Fraction]) -> Fraction:
    """Add what a sum is made of, times a factor; and the constant in it."""
    total = Fraction(0)
    waiting: list[tuple[Node | int, Fraction]] = [(number, factor)]
    while waiting:
        part, times = waiting.pop()
        if isinstance(part, int):
            total += part * times
        elif isinstance(part, Constant):
            total += as_number(part.value) * times
        elif isinstance(part, Linear):
            total += Fraction(part.constant) * times
            waiting += [(node, times * Fraction(f)) for f, node in reversed(part.terms)]
        else:
            factors[part] = factors.get(part, Fraction(0)) + times
    return total


def _compared(node: Node) -> tuple[Node, str, Node | int] | None:
    """Two numbers, and how a flag compares them."""
    if isinstance(node, AtLeast) and isinstance(node.bound, int):
        return node.number, ">=", node.bound
    alone = alone_in(node)
    if alone is not None:
        return _with_number(*alone)
    if not isinstance(node, Lookup) or len(node.arguments) != 2:
        return None
    if any(argument.domain.kind is not Kind.NUMBER for argument in node.arguments):
        return None
    one, other = node.arguments
    for sign, holds in SIGNS.items():
        if all(holds(as_number(a), as_number(b)) is found for (a, b), found in node.table.items()):
            return one, sign, other
    return None


def _with_number(number: Node, table: Mapping[Value, Value]) -> tuple[Node, str, int] | None:
    """A flag of a whole number as one comparison, such as ``>= 3``; None where it takes several."""
    if not isinstance(number.domain, Finite) or number.domain.kind is not Kind.NUMBER:
        return None
    values = [value for value in number.domain.values if value in table]
    if not all(isinstance(value, int) for value in values):
        return None
    holding = [int(as_number(value)) for value in values if table[value]]
    others = [int(as_number(value)) for value in values if not table[value]]
    if len(holding) == 1:
        return number, "==", holding[0]
    if len(others) == 1:
        return number, "!=", others[0]
    if holding and holding == values[len(others) :]:
        return number, ">=", holding[0]
    return (number, "<", others[0]) if holding == values[: len(holding)] else None


def _divisor(table: Mapping[Value, Value]) -> int | None:
    """The number of which a table gives the remainder; None where it gives something else."""
    counted = [(n, left) for n, left in table.items() if type(n) is int and type(left) is int]
    if len(counted) < len(table):
        return None
    divisor = next((number for number, left in counted if number != left), counted[-1][0] + 1)
    fits = divisor > 0 and all(number % divisor == left for number, left in counted)
    return divisor if fits else None
