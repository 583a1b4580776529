"""Identities (hash-consing): one object for everything made of the same parts, while it is in use.

An identity is a node without its name and its place in the source. Two nodes are equal if they have the
same identity. Comparing them does not visit their parts, because the parts have identities of their
own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary


class Identity:
    """Stands for everything made of certain parts; equal only to itself."""

    __slots__ = ("__weakref__",)


_known: WeakValueDictionary[Hashable, Identity] = WeakValueDictionary()
"""By what things are made of. An entry lasts as long as its identity, and keeps those of its parts."""

_making = Lock()


def identity_of(made_of: Hashable) -> Identity:
    """The identity of what is made of some parts.

    >>> kept = identity_of(("sum", 1, 2))
    >>> identity_of(("sum", 1, 2)) is kept
    True
    """
    with _making:
        return _known.setdefault(made_of, Identity())


class Rows:
    """The rows of a table as a part: equal where the tables are, and hashed once."""

    __slots__ = ("_hash", "table")

    def __init__(self, table: Mapping[Any, Hashable]) -> None:
        self.table = table
        self._hash = hash(frozenset(table.items()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self.table is other.table or self.table == other.table)
