"""Prove how many sources a selection has, on every text: at least one, at most one, or exactly one.

There are four lemmas. Each says what it needs; where that is missing, nothing is proved.

- *Itself*: a destination selects itself. It needs conditions that hold of all values that can occur
  together at one position.
- *Counted*: the sources are counted, at every destination of texts of every length. It needs keys and
  queries that are computed from the position and the length, and not too many combinations of these.
- *Rank*: the only condition is that the key equals the query, the keys of a text are consecutive
  numbers, and the query is one of them. It needs a key that is the position, or without a mask the
  rank among numbers that all differ; and a query computed from the position and the length.
- *Apart*: at most one source meets a condition. It needs keys that differ at any two positions, and
  one key at most for each query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from operator import add

import numpy as np
import numpy.typing as npt

from handcraft.language.graph.domain import Finite, Value, as_number
from handcraft.language.graph.node import (
    COMPARED,
    Aggregate,
    Case,
    Comparison,
    Linear,
    Lookup,
    Match,
    Node,
    Sources,
    is_position,
)
from handcraft.language.graph.reachable import BASES_UP_TO, bases, combinations, rows

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

REFLEXIVE = (Comparison.EQ, Comparison.LEQ, Comparison.GEQ)
"""The comparisons that hold of a value and itself."""


@dataclass(frozen=True)
class SourceCounts:
    """How many sources every destination selects.

    Args:
        single: at most one, whatever the text.
        exists: for every position whether it selects any, where the position alone decides that.
    """

    single: bool
    exists: tuple[bool, ...] | None

    @property
    def always(self) -> bool:
        """Whether every destination selects a source."""
        return self.exists is not None and all(self.exists)


def source_counts(sources: Sources, context: int, causal: bool) -> SourceCounts:
    """What can be proved of a selection in texts of up to `context` tokens, with or without a mask."""
    single = _is_apart(sources, context, causal)
    always = sources.always or _takes_a_rank(sources, context, causal)
    exists = (True,) * context if always else None
    counted = None if single and always else _counted(sources, context, causal)
    if counted is None:
        return SourceCounts(single, exists)
    least, most = counted
    if exists is None and bool(((least > 0) == (most > 0)).all()):
        exists = tuple((least > 0).tolist())
    return SourceCounts(single or int(most.max()) <= 1, exists)


def finds_one(sources: Sources, context: int, causal: bool) -> bool:
    """Whether every destination selects exactly one source, on every text."""
    alone = _counted(sources, 1, causal)
    if alone is not None and alone[0][0] != 1:  # the only source of a text of one position is left out
        return False
    found = source_counts(sources, context, causal)
    return found.single and found.always


def is_always(sources: Sources) -> bool:
    """Whether every destination selects a source, in texts of any length, with and without a mask."""
    if selects_itself(*sources.cases):
        return True
    below = bases(*sources.children)
    if len(below) != 1 or not is_position(below[0]) or not isinstance(below[0].domain, Finite):
        return False
    for context in (1, len(below[0].domain.values)):
        counted = _counted(sources, context, causal=True)
        if counted is None or not counted[0].all():
            return False
    return True


def selects_itself(*cases: Case) -> bool:
    """Whether a position surely selects itself, by one of some cases."""
    left = [[m for m in case if m.key != m.query or m.relation not in REFLEXIVE] for case in cases]
    if not all(left):
        return True
    nodes = list(dict.fromkeys(node for case in left for m in case for node in (m.key, m.query)))
    reached = combinations(nodes)
    if reached is None:
        return False
    at = {node: i for i, node in enumerate(nodes)}
    return all(
        any(all(m.holds(row[at[m.key]], row[at[m.query]]) for m in case) for case in left)
        for row in reached
    )


def holding(match: Match, keys: Sequence[Value], queries: Sequence[Value]) -> Flags:
    """Of which keys and queries a condition holds: [query, key]."""
    relation = match.relation
    if isinstance(relation, frozenset):
        known = {query: [(key, query) in relation for key in keys] for query in dict.fromkeys(queries)}
        return np.array([known[query] for query in queries])
    values: Iterable[Value] = dict.fromkeys([*keys, *queries])
    if relation not in (Comparison.EQ, Comparison.NEQ):
        values = sorted(values, key=as_number)
    places = {value: i for i, value in enumerate(values)}
    there = np.array([places[key] for key in keys])[None, :]
    here = np.array([places[query] for query in queries])[:, None]
    flags: Flags = COMPARED[relation](there, here)
    return flags


# -- counted ----------------------------------------------------------------------------------------


def _counted(sources: Sources, context: int, causal: bool) -> tuple[Counts, Counts] | None:
    """For every position the least and the greatest number of sources, over texts of every length.

    None where tokens matter, or where there is too much to try. Texts that an assumption excludes do
    not count; a position without any text is said to select one source.
    """
    nodes = sources.children
    below = bases(*nodes)
    if not _are_known_without_text(below):
        return None
    least, most = np.full(context, context + 1), np.full(context, -1)
    is_positional = causal or all(map(is_position, below))  # the length decides of no pair
    for text in _texts(nodes, below, [context] if is_positional else range(1, context + 1), causal):
        size = len(text)
        columns = dict(zip(nodes, zip(*text, strict=True), strict=True)) if nodes else {}
        selected = np.zeros((size, size), dtype=bool)  # [destination, source]
        for case in sources.cases:
            held = np.ones((size, size), dtype=bool)
            for match in case:
                held &= holding(match, columns[match.key], columns[match.query])
            selected |= held
        fewest = np.tril(selected).sum(axis=1) if is_positional else selected.sum(axis=1)
        greatest = fewest if causal else selected.sum(axis=1)
        least[:size] = np.minimum(least[:size], fewest)
        most[:size] = np.maximum(most[:size], greatest)
    least[most < 0], most[most < 0] = 1, 1
    return least, most


def _texts(
    nodes: Sequence[Node], below: Sequence[Node], lengths: Iterable[int], causal: bool
) -> Iterator[list[tuple[Value, ...]]]:
    """For texts of some lengths, at every position the values of nodes that need no tokens.

    A text ends before the first position that an assumption excludes.
    """
    known = dict(rows(nodes, below))
    for length in lengths:
        text: list[tuple[Value, ...]] = []
        for here in range(length):
            seen = here + 1 if causal else length
            row = known.get(tuple([here if is_position(base) else seen for base in below]))
            if row is None:
                break
            text.append(row)
        if text:
            yield text


def _are_known_without_text(below: Sequence[Node]) -> bool:
    """Whether all are the position, or the number of positions that are seen, and few enough."""
    sizes = [len(base.domain.values) for base in below if isinstance(base.domain, Finite)]
    known = all(is_position(base) or _is_length(base) for base in below)
    return known and len(sizes) == len(below) and prod(sizes) <= BASES_UP_TO


def _is_length(node: Node) -> bool:
    return isinstance(node, Aggregate) and node.how == "count" and node.sources.cases == ((),)


# -- rank -------------------------------------------------------------------------------------------


def _takes_a_rank(sources: Sources, context: int, causal: bool) -> bool:
    """Whether the keys of a text are consecutive numbers, and every query is one of them."""
    match sources.cases:
        case ((Match(key=key, query=query, relation=Comparison.EQ),),):
            first = _first_rank(key, context, causal)
            return first is not None and _is_within(query, first, context, causal)
    return False


def _first_rank(node: Node, context: int, causal: bool) -> int | None:
    """The smallest value, where those of a text are consecutive: ranks, counted by what is below."""
    if is_position(node):
        return 0
    ranked = _ranked(node, causal)
    if ranked is None or not _is_distinct(ranked[0], context, causal):
        return None
    return 0 if ranked[1] in (Comparison.LT, Comparison.GT) else 1


def _ranked(node: Node, causal: bool) -> tuple[Node, Comparison] | None:
    """The keys of which a count is the rank, and the order; None where it is no rank."""
    if causal or not isinstance(node, Aggregate) or node.how != "count":
        return None
    match node.sources.cases:
        case ((Match(key=key, query=query, relation=Comparison() as relation),),) if key == query:
            is_order = relation not in (Comparison.EQ, Comparison.NEQ)
            return (key, relation) if is_order else None
    return None


def _is_within(query: Node, first: int, context: int, causal: bool) -> bool:
    """Whether a query is one of the numbers from `first` on, as many as there are tokens."""
    parts = _parts(query, context)
    if parts is not None:
        return _is_sum_within(*parts, first, causal=causal)
    below = bases(query)
    if not _are_known_without_text(below):
        return False
    ends_anywhere = causal or all(map(is_position, below))
    lengths = [context] if ends_anywhere else range(1, context + 1)
    return all(
        value in range(first, first + (here + 1 if ends_anywhere else len(text)))
        for text in _texts((query,), below, lengths, causal)
        for here, (value,) in enumerate(text)
    )


def _parts(query: Node, context: int) -> tuple[list[int], list[int]] | None:
    """Whole numbers for each position and for each length, of which the query is the sum.

    None where a term depends on both or on tokens, is not whole, or is excluded by an assumption.
    """
    if not isinstance(query, Linear) or not isinstance(query.constant, int):
        return None
    of_position, of_length = [0] * context, [query.constant] * context
    for factor, node in query.terms:
        below = bases(node)
        if len(below) != 1 or not _are_known_without_text(below):
            return None
        numbers = [factor * as_number(value) for _, (value,) in rows([node], below)]
        whole = [number for number in numbers if isinstance(number, int)]
        if len(whole) != context:
            return None
        total = of_position if is_position(below[0]) else of_length
        total[:] = map(add, total, whole)
    return of_position, of_length


def _is_sum_within(
    of_position: Sequence[int], of_length: Sequence[int], first: int, *, causal: bool
) -> bool:
    """Whether a sum of two parts is one of the numbers from `first` on, whatever the length.

    Only the positions with the smallest and with the largest number matter, and with a causal mask only
    the last position.
    """
    least = of_position if causal else accumulate(of_position, min)
    greatest = of_position if causal else accumulate(of_position, max)
    return all(
        low + number >= first and high + number <= first + last
        for last, (low, high, number) in enumerate(zip(least, greatest, of_length, strict=True))
    )


# -- apart ------------------------------------------------------------------------------------------


def _is_apart(sources: Sources, context: int, causal: bool) -> bool:
    """Whether one condition is true of one source at most: its key differs at any two positions."""
    if len(sources.cases) != 1:
        return False
    return any(
        _is_matched_by_one_key(match) and _is_distinct(match.key, context, causal)
        for match in sources.cases[0]
    )


def _is_matched_by_one_key(match: Match) -> bool:
    if isinstance(match.relation, Comparison):
        return match.relation is Comparison.EQ
    queries = [query for _, query in match.relation]
    return len(set(queries)) == len(queries)


def _is_distinct(node: Node, context: int, causal: bool) -> bool:
    """Whether any two positions of a text have different values."""
    while not (is_position(node) or _separates(node)):
        match node:
            case Linear(terms=((factor, inner),)) if factor:
                node = inner
            case Lookup(arguments=(inner,), table=table) if len(set(table.values())) == len(table):
                node = inner
            case _:
                ranked = _ranked(node, causal)
                if ranked is None:
                    return False
                node = ranked[0]
    return True


def _separates(node: Node) -> bool:
    """Whether its value, computed partly from the position, differs at any two positions."""
    positions = [base for base in bases(node) if is_position(base)]
    is_listed = positions and isinstance(node.domain, Finite)
    pairs = combinations([positions[0], node]) if is_listed else None
    return pairs is not None and len({value for _, value in pairs}) == len(pairs)
