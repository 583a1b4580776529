"""Places in the words of rule files: where a token is read, and the tables that map it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from handcraft.language.graph.domain import Kind, Value
from handcraft.language.graph.node import (
    Aggregate,
    Constant,
    Linear,
    Lookup,
    Match,
    Node,
    is_position,
    is_token,
)
from handcraft.language.patterns.pattern import escape
from handcraft.language.sequences import Comparison

LARGEST = 10**9
"""Numbers of a rule file are smaller."""


@dataclass(frozen=True)
class Place:
    """A place that a token is read from.

    Args:
        words: how it is called, without `the`.
        distance: how many tokens back it is; 0 where it is always there.
        default: the token that stands in for a missing one; None where none is missing.
    """

    words: str
    distance: int = 0
    default: str | None = None

    @property
    def in_condition(self) -> str:
        """How it is called where it is compared, with what stands in for a missing token."""
        return self.words if self.default is None else f"{self.words} else {name(self.default)}"


@dataclass
class Tables:
    """The tables that the rules of a file read, each once.

    Attributes:
        names: of each table, by what it gives for every token.
    """

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


def name(token: str) -> str:
    """A token where a condition names one."""
    written = escape(token)
    for character in "()":
        written = written.replace(character, f"\\{character}")
    return written


def _is_nameable(value: Value, kind: Kind) -> bool:
    if kind is Kind.CATEGORY:
        return isinstance(value, str)
    return type(value) is int and abs(value) < LARGEST


def _cell(word: str) -> str:
    """A token, or a number, in a table."""
    return f"\\{word}" if word in ("->", "otherwise") else escape(word)
