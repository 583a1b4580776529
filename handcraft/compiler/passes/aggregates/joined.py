"""Several disjoint cases of a selection as one condition on joint values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import prod

import numpy as np

from handcraft.errors import CompileError
from handcraft.language.graph.domain import Finite, Value, finite
from handcraft.language.graph.node import Aggregate, Case, Lookup, Match, Node
from handcraft.language.graph.source_counts import holding
from handcraft.language.graph.wording import listed_in, reads
from handcraft.limits import JOINT_VALUES


def joined(cases: Sequence[Case], of: Aggregate) -> Case:
    """One case that selects the union of several cases.

    Raises:
        CompileError: the keys, or the queries, have too many joint values.
    """
    if len(cases) == 1:
        return cases[0]
    keys = _distinct(m.key for case in cases for m in case)
    queries = _distinct(m.query for case in cases for m in case)
    key, query = _tuple_of(keys, of), _tuple_of(queries, of)
    there, here = _joint(key), _joint(query)
    of_key = {node: [row[i] for row in there] for i, node in enumerate(keys)}
    of_query = {node: [row[i] for row in here] for i, node in enumerate(queries)}
    selected = np.zeros((len(here), len(there)), dtype=bool)
    for case in cases:
        selected |= np.logical_and.reduce([holding(m, of_key[m.key], of_query[m.query]) for m in case])
    pairs = frozenset((there[k], here[q]) for q, k in np.argwhere(selected).tolist())
    return (Match(key, query, pairs),)


def _joint(node: Lookup) -> list[tuple[Value, ...]]:
    assert isinstance(node.domain, Finite)
    return [value for value in node.domain.values if isinstance(value, tuple)]


def _distinct(nodes: Iterable[Node]) -> list[Node]:
    return list(dict.fromkeys(nodes))


def _tuple_of(nodes: Sequence[Node], of: Aggregate) -> Lookup:
    domains: list[tuple[Value, ...]] = []
    for node in nodes:
        assert isinstance(node.domain, Finite)
        domains.append(node.domain.values)
    size = prod(map(len, domains))
    if size > JOINT_VALUES.most:
        raise CompileError(
            f"`{of.sources}` selects by {size:,} joint values, more than {JOINT_VALUES.most:,}",
            where=of.place,
            fix="select by fewer values at a time, or .assume() those that occur",
        )
    table: dict[tuple[Value, ...], Value] = {row: row for row in product(*domains)}
    text = reads("(", listed_in(nodes), ")")
    return Lookup(finite(table.values()), text, tuple(nodes), table, place=of.place)
