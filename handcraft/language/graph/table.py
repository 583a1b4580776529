"""Tables: functions of values at the same position, tabulated over all that can occur."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from handcraft.errors import DomainError, HandcraftError
from handcraft.language.graph.domain import (
    Finite,
    Range,
    Value,
    finite,
    kind_of,
    plain_value,
    show_value,
)
from handcraft.language.graph.node import Constant, Lookup, Node
from handcraft.language.graph.reachable import combinations
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.written.written_place import written, written_place
from handcraft.limits import TABLE_ROWS

ROWS_UP_TO = TABLE_ROWS.most
"""The most rows of a table."""


def constant(value: object) -> Constant:
    """The same value everywhere."""
    known = plain_value(value)
    text = show_value(known)
    binding = 6 if isinstance(known, Fraction) else 7 if text.startswith("-") else 9
    return Constant(finite([known]), reads(text, binding=binding), known)


def lookup(
    function: Callable[..., object] | Mapping[Any, object], arguments: Sequence[Node], text: Wording
) -> Node:
    """A function of some expressions, tabulated.

    Raises:
        DomainError: too many rows, a row that the table lacks, a function that fails, or results of
            several kinds.
    """
    for argument in arguments:
        listed(argument)
    if isinstance(function, Mapping):  # floats are read as the decimals that they are written as
        keys = [
            tuple(map(plain_value, key))
            if len(arguments) > 1 and isinstance(key, tuple)
            else plain_value(key)
            for key in function
        ]
        function = dict(zip(keys, function.values(), strict=True))
    rows = rows_of(arguments)
    if rows is None:
        size = prod(len(listed(a)) for a in arguments)
        sizes = [f"`{node}` has {len(listed(node)):,} values" for node in arguments]
        raise DomainError(
            f"a table over {len(arguments)} expressions has {size:,} rows, more than {ROWS_UP_TO:,}: "
            + ", ".join(sizes if len(sizes) <= 4 else [*sizes[:4], f"and {len(sizes) - 4} more"]),
            where=written(text),
            fix="combine fewer of them at a time, or .assume() the values that occur",
            in_rules="compare fewer counts and positions at a time, or state a shorter context",
        )
    table = {row: _result(function, row, arguments, text) for row in rows}
    return Lookup(_domain_of(table, text), text, tuple(arguments), table)


def rows_of(arguments: Sequence[Node]) -> list[tuple[Value, ...]] | None:
    """The combinations of values that can occur, in the order of the values: two runs give the same.

    None where they are too many for a table.
    """
    found = combinations(arguments)
    if found is None:
        values = [listed(argument) for argument in arguments]
        return None if prod(map(len, values)) > ROWS_UP_TO else list(product(*values))
    places = [{value: i for i, value in enumerate(listed(a))} for a in arguments]
    return sorted(found, key=lambda row: [at[v] for at, v in zip(places, row, strict=True)])


def _result(
    function: Callable[..., object] | Mapping[Any, object],
    row: tuple[Value, ...],
    arguments: Sequence[Node],
    text: Wording,
) -> Value:
    if isinstance(function, Mapping):
        key = row[0] if len(row) == 1 else row
        if key not in function:
            raise DomainError(
                f"the table has no row for {_shown(arguments, row)}",
                where=written(text),
                fix=f"add {show_value(key)}: ..., or .assume() the values that occur",
            )
        return plain_value(function[key])
    try:
        return plain_value(function(*row))
    except HandcraftError:
        raise
    except Exception as error:
        raise DomainError(
            f"the function fails for {_shown(arguments, row)}: {type(error).__name__}: {error}",
            where=written(text),
            fix="make it answer for every value, or .assume() the values that occur",
        ) from error


def _shown(arguments: Sequence[Node], row: tuple[Value, ...]) -> str:
    return ", ".join(f"{a} = {show_value(v)}" for a, v in zip(arguments, row, strict=True))


def _domain_of(table: Mapping[tuple[Value, ...], Value], text: Wording) -> Finite:
    kinds = {kind_of(value) for value in table.values()}
    if len(kinds) > 1:
        examples = {kind_of(value): (row, value) for row, value in table.items()}
        listing = " and ".join(
            f"{show_value(v)} for {', '.join(map(show_value, row))}" for row, v in examples.values()
        )
        raise DomainError(
            f"the results are of {len(kinds)} kinds: {listing}",
            where=written(text),
            fix="answer with only labels, only flags or only numbers",
        )
    return finite(table.values())


def listed(node: Node) -> tuple[Value, ...]:
    """The values of a node; raises a DomainError where they are too many to list."""
    if isinstance(node.domain, Range):
        raise DomainError(
            f"`{node}` has too many values for a table: {node.domain}",
            where=written_place(),
            fix="compare it with a number, or .assume() the values that occur",
        )
    return node.domain.values
