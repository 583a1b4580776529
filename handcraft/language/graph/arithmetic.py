"""Arithmetic: sums, which stay linear, and what else is computed from numbers at the same position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm, prod

from handcraft.errors import DomainError
from handcraft.language.graph.domain import (
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
)
from handcraft.language.graph.node import Constant, Linear, Node
from handcraft.language.graph.reachable import BASES_UP_TO, combinations
from handcraft.language.graph.table import lookup
from handcraft.language.graph.wording import Wording, enclosed, reads
from handcraft.language.written_place import written

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
    kept = tuple([(_whole(factor), node) for node, factor in factors.items() if factor])
    constant = _whole(constant)
    if not kept:
        return Constant(finite([constant]), text, constant)
    return Linear(_sum_domain(kept, constant), text, kept, constant)


def _sum_domain(terms: Sequence[tuple[Plain, Node]], constant: Plain) -> Domain:
    nodes = [node for _, node in terms]
    factors = [factor for factor, _ in terms]
    parts = prod(node.domain.parts for node in nodes)
    unit = common_unit([abs(Fraction(f)) * _unit(n) for f, n in terms] + [abs(Fraction(constant))])
    if all(isinstance(node.domain, Finite) for node in nodes):
        reached = combinations(nodes, BASES_UP_TO if parts == 1 else FRACTIONS_UP_TO)
        if reached is not None:
            exact = {_whole(_weighted(factors, row) + constant) for row in reached}
            if len(exact) <= VALUES_UP_TO:
                known = finite(exact)
                return known if parts == 1 else replace(known, grid=(unit, parts))
    ends = [(factor * _low(node), factor * _high(node)) for factor, node in terms]
    low: Plain = sum((min(pair) for pair in ends), constant)
    high: Plain = sum((max(pair) for pair in ends), constant)
    if parts == 1 and (high - low) / unit < VALUES_UP_TO:
        steps = int((high - low) / unit)
        return numbers((_whole(Fraction(low) + unit * k) for k in range(steps + 1)), unit=unit)
    return Range(_whole(low), _whole(high), unit, parts)


def _weighted(factors: Sequence[Plain], row: Sequence[Value]) -> Plain:
    start: Plain = 0
    return sum((f * as_number(v) for f, v in zip(factors, row, strict=True)), start)


def _whole(number: Plain) -> Plain:
    return number.numerator if number.denominator == 1 else number


def _low(node: Node) -> Plain:
    return 0 if node.domain.kind is Kind.FLAG else node.domain.low


def _high(node: Node) -> Plain:
    return 1 if node.domain.kind is Kind.FLAG else node.domain.high


def _unit(node: Node) -> Fraction:
    return Fraction(1) if node.domain.kind is Kind.FLAG else node.domain.unit


def common_unit(units: Sequence[Plain]) -> Fraction:
    """The largest fraction of which all are whole multiples."""
    fractions = [Fraction(unit) for unit in units if unit] or [Fraction(1)]
    below = lcm(*(f.denominator for f in fractions))
    return Fraction(gcd(*(int(f * below) for f in fractions)), below)


def add(one: Node, other: Node, sign: int) -> Node:
    """The sum, or with a sign of -1 the difference."""
    text = reads(enclosed(one, 4), " + " if sign > 0 else " - ", enclosed(other, 5), binding=5)
    return linear([(1, one), (sign, other)], 0, text)


def multiply(one: Node, other: Node) -> Node:
    """The product; one of the two must be a constant where the other is too many to list."""
    text = reads(enclosed(one, 5), " * ", enclosed(other, 6), binding=6)
    for fixed, moving in ((one, other), (other, one)):
        if isinstance(fixed, Constant) and fixed.domain.kind is Kind.NUMBER:
            return linear([(as_number(fixed.value), moving)], 0, text)
    check_kind(Kind.NUMBER, (one, other), text)
    return lookup(lambda x, y: x * y, (one, other), text)


def divide(one: Node, other: Node) -> Node:
    """The quotient, exact."""
    text = reads(enclosed(one, 5), " / ", enclosed(other, 6), binding=6)
    check_kind(Kind.NUMBER, (one, other), text)
    _check_divisor(other, text)
    if isinstance(other, Constant):
        return linear([(Fraction(1) / as_number(other.value), one)], 0, text)
    return lookup(lambda x, y: Fraction(x) / Fraction(y), (one, other), text)


def remainder(one: Node, other: Node, *, whole: bool) -> Node:
    """The remainder, or with `whole` the quotient rounded down."""
    text = reads(enclosed(one, 5), " // " if whole else " % ", enclosed(other, 6), binding=6)
    check_kind(Kind.NUMBER, (one, other), text)
    _check_divisor(other, text)

    def compute(x: Plain, y: Plain) -> Plain:
        return x // y if whole else x % y

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
