"""Which combinations of values can occur together at one position.

Expressions that are computed from the same values are correlated: `token` and `token == "a"` only occur
in pairs that agree. Pointwise nodes are followed down to their *bases*: tokens, positions and the
outputs of aggregates.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, product
from math import prod
from operator import add
from threading import RLock

import numpy as np

from handcraft.language.graph.domain import Finite, Plain, Value, as_number, whole
from handcraft.language.graph.node import Assumed, AtLeast, Choice, Constant, Linear, Lookup, Node, walk

BASES_UP_TO = 20_000
"""The most combinations of base values that are walked; past it, every combination counts."""

_EXCLUDED: Value = object()
"""Marks a node without a value, or with one outside its domain."""

POINTWISE = (Lookup, Linear, AtLeast, Choice, Assumed, Constant)


def is_pointwise(node: Node) -> bool:
    """Whether a node is computed from values at the same position, all of them listed."""
    if not isinstance(node, POINTWISE):
        return False
    return all(isinstance(child.domain, Finite) for child in node.children)


def bases(*nodes: Node, stops: Callable[[Node], bool] | None = None) -> tuple[Node, ...]:
    """What the nodes are computed from, point by point, down to where it `stops`; each once."""
    if stops is None:
        return tuple(dict.fromkeys(base for node in nodes for base in _column_of(node).bases))
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if is_pointwise(node) and not stops(node):
            stack += reversed(node.children)
        else:
            found[node] = None
    return tuple(found)


def combinations(nodes: Sequence[Node], up_to: int = BASES_UP_TO) -> set[tuple[Value, ...]] | None:
    """The combinations of values of `nodes` that can occur, or None where they are too many to walk."""
    below = bases(*nodes)
    if all(isinstance(base.domain, Finite) for base in below) and _size(below) <= up_to:
        columns = [_over(_column_of(node), below) for node in nodes]
        found = set(_rows(columns, _size(below)))
        return {row for row in found if not any(value is _EXCLUDED for value in row)}
    if _size(nodes) > up_to:
        return None
    return set(product(*(_values(node) for node in nodes)))


@dataclass(frozen=True)
class _Column:
    """The values of a node for all combinations of those of its bases; None if too many."""

    bases: tuple[Node, ...]
    values: tuple[Value, ...] | None


COLUMNS_UP_TO = 256
"""The most columns that are kept: a node made of nodes that were just made then takes one step."""

_columns: OrderedDict[Node, _Column] = OrderedDict()
_keeping = RLock()


def _column_of(root: Node) -> _Column:
    """The column of a node, from those of its children, as far as these are known."""
    with _keeping:
        made: dict[Node, _Column] = {}
        if root not in _columns:
            for node in walk(root, down_to=_columns):
                known = [made.get(child) or _columns[child] for child in node.children]
                made[node] = _made_column(node, known)
            _columns.update(list(made.items())[-COLUMNS_UP_TO:])
        _columns.move_to_end(root)
        while len(_columns) > COLUMNS_UP_TO:
            _columns.popitem(last=False)
        return _columns[root]


def _made_column(node: Node, children: Sequence[_Column]) -> _Column:
    if not is_pointwise(node):
        return _Column((node,), node.domain.values if isinstance(node.domain, Finite) else None)
    below = tuple(dict.fromkeys(base for child in children for base in child.bases))
    finite = all(isinstance(base.domain, Finite) for base in below)
    if not finite or _size(below) > BASES_UP_TO or any(child.values is None for child in children):
        return _Column(below, None)
    return _Column(below, _column(node, [_over(child, below) for child in children], _size(below)))


def _over(column: _Column, below: tuple[Node, ...]) -> tuple[Value, ...]:
    """A column as one over more bases."""
    assert column.values is not None
    if column.bases == below:
        return column.values
    places = np.zeros(1, dtype=np.int64)  # in the column, of each combination of the bases so far
    for base in below:
        known = base in column.bases
        step = _size(column.bases[column.bases.index(base) + 1 :]) if known else 0
        places = np.add.outer(places, step * np.arange(len(_values(base)))).ravel()
    return tuple([column.values[place] for place in places.tolist()])


def rows(
    nodes: Sequence[Node], below: Sequence[Node]
) -> Iterator[tuple[tuple[Value, ...], tuple[Value, ...]]]:
    """For every combination of values of `below` that no assumption excludes, those of `nodes`.

    One node after the other is computed for all combinations together, as a column of values. That of
    a single node over its own bases is known from those of its children.
    """
    if len(nodes) == 1:
        known = _column_of(nodes[0])
        if known.values is not None and known.bases == tuple(below):
            every = product(*(_values(base) for base in below))
            pairs = zip(every, known.values, strict=True)
            return iter([(row, (value,)) for row, value in pairs if value is not _EXCLUDED])
    walked = list(product(*(_values(base) for base in below)))
    columns: dict[Node, Sequence[Value]] = dict(zip(below, zip(*walked, strict=True), strict=True))
    for node in walk(*nodes, down_to=below):
        column = _column(node, [columns[child] for child in node.children], len(walked))
        columns[node] = column
        left = [value is not _EXCLUDED for value in column]
        if not all(left):
            walked = list(compress(walked, left))
            columns = {key: tuple(compress(column, left)) for key, column in columns.items()}
    return zip(walked, _rows([columns[node] for node in nodes], len(walked)), strict=True)


def _column(node: Node, children: Sequence[Sequence[Value]], size: int) -> tuple[Value, ...]:
    """The values of a node for all combinations, given those of its children."""
    if isinstance(node, Lookup):
        table = {row: value for row, value in node.table.items() if value in node.domain}
        return tuple([table.get(row, _EXCLUDED) for row in _rows(children, size)])
    if any(_EXCLUDED in column for column in children):
        kept = [_EXCLUDED not in row for row in _rows(children, size)]
        left = iter(_column(node, [list(compress(c, kept)) for c in children], sum(kept)))
        return tuple([next(left) if keep else _EXCLUDED for keep in kept])
    if isinstance(node, Linear):
        totals: list[Plain] = [node.constant] * size
        for (factor, _), column in zip(node.terms, children, strict=True):
            totals = list(map(add, totals, [factor * as_number(value) for value in column]))
        found: Iterable[Value] = map(whole, totals)
    else:
        found = [compute(node, row) for row in _rows(children, size)]
    return tuple([value if value in node.domain else _EXCLUDED for value in found])


def _rows(columns: Sequence[Sequence[Value]], size: int) -> Iterable[tuple[Value, ...]]:
    """The rows of a table of that size, given its columns; there may be none."""
    return zip(*columns, strict=True) if columns else [()] * size


def compute(node: Node, values: Sequence[Value]) -> Value:
    """The value of a pointwise node, given those of its children."""
    match node:
        case Constant():
            return node.value
        case Lookup():
            return node.table[tuple(values)]
        case Linear():
            total = sum(
                factor * as_number(value) for (factor, _), value in zip(node.terms, values, strict=True)
            )
            return whole(total + node.constant)
        case AtLeast():
            return as_number(values[0]) >= node.bound
        case Choice():
            return values[1] if values[0] else values[2]
        case Assumed():
            return values[0]
    raise TypeError(f"{type(node).__name__} is not computed point by point")


def _values(node: Node) -> tuple[Value, ...]:
    assert isinstance(node.domain, Finite)
    return node.domain.values


def _size(nodes: Sequence[Node]) -> int:
    return prod(len(_values(node)) for node in nodes)
