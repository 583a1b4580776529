"""Look-backs in a rotary model, and those that mean the first token where there is none so far back.

A head that looks k back finds the begin token where a text has no such token, and that has no value of
an expression. So where the first token is meant there, another head finds it, and tables choose: one
for each bit of a whole number.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from handcraft.compiler.passes.aggregates.head_outputs import HeadOutputs
from handcraft.compiler.passes.cases import Setting, at_positions, is_positional
from handcraft.compiler.passes.ir import Attend
from handcraft.language.graph.domain import FLAGS, Finite, Kind, Plain, Value, as_number, finite
from handcraft.language.graph.node import (
    Case,
    Comparison,
    Constant,
    Linear,
    Lookup,
    Match,
    Node,
    is_position,
    is_token,
)
from handcraft.language.graph.reachable import bases
from handcraft.language.graph.wording import reads

TABLE_UP_TO = 8
"""A value with more whole numbers is selected bit by bit: a table has up to a threshold for each pair.

`test_a_number_so_far_back_or_the_first_is_chosen_bit_by_bit` counts the neurons.
"""


def clipped_look_back(outputs: HeadOutputs, case: Case, value: Node) -> Node | None:
    """The value so far back, or that of the first token; None where something else is selected."""
    found = _distance_and_start(case, outputs.setting)
    if found is None or not isinstance(value.domain, Finite):
        return None
    back, start = found
    setting = outputs.setting
    before = outputs.at_positions(
        [i < start for i in range(setting.context)], reads(f"position < {start}")
    )
    first = value if start == 1 else _at_first(outputs, value)
    if start == back and value.domain.kind is Kind.NUMBER and all(map(is_token, bases(value))):
        return _added(outputs, value, before, first, back)
    if _is_long(value):
        return _bit_by_bit(outputs, value, before, start, back)
    there = brought(outputs, value, back)
    table: dict[tuple[Value, ...], Value] = {
        (is_before, one, other): one if is_before else other
        for is_before, one, other in product((False, True), value.domain.values, value.domain.values)
    }
    of = outputs.of
    return Lookup(value.domain, of.text, (before, first, there), table, place=of.place)


def _added(outputs: HeadOutputs, value: Node, before: Node, first: Node, back: int) -> Node:
    """A number, as a sum: that so far back, which is 0 at the begin token, or that of the first token.

    What both exceed the smallest number by is added up.
    """
    assert isinstance(value.domain, Finite)
    of, low = outputs.of, min(map(as_number, value.domain.values))
    more: dict[tuple[Value, ...], Value] = {(v,): as_number(v) - low for v in value.domain.values}
    text = reads(value, f" above {low}")
    above = Lookup(finite(more.values()), text, (value,), more, place=of.place)
    there = replace(brought(outputs, above, back), begun=True)
    alone: list[tuple[Plain, Node]] = []
    for factor, one in _bits(value) if _is_long(value) else ():
        both: dict[tuple[Value, ...], Value] = {
            each: all(each) for each in product((False, True), repeat=2)
        }
        bit = one if first is value else _at_first(outputs, one)
        name = reads(of, f" bit {len(alone)} at first")
        alone.append((factor, Lookup(FLAGS, name, (before, bit), both, place=of.place)))
    if not alone:
        gated: dict[tuple[Value, ...], Value] = {
            (is_before, v): as_number(v) - low if is_before else 0
            for is_before, v in product((False, True), value.domain.values)
        }
        name, domain = reads(of, " at first"), finite(gated.values())
        alone = [(1, Lookup(domain, name, (before, first), gated, place=of.place))]
    return Linear(value.domain, of.text, ((1, there), *alone), low, place=of.place)


def _is_long(value: Node) -> bool:
    """Whether a value has so many whole numbers that it is selected bit by bit."""
    assert isinstance(value.domain, Finite)
    return len(value.domain.values) > TABLE_UP_TO and all(type(v) is int for v in value.domain.values)


def _bits(value: Node) -> list[tuple[int, Node]]:
    """The bits of a number minus the smallest one, each with its weight."""
    assert isinstance(value.domain, Finite)
    whole = {v: int(as_number(v)) for v in value.domain.values}
    low, high = min(whole.values()), max(whole.values())
    found: list[tuple[int, Node]] = []
    for k in range((high - low).bit_length()):
        has: dict[tuple[Value, ...], Value] = {(v,): bool(n - low >> k & 1) for v, n in whole.items()}
        found.append((1 << k, Lookup(FLAGS, reads(value, f" bit {k}"), (value,), has)))
    return found


def _bit_by_bit(outputs: HeadOutputs, value: Node, before: Node, start: int, back: int) -> Node:
    """A number as the weighted sum of its bits, each of which is selected on its own.

    A table over both numbers would have a threshold for nearly each pair of them.
    """
    assert isinstance(value.domain, Finite)
    of, terms = outputs.of, list[tuple[Plain, Node]]()
    rows: dict[tuple[Value, ...], Value] = {
        (is_before, one, other): one if is_before else other
        for is_before, one, other in product((False, True), repeat=3)
    }
    for factor, bit in _bits(value):
        first = bit if start == 1 else _at_first(outputs, bit)
        read, name = (before, first, brought(outputs, bit, back)), reads(of, f" bit {len(terms)}")
        terms.append((factor, Lookup(FLAGS, name, read, rows, place=of.place)))
    low = min(map(as_number, value.domain.values))
    return Linear(value.domain, of.text, tuple(terms), low, place=of.place)


def brought(outputs: HeadOutputs, value: Node, back: int) -> Attend:
    """A value of the source so far back; any value where there is none."""
    positions = range(outputs.setting.context)
    table: dict[tuple[Value, ...], Value] = {(i,): i - back for i in positions}
    query = Lookup(finite(table.values()), reads(f"{back} back"), (outputs.setting.position,), table)
    return _moved(outputs, value, query, f" {back} back")


def _at_first(outputs: HeadOutputs, value: Node) -> Attend:
    return _moved(outputs, value, Constant(finite([0]), reads("0"), 0), " at position 0")


def _moved(outputs: HeadOutputs, value: Node, query: Node, where: str) -> Attend:
    """A value of the source at one position."""
    case = (Match(outputs.setting.position, query, Comparison.EQ),)
    text, place = reads(value, where), outputs.of.place
    return Attend(value.domain, text, case, value, "latest", unique=True, place=place)


def _distance_and_start(case: Case, setting: Setting) -> tuple[int, int] | None:
    """How far back the source is, from which position on; before it the first token is meant."""
    if len(case) != 1 or case[0].relation is not Comparison.EQ or not is_position(case[0].key):
        return None
    if not is_positional(case[0]):
        return None
    there = [int(as_number(value)) for value in at_positions(case[0].query, setting)]
    back = len(there) - 1 - there[-1]
    start = len(there)
    while start > 0 and there[start - 1] == start - 1 - back:
        start -= 1
    is_clipped = back > 0 and there[-1] > 0 and there[:2] == [0, 0]
    return (back, max(start, back)) if is_clipped and not any(there[:start]) else None
