"""Flags and choices at one position: comparisons, and, or, not, where, assumptions.

The tables and the arithmetic that belong to one position can be had from here as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from handcraft.errors import DomainError
from handcraft.language.graph.arithmetic import (
    add,
    check_kind,
    common_unit,
    divide,
    linear,
    multiply,
    remainder,
)
from handcraft.language.graph.domain import (
    FLAGS,
    Finite,
    Kind,
    Range,
    finite,
    plain_value,
    show_value,
)
from handcraft.language.graph.node import (
    Assumed,
    AtLeast,
    Choice,
    Comparison,
    Constant,
    Node,
)
from handcraft.language.graph.table import ROWS_UP_TO, constant, listed, lookup
from handcraft.language.graph.wording import Wording, enclosed, reads
from handcraft.language.written_place import written
from handcraft.vocabulary import shorten

__all__ = [
    "ROWS_UP_TO",
    "add",
    "assume",
    "both",
    "check_comparable",
    "compare",
    "constant",
    "divide",
    "either",
    "invert",
    "linear",
    "listed",
    "lookup",
    "multiply",
    "remainder",
    "where",
]


def compare(one: Node, other: Node, comparison: Comparison) -> Node:
    """A flag: whether the comparison holds."""
    text = reads(enclosed(one, 1), f" {comparison.value} ", enclosed(other, 1), binding=1)
    check_comparable(one, other, comparison, text)
    if isinstance(one.domain, Finite) and isinstance(other.domain, Finite):
        if isinstance(other, Constant):
            return lookup(lambda x: comparison.holds(x, other.value), (one,), text)
        return lookup(comparison.holds, (one, other), text)
    rising = add(one, other, -1)
    falling = add(other, one, -1)
    match comparison:
        case Comparison.GEQ:
            return AtLeast(FLAGS, text, rising, 0)
        case Comparison.LEQ:
            return AtLeast(FLAGS, text, falling, 0)
        case Comparison.LT:
            return invert(AtLeast(FLAGS, text, rising, 0), text)
        case Comparison.GT:
            return invert(AtLeast(FLAGS, text, falling, 0), text)
    both = (AtLeast(FLAGS, text, rising, 0), AtLeast(FLAGS, text, falling, 0))
    wanted = comparison is Comparison.EQ
    return lookup(lambda x, y: (x and y) is wanted, both, text)


def check_comparable(one: Node, other: Node, comparison: Comparison, text: Wording) -> None:
    """Raise unless the two can be compared.

    Raises:
        DomainError: they are of different kinds, have no order, or can never be equal.
    """
    if one.domain.kind is not other.domain.kind:
        raise DomainError(
            f"`{one}` is a {one.domain.kind.value} ({one.domain}), and `{other}` is a "
            f"{other.domain.kind.value} ({other.domain})",
            where=written(text),
            fix="compare values of one kind; .map({...}) turns one into the other",
        )
    if one.domain.kind is Kind.NUMBER:
        return
    if comparison not in (Comparison.EQ, Comparison.NEQ):
        raise DomainError(
            f"`{one}` has no order: its values are {one.domain}",
            where=written(text),
            fix="give them an order with .map({...}) to numbers",
        )
    assert isinstance(one.domain, Finite)
    assert isinstance(other.domain, Finite)
    for node, by in ((one, other), (other, one)):
        if isinstance(by, Constant) and by.value not in node.domain:
            assert isinstance(node.domain, Finite)
            raise DomainError(
                f"`{node}` is never {by}: it is one of {node.domain}",
                where=written(text),
                fix=f"compare it with one of: {shorten([show_value(v) for v in node.domain.values])}",
            )


def invert(flag: Node, text: Wording | None = None) -> Node:
    """Not."""
    text = text or reads("~", enclosed(flag, 6), binding=7)
    check_kind(Kind.FLAG, (flag,), text)
    return lookup(lambda x: not x, (flag,), text)


def both(one: Node, other: Node) -> Node:
    """And."""
    text = reads(enclosed(one, 2), " & ", enclosed(other, 3), binding=3)
    check_kind(Kind.FLAG, (one, other), text)
    return lookup(lambda x, y: x and y, (one, other), text)


def either(one: Node, other: Node) -> Node:
    """Or."""
    text = reads(enclosed(one, 1), " | ", enclosed(other, 2), binding=2)
    check_kind(Kind.FLAG, (one, other), text)
    return lookup(lambda x, y: x or y, (one, other), text)


def where(condition: Node, yes: Node, no: Node) -> Node:
    """One of two values, by a flag."""
    text = reads("where(", condition, ", ", yes, ", ", no, ")")
    check_kind(Kind.FLAG, (condition,), text)
    if yes.domain.kind is not no.domain.kind:
        raise DomainError(
            f"`{yes}` is a {yes.domain.kind.value}, and `{no}` is a {no.domain.kind.value}",
            where=written(text),
            fix="choose between values of one kind",
        )
    if isinstance(yes.domain, Finite) and isinstance(no.domain, Finite):
        return lookup(lambda c, x, y: x if c else y, (condition, yes, no), text)
    unit = common_unit([yes.domain.unit, no.domain.unit])
    low, high = min(yes.domain.low, no.domain.low), max(yes.domain.high, no.domain.high)
    parts = max(yes.domain.parts, no.domain.parts)
    return Choice(Range(low, high, unit, parts), text, condition, yes, no)


def assume(node: Node, values: Sequence[object], text: Wording) -> Node:
    """Promise that only some of the values occur on allowed prompts."""
    promised = finite([plain_value(v) for v in values])
    if promised.kind is not node.domain.kind:
        raise DomainError(
            f"`{node}` is a {node.domain.kind.value}, and {promised} is a {promised.kind.value}",
            where=written(text),
            fix=f"name some of {node.domain}",
        )
    if isinstance(node.domain, Finite):
        known = [v for v in node.domain.values if v in promised]
        strange = [v for v in promised.values if v not in node.domain]
        if strange:
            raise DomainError(
                f"`{node}` is never {show_value(strange[0])}: it is one of {node.domain}",
                where=written(text),
                fix=f"name some of {node.domain}",
            )
        promised = finite(known)
    return Assumed(promised, text, node)
