"""Look-backs in a rotary model, and those that mean the first token where there is none so far back.

A head that looks k back finds the begin token where a text has no such token, and that has no value of
an expression. So where the first token is meant there, another head finds it, and a table chooses.
"""

from __future__ import annotations

from itertools import product

from handcraft.compiler.passes.cases import Setting, at_positions, is_positional
from handcraft.compiler.passes.head_outputs import HeadOutputs
from handcraft.compiler.passes.ir import Attend
from handcraft.language.graph.domain import Finite, Value, as_number, finite
from handcraft.language.graph.node import Case, Comparison, Constant, Lookup, Match, Node, is_position
from handcraft.language.graph.wording import reads


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
    there = brought(outputs, value, back)
    table: dict[tuple[Value, ...], Value] = {
        (is_before, one, other): one if is_before else other
        for is_before, one, other in product((False, True), value.domain.values, value.domain.values)
    }
    of = outputs.of
    return Lookup(value.domain, of.text, (before, first, there), table, place=of.place)


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
