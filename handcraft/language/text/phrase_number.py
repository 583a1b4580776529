"""Comparisons of numbers in the words of rule files: sums of counts, positions and table values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import lcm
from operator import eq, ge, gt, le, lt, ne

from handcraft.language.graph.domain import Finite, Kind, Value, as_number
from handcraft.language.graph.node import AtLeast, Constant, Linear, Lookup, Node
from handcraft.language.text.phrase_place import LARGEST, alone_in

SIGNS = {"==": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le}

FLIPPED = {"==": "==", "!=": "!=", ">": "<", ">=": "<=", "<": ">", "<=": ">="}

Atom = Callable[[Node], str]
"""The words of a number that is no sum; it raises where there are none."""


def comparison(node: Node, atom: Atom) -> str | None:
    """A flag as two sums that are compared; None where it is no comparison of sums.

    What is added stands on the side where its factor is positive, so that equal comparisons read alike.
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
