"""What is computed from values at the same position: tables, arithmetic, comparisons, choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import gcd, lcm, prod
from typing import Any

from handcraft.errors import DomainError, HandcraftError
from handcraft.language.sequences.domain import (
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
    kind_of,
    numbers,
    plain_value,
    show_value,
)
from handcraft.language.sequences.node import (
    Assumed,
    AtLeast,
    Choice,
    Comparison,
    Constant,
    Linear,
    Lookup,
    Node,
    enclosed,
)
from handcraft.language.sequences.reachable import combinations
from handcraft.vocabulary import shorten

ROWS_UP_TO = 200_000
"""The most rows of a table."""


def constant(value: object) -> Constant:
    """The same value everywhere."""
    known = plain_value(value)
    return Constant(finite([known]), show_value(known), known)


def lookup(
    function: Callable[..., object] | Mapping[Any, object],
    arguments: Sequence[Node],
    text: str,
    binding: int = 9,
) -> Node:
    """A function of some expressions, tabulated.

    Args:
        function: what to tabulate, or the table; of one argument its keys are the values themselves.
        arguments: what it is a function of.
        text: how it reads.
        binding: of the text.

    Raises:
        DomainError: too many rows, a row that the table lacks, a function that fails, or results of
            several kinds.
    """
    for argument in arguments:
        listed(argument)
    walked = combinations(arguments)
    size = prod(len(listed(a)) for a in arguments)
    if walked is None and size > ROWS_UP_TO:
        raise DomainError(
            f"a table over {_and(arguments)} has {size:,} rows, more than {ROWS_UP_TO:,}: "
            + ", ".join(f"`{a}` has {len(listed(a)):,} values" for a in arguments),
            fix="combine fewer of them at a time, or .assume() the values that occur",
        )
    reached = set(product(*map(listed, arguments))) if walked is None else walked
    table = {row: _result(function, row, arguments, text) for row in _ordered(reached, arguments)}
    return Lookup(_domain_of(table, text), text, tuple(arguments), table, binding=binding)


def _ordered(reached: set[tuple[Value, ...]], arguments: Sequence[Node]) -> list[tuple[Value, ...]]:
    """The rows in the order of the values: two runs give the same table."""
    places = [{value: i for i, value in enumerate(listed(a))} for a in arguments]
    return sorted(reached, key=lambda row: [at[v] for at, v in zip(places, row, strict=True)])


def _result(
    function: Callable[..., object] | Mapping[Any, object],
    row: tuple[Value, ...],
    arguments: Sequence[Node],
    text: str,
) -> Value:
    said = ", ".join(f"{a} = {show_value(v)}" for a, v in zip(arguments, row, strict=True))
    if isinstance(function, Mapping):
        key = row[0] if len(row) == 1 else row
        if key not in function:
            raise DomainError(
                f"the table has no row for {said}",
                where=text,
                fix=f"add {show_value(key)}: ..., or .assume() the values that occur",
            )
        return plain_value(function[key])
    try:
        return plain_value(function(*row))
    except HandcraftError:
        raise
    except Exception as error:
        raise DomainError(
            f"the function fails for {said}: {type(error).__name__}: {error}",
            where=text,
            fix="make it answer for every value, or .assume() the values that occur",
        ) from error


def _domain_of(table: Mapping[tuple[Value, ...], Value], text: str) -> Finite:
    kinds = {kind_of(value) for value in table.values()}
    if len(kinds) > 1:
        examples = {kind_of(value): (row, value) for row, value in table.items()}
        said = " and ".join(
            f"{show_value(v)} for {', '.join(map(show_value, row))}" for row, v in examples.values()
        )
        raise DomainError(
            f"the results are of {len(kinds)} kinds: {said}",
            where=text,
            fix="answer with only labels, only flags or only numbers",
        )
    return finite(table.values())


def linear(terms: Sequence[tuple[Plain, Node]], constant: Plain, text: str, binding: int) -> Node:
    """A weighted sum of numbers; flags count as 0 and 1."""
    for _, node in terms:
        if node.domain.kind is Kind.CATEGORY:
            raise DomainError(
                f"`{node}` is no number: it is one of {node.domain}",
                where=text,
                fix="turn it into numbers with .map({...})",
            )
    return Linear(_sum_domain(terms, constant), text, tuple(terms), constant, binding=binding)


def _sum_domain(terms: Sequence[tuple[Plain, Node]], constant: Plain) -> Domain:
    nodes = [node for _, node in terms]
    factors = [factor for factor, _ in terms]
    if all(isinstance(node.domain, Finite) for node in nodes):
        reached = combinations(nodes)
        if reached is not None:
            exact = {_whole(_weighted(factors, row) + constant) for row in reached}
            if len(exact) <= VALUES_UP_TO:
                return finite(exact)
    ends = [(factor * _low(node), factor * _high(node)) for factor, node in terms]
    unit = _common_unit([abs(Fraction(f)) * _unit(n) for f, n in terms] + [abs(Fraction(constant))])
    low: Plain = sum((min(pair) for pair in ends), constant)
    high: Plain = sum((max(pair) for pair in ends), constant)
    parts = prod(node.domain.parts for node in nodes)
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


def _common_unit(units: Sequence[Plain]) -> Fraction:
    """The largest fraction of which all are whole multiples."""
    fractions = [Fraction(unit) for unit in units if unit] or [Fraction(1)]
    below = lcm(*(f.denominator for f in fractions))
    return Fraction(gcd(*(int(f * below) for f in fractions)), below)


def add(one: Node, other: Node, sign: int) -> Node:
    """The sum, or with a sign of -1 the difference."""
    text = f"{enclosed(one, 4)} {'+' if sign > 0 else '-'} {enclosed(other, 5)}"
    terms: list[tuple[Plain, Node]] = []
    constant: Plain = 0
    for factor, node in ((1, one), (sign, other)):
        if isinstance(node, Constant) and node.domain.kind is Kind.NUMBER:
            constant += factor * as_number(node.value)
        else:
            terms.append((factor, node))
    return linear(terms, constant, text, 5)


def multiply(one: Node, other: Node) -> Node:
    """The product; one of the two must be a constant where the other is too many to list."""
    text = f"{enclosed(one, 5)} * {enclosed(other, 6)}"
    for fixed, moving in ((one, other), (other, one)):
        if isinstance(fixed, Constant) and fixed.domain.kind is Kind.NUMBER:
            return linear([(as_number(fixed.value), moving)], 0, text, 6)
    _check_numbers((one, other), text)
    return lookup(lambda x, y: x * y, (one, other), text, 6)


def divide(one: Node, other: Node) -> Node:
    """The quotient, exact."""
    text = f"{enclosed(one, 5)} / {enclosed(other, 6)}"
    _check_numbers((one, other), text)
    _check_divisor(other, text)
    if isinstance(other, Constant):
        return linear([(Fraction(1) / as_number(other.value), one)], 0, text, 6)
    return lookup(lambda x, y: Fraction(x) / Fraction(y), (one, other), text, 6)


def remainder(one: Node, other: Node, *, whole: bool) -> Node:
    """The remainder, or with `whole` the quotient rounded down."""
    text = f"{enclosed(one, 5)} {'//' if whole else '%'} {enclosed(other, 6)}"
    _check_numbers((one, other), text)
    _check_divisor(other, text)

    def compute(x: Plain, y: Plain) -> Plain:
        return x // y if whole else x % y

    return lookup(compute, (one, other), text, 6)


def compare(one: Node, other: Node, comparison: Comparison) -> Node:
    """A flag: whether the comparison holds."""
    text = f"{enclosed(one, 1)} {comparison.value} {enclosed(other, 1)}"
    check_comparable(one, other, comparison, text)
    if isinstance(one.domain, Finite) and isinstance(other.domain, Finite):
        if isinstance(other, Constant):
            return lookup(lambda x: comparison.holds(x, other.value), (one,), text, 1)
        return lookup(comparison.holds, (one, other), text, 1)
    rising = add(one, other, -1)
    falling = add(other, one, -1)
    match comparison:
        case Comparison.GEQ:
            return AtLeast(FLAGS, text, rising, 0, binding=1)
        case Comparison.LEQ:
            return AtLeast(FLAGS, text, falling, 0, binding=1)
        case Comparison.LT:
            return invert(AtLeast(FLAGS, text, rising, 0, binding=1), text, 1)
        case Comparison.GT:
            return invert(AtLeast(FLAGS, text, falling, 0, binding=1), text, 1)
    both = (AtLeast(FLAGS, text, rising, 0), AtLeast(FLAGS, text, falling, 0))
    wanted = comparison is Comparison.EQ
    return lookup(lambda x, y: (x and y) is wanted, both, text, 1)


def check_comparable(one: Node, other: Node, comparison: Comparison, text: str) -> None:
    """Raise unless the two can be compared.

    Raises:
        DomainError: they are of different kinds, have no order, or can never be equal.
    """
    if one.domain.kind is not other.domain.kind:
        raise DomainError(
            f"`{one}` is a {one.domain.kind.value} ({one.domain}), and `{other}` is a "
            f"{other.domain.kind.value} ({other.domain})",
            where=text,
            fix="compare values of one kind; .map({...}) turns one into the other",
        )
    if one.domain.kind is Kind.NUMBER:
        return
    if comparison not in (Comparison.EQ, Comparison.NEQ):
        raise DomainError(
            f"`{one}` has no order: its values are {one.domain}",
            where=text,
            fix="give them an order with .map({...}) to numbers",
        )
    assert isinstance(one.domain, Finite)
    assert isinstance(other.domain, Finite)
    for node, by in ((one, other), (other, one)):
        if isinstance(by, Constant) and by.value not in node.domain:
            assert isinstance(node.domain, Finite)
            raise DomainError(
                f"`{node}` is never {by}: it is one of {node.domain}",
                where=text,
                fix=f"compare it with one of: {shorten([show_value(v) for v in node.domain.values])}",
            )


def invert(flag: Node, text: str = "", binding: int = 7) -> Node:
    """Not."""
    text = text or f"~{enclosed(flag, 6)}"
    check_flags((flag,), text)
    return lookup(lambda x: not x, (flag,), text, binding)


def both(one: Node, other: Node) -> Node:
    """And."""
    text = f"{enclosed(one, 2)} & {enclosed(other, 3)}"
    check_flags((one, other), text)
    return lookup(lambda x, y: x and y, (one, other), text, 3)


def either(one: Node, other: Node) -> Node:
    """Or."""
    text = f"{enclosed(one, 1)} | {enclosed(other, 2)}"
    check_flags((one, other), text)
    return lookup(lambda x, y: x or y, (one, other), text, 2)


def where(condition: Node, yes: Node, no: Node) -> Node:
    """One of two values, by a flag."""
    text = f"where({condition}, {yes}, {no})"
    check_flags((condition,), text)
    if yes.domain.kind is not no.domain.kind:
        raise DomainError(
            f"`{yes}` is a {yes.domain.kind.value}, and `{no}` is a {no.domain.kind.value}",
            where=text,
            fix="choose between values of one kind",
        )
    if isinstance(yes.domain, Finite) and isinstance(no.domain, Finite):
        return lookup(lambda c, x, y: x if c else y, (condition, yes, no), text)
    unit = _common_unit([yes.domain.unit, no.domain.unit])
    low, high = min(yes.domain.low, no.domain.low), max(yes.domain.high, no.domain.high)
    parts = max(yes.domain.parts, no.domain.parts)
    return Choice(Range(low, high, unit, parts), text, condition, yes, no)


def assume(node: Node, values: Sequence[object], text: str) -> Node:
    """Promise that only some of the values occur on legal prompts."""
    promised = finite([plain_value(v) for v in values])
    if promised.kind is not node.domain.kind:
        raise DomainError(
            f"`{node}` is a {node.domain.kind.value}, and {promised} is a {promised.kind.value}",
            where=text,
            fix=f"name some of {node.domain}",
        )
    if isinstance(node.domain, Finite):
        known = [v for v in node.domain.values if v in promised]
        strange = [v for v in promised.values if v not in node.domain]
        if strange:
            raise DomainError(
                f"`{node}` is never {show_value(strange[0])}: it is one of {node.domain}",
                where=text,
                fix=f"name some of {node.domain}",
            )
        promised = finite(known)
    return Assumed(promised, text, node)


def listed(node: Node) -> tuple[Value, ...]:
    """The values of a node.

    Raises:
        DomainError: they are too many to list.
    """
    if isinstance(node.domain, Range):
        raise DomainError(
            f"`{node}` has too many values for a table: {node.domain}",
            fix="compare it with a number, or .assume() the values that occur",
        )
    return node.domain.values


def check_flags(nodes: Sequence[Node], text: str) -> None:
    """Raise unless all are flags."""
    for node in nodes:
        if node.domain.kind is not Kind.FLAG:
            raise DomainError(
                f"`{node}` is a {node.domain.kind.value} ({node.domain}), not a flag",
                where=text,
                fix=f"compare it: {enclosed(node, 1)} == ...",
            )


def _check_numbers(nodes: Sequence[Node], text: str) -> None:
    for node in nodes:
        if node.domain.kind is not Kind.NUMBER:
            raise DomainError(
                f"`{node}` is a {node.domain.kind.value} ({node.domain}), not a number",
                where=text,
                fix="turn it into numbers with .map({...})",
            )


def _check_divisor(node: Node, text: str) -> None:
    domain = node.domain
    has_zero = 0 in domain if isinstance(domain, Finite) else domain.low <= 0 <= domain.high
    if has_zero:
        raise DomainError(
            f"`{node}` may be 0: it is one of {domain}",
            where=text,
            fix="use where() to say what happens then, or .assume() values without 0",
        )


def _and(nodes: Sequence[Node]) -> str:
    return " and ".join(f"`{node}`" for node in nodes)
