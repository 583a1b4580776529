"""What is computed at one position: sums, which stay linear, other arithmetic, comparisons, choices.

Tables, of which all that is not linear is made, can be had from here as well.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm, prod

from handcraft.errors import DomainError
from handcraft.language.graph.domain import (
    FLAGS,
    VALUES_UP_TO,
    Domain,
    Finite,
    Kind,
    Plain,
    Range,
    Value,
    as_number,
    finite,
    numbers,
    plain_value,
    show_value,
    whole,
)
from handcraft.language.graph.node import Assumed, AtLeast, Choice, Comparison, Constant, Linear, Node
from handcraft.language.graph.reachable import BASES_UP_TO, combinations
from handcraft.language.graph.table import ROWS_UP_TO, constant, listed, lookup
from handcraft.language.graph.wording import Wording, enclosed, reads
from handcraft.language.written.written_place import written
from handcraft.vocabulary import shorten

__all__ = ["ROWS_UP_TO", "constant", "listed", "lookup"]

FRACTIONS_UP_TO = 1000
"""Up to so many combinations of fractions, their sums are listed; else only their range is known."""


def linear(terms: Sequence[tuple[Plain, Node]], constant: Plain, text: Wording) -> Node:
    """A weighted sum of numbers; flags count as 0 and 1. Constants and equal terms are put together."""
    factors: dict[Node, Plain] = {}
    for factor, node in terms:
        if node.domain.kind is Kind.CATEGORY:
            raise DomainError(
                f"`{node}` is not a number: it is one of {node.domain}",
                where=written(text),
                fix="turn it into numbers with .map({...})",
            )
        if isinstance(node, Constant):
            constant += factor * as_number(node.value)
        else:
            factors[node] = factors.get(node, 0) + factor
    kept = tuple([(whole(factor), node) for node, factor in factors.items() if factor])
    constant = whole(constant)
    if not kept:
        return Constant(finite([constant]), text, constant)
    return Linear(sum_domain(kept, constant), text, kept, constant)


def sum_domain(terms: Sequence[tuple[Plain, Node]], constant: Plain) -> Domain:
    """The values of a weighted sum."""
    nodes = [node for _, node in terms]
    factors = [factor for factor, _ in terms]
    parts = prod(node.domain.parts for node in nodes)
    unit = common_unit([abs(Fraction(f)) * n.domain.unit for f, n in terms] + [abs(Fraction(constant))])
    if all(isinstance(node.domain, Finite) for node in nodes):
        reached = combinations(nodes, BASES_UP_TO if parts == 1 else FRACTIONS_UP_TO)
        if reached is not None:
            exact = {whole(_weighted(factors, row) + constant) for row in reached}
            if len(exact) <= VALUES_UP_TO:
                known = finite(exact)
                return known if parts == 1 else replace(known, grid=(unit, parts))
    ends = [(factor * node.domain.low, factor * node.domain.high) for factor, node in terms]
    low: Plain = sum((min(pair) for pair in ends), constant)
    high: Plain = sum((max(pair) for pair in ends), constant)
    if parts == 1 and (high - low) / unit < VALUES_UP_TO:
        steps = int((high - low) / unit)
        return numbers((whole(Fraction(low) + unit * k) for k in range(steps + 1)), unit=unit)
    return Range(whole(low), whole(high), unit, parts)


def _weighted(factors: Sequence[Plain], row: Sequence[Value]) -> Plain:
    start: Plain = 0
    return sum((f * as_number(v) for f, v in zip(factors, row, strict=True)), start)


def common_unit(units: Sequence[Plain]) -> Fraction:
    """The largest fraction of which all are whole multiples."""
    fractions = [Fraction(unit) for unit in units if unit] or [Fraction(1)]
    below = lcm(*(f.denominator for f in fractions))
    return Fraction(gcd(*(int(f * below) for f in fractions)), below)


def add(one: Node, other: Node) -> Node:
    """The sum; 0, with which Python's `sum` begins, is left out of its text."""
    text = reads(enclosed(one, 4), " + ", enclosed(other, 5), binding=5)
    if isinstance(one, Constant) and one.value == 0:
        text = other.text
    return linear([(1, one), (1, other)], 0, text)


def subtract(one: Node, other: Node) -> Node:
    """The difference."""
    text = reads(enclosed(one, 4), " - ", enclosed(other, 5), binding=5)
    return linear([(1, one), (-1, other)], 0, text)


def multiply(one: Node, other: Node) -> Node:
    """The product; one of the two must be a constant where the other is too many to list."""
    text = reads(enclosed(one, 5), " * ", enclosed(other, 6), binding=6)
    for fixed, moving in ((one, other), (other, one)):
        if isinstance(fixed, Constant) and fixed.domain.kind is Kind.NUMBER:
            return linear([(as_number(fixed.value), moving)], 0, text)
    check_kind(Kind.NUMBER, (one, other), text)
    return lookup(operator.mul, (one, other), text)


def divide(one: Node, other: Node) -> Node:
    """The quotient, exact."""
    text = reads(enclosed(one, 5), " / ", enclosed(other, 6), binding=6)
    check_kind(Kind.NUMBER, (one, other), text)
    _check_divisor(other, text)
    if isinstance(other, Constant):
        return linear([(Fraction(1) / as_number(other.value), one)], 0, text)
    return lookup(lambda x, y: Fraction(x) / Fraction(y), (one, other), text)


def remainder(one: Node, other: Node) -> Node:
    """The remainder of a division."""
    return _divided(operator.mod, " % ", one, other)


def quotient(one: Node, other: Node) -> Node:
    """The quotient of a division, rounded down."""
    return _divided(operator.floordiv, " // ", one, other)


def _divided(compute: Callable[..., object], sign: str, one: Node, other: Node) -> Node:
    text = reads(enclosed(one, 5), sign, enclosed(other, 6), binding=6)
    check_kind(Kind.NUMBER, (one, other), text)
    _check_divisor(other, text)
    return lookup(compute, (one, other), text)


def check_kind(kind: Kind, nodes: Sequence[Node], text: Wording) -> None:
    """Raise unless all are flags, or all are numbers."""
    for node in nodes:
        if node.domain.kind is not kind:
            compare = f"compare it: {enclosed(node, 1)} == ..."
            raise DomainError(
                f"`{node}` is a {node.domain.kind.value} ({node.domain}), not a {kind.value}",
                where=written(text),
                fix=compare if kind is Kind.FLAG else "turn it into numbers with .map({...})",
            )


def _check_divisor(node: Node, text: Wording) -> None:
    domain = node.domain
    has_zero = 0 in domain if isinstance(domain, Finite) else domain.low <= 0 <= domain.high
    if has_zero and isinstance(node, Constant):
        raise DomainError("division by 0", where=written(text), fix="divide by a number other than 0")
    if has_zero:
        raise DomainError(
            f"`{node}` may be 0: it is one of {domain}",
            where=written(text),
            fix="use where() to choose what happens then, or .assume() values without 0",
        )


def compare(one: Node, other: Node, comparison: Comparison) -> Node:
    """A flag: whether the comparison is true."""
    text = reads(enclosed(one, 1), f" {comparison.value} ", enclosed(other, 1), binding=1)
    check_comparable(one, other, comparison, text)
    if isinstance(one.domain, Finite) and isinstance(other.domain, Finite):
        if isinstance(other, Constant):
            return lookup(lambda x: comparison.holds(x, other.value), (one,), text)
        return lookup(comparison.holds, (one, other), text)
    at_least = AtLeast(FLAGS, text, subtract(one, other), 0)
    at_most = AtLeast(FLAGS, text, subtract(other, one), 0)
    match comparison:
        case Comparison.GEQ:
            return at_least
        case Comparison.LEQ:
            return at_most
        case Comparison.LT:
            return invert(at_least, text)
        case Comparison.GT:
            return invert(at_most, text)
    wanted = comparison is Comparison.EQ
    return lookup(lambda x, y: (x and y) is wanted, (at_least, at_most), text)


def check_comparable(one: Node, other: Node, comparison: Comparison, text: Wording) -> None:
    """Raise a DomainError where the two differ in kind, have no order, or can never be equal."""
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
    return Choice(choice_domain(yes, no), text, condition, yes, no)


def choice_domain(yes: Node, no: Node) -> Range:
    """The range of two numbers, of which a flag chooses one."""
    unit = common_unit([yes.domain.unit, no.domain.unit])
    low, high = min(yes.domain.low, no.domain.low), max(yes.domain.high, no.domain.high)
    return Range(low, high, unit, max(yes.domain.parts, no.domain.parts))


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
