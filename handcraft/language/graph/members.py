"""The table of a flag that says whether a value is one of a few: it takes room for those few only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from handcraft.language.graph.domain import Finite, Value


class Members(Mapping[tuple[Value, ...], Value]):
    """A table of one argument: True for some of its values, and False for the others.

    It equals a dictionary with the same rows. A program of thousands of rules over thousands of words
    has a table for each word that a rule reads.

    Args:
        domain: of the argument, a category.
        inside: the values for which it is True; not none, and not all.
    """

    __slots__ = ("domain", "inside")

    def __init__(self, domain: Finite, inside: frozenset[Value]) -> None:
        self.domain, self.inside = domain, inside

    def __getitem__(self, row: tuple[Value, ...]) -> Value:
        (value,) = row
        if value not in self.domain:
            raise KeyError(row)
        return value in self.inside

    def __iter__(self) -> Iterator[tuple[Value, ...]]:
        return ((value,) for value in self.domain.values)

    def __len__(self) -> int:
        return len(self.domain.values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Members):
            return self.inside == other.inside and self.domain == other.domain
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash((frozenset((value,) for value in self.inside), len(self)))


def rows_hash(table: Mapping[tuple[Value, ...], Value]) -> int:
    """A hash of the rows of a table, the same for all tables with equal rows."""
    if isinstance(table, Members):
        return hash(table)
    if all(value is True or value is False for value in table.values()):
        return hash((frozenset(row for row, value in table.items() if value), len(table)))
    return hash(frozenset(table.items()))
