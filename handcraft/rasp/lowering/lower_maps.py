"""Lowers what is computed position by position: functions to tables, arithmetic to weighted sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

from handcraft.errors import DomainError
from handcraft.language.graph import pointwise, table
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number, kind_of
from handcraft.language.graph.node import Node
from handcraft.language.graph.wording import reads
from handcraft.language.sequences import Comparison
from handcraft.rasp.lowering.lowered import (
    Lowered,
    absent,
    all_present,
    as_numbers,
    check_listed,
    is_constant,
    is_label,
    is_never,
)
from handcraft.rasp.operators import Operator
from handcraft.rasp.rasp_node import apply
from handcraft.rasp.sequence import LinearSequenceMap, SequenceMap, SOp


def lower_sequence_map(sop: SequenceMap, first: Lowered, second: Lowered) -> Lowered:
    """A function of two sequences; sums and comparisons of many numbers need no table."""
    if isinstance(sop.f, Operator):
        found = _arithmetic(sop.f, first.value, second.value, sop)
        if found is not None:
            return Lowered(found, all_present([first.present, second.present]))
    return tabulate(sop.f, [first, second], sop)


def lower_linear(sop: LinearSequenceMap, first: Lowered, second: Lowered) -> Lowered:
    """A weighted sum of two sequences."""
    if is_label(first.value) or is_label(second.value):
        return tabulate(sop.f, [first, second], sop)
    terms = [(as_number(sop.fst_fac), first.value), (as_number(sop.snd_fac), second.value)]
    total = pointwise.linear(terms, 0, sop.text)
    return Lowered(total, all_present([first.present, second.present]))


def tabulate(f: Callable[..., object], arguments: Sequence[Lowered], sop: SOp) -> Lowered:
    """A function as a table, over the values that occur together where there are any.

    Raises:
        DomainError: the function fails for values that occur, or there are too many of them.
    """
    present = all_present([argument.present for argument in arguments])
    if is_never(present):
        return absent()
    nodes = [argument.value for argument in arguments]
    free = list(dict.fromkeys(node for node in nodes if not is_constant(node)))
    if not free:
        answer = apply(f, [_constant(node) for node in nodes], sop)
        return absent() if answer is None else Lowered(pointwise.constant(answer), present)
    check_listed(free, sop)
    found = table.rows_of(free if present is None else [*free, present])
    if found is None:
        sizes = [len(pointwise.listed(node)) for node in free]
        raise DomainError(
            f"`{sop}` takes a table of {prod(sizes):,} rows, more than {pointwise.ROWS_UP_TO:,}: "
            + " by ".join(f"{size:,}" for size in sizes),
            where=sop.where,
            fix="compare with numbers first, or build with a smaller max_length",
        )
    rows = found if present is None else [row[:-1] for row in found if row[-1]]
    answers = {row: apply(f, _arguments(nodes, free, row), sop) for row in rows}
    if None in answers.values():
        known = {row: answer is not None for row, answer in answers.items()}
        answered = pointwise.lookup(lambda *row: known.get(row, False), free, reads(f"present({sop})"))
        present = all_present([present, answered])
    values = {row: answer for row, answer in answers.items() if answer is not None}
    if not values:
        return absent()
    if {kind_of(answer) for answer in values.values()} == {Kind.FLAG, Kind.NUMBER}:  # as in Python
        values = {row: as_number(answer) for row, answer in values.items()}
    any_value = next(iter(values.values()))
    node = pointwise.lookup(lambda *row: values.get(row, any_value), free, sop.text)
    return Lowered(node, present)


def _arguments(nodes: Sequence[Node], free: Sequence[Node], row: tuple[Value, ...]) -> list[Value]:
    known = dict(zip(free, row, strict=True))
    return [known[node] if node in known else _constant(node) for node in nodes]


def _constant(node: Node) -> Value:
    assert isinstance(node.domain, Finite)
    return node.domain.values[0]


def _arithmetic(operator: Operator, one: Node, other: Node, sop: SOp) -> Node | None:
    """The operator as a weighted sum, or None where it takes a table."""
    if is_label(one) or is_label(other):
        return None
    terms: list[tuple[Plain, Node]] = []
    match operator:
        case Operator.ADD:
            terms = [(1, one), (1, other)]
        case Operator.SUBTRACT:
            terms = [(1, one), (-1, other)]
        case Operator.MULTIPLY if is_constant(one):
            terms = [(as_number(_constant(one)), other)]
        case Operator.MULTIPLY if is_constant(other):
            terms = [(as_number(_constant(other)), one)]
        case Operator.DIVIDE if is_constant(other) and _constant(other):
            terms = [(1 / Fraction(as_number(_constant(other))), one)]
    if terms:
        return pointwise.linear(terms, 0, sop.text)
    is_listed = isinstance(one.domain, Finite) and isinstance(other.domain, Finite)
    if operator.is_comparison and not is_listed:
        return pointwise.compare(as_numbers(one), as_numbers(other), Comparison(operator.sign))
    return None
