"""Facts about a selection that hold for every text: how many sources each destination selects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from handcraft.language.graph.domain import Finite, Value
from handcraft.language.graph.node import (
    Aggregate,
    Comparison,
    Linear,
    Lookup,
    Match,
    Node,
    Sources,
    is_position,
)
from handcraft.language.graph.reachable import bases, combinations, rows

PAIRS_UP_TO = 50_000
"""The most pairs of positions that are tried for a selection that depends on positions only."""


@dataclass(frozen=True)
class Facts:
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


def facts_of(sources: Sources, context: int, causal: bool) -> Facts:
    """What can be proved of a selection."""
    if sources.always:
        exists: tuple[bool, ...] | None = (True,) * context
    elif _selects_by_rank(sources, context, causal):
        exists = (True,) * context
    else:
        exists = None
    counted = _counted(sources, context, causal)
    if counted is None:
        return Facts(_is_single(sources, context, causal), exists)
    return Facts(
        all(count <= 1 for counts in counted for count in counts), exists or _by_position(counted)
    )


def _by_position(counted: list[list[int]]) -> tuple[bool, ...] | None:
    """Whether a position selects any source, where that is the same in texts of every length."""
    kinds = [{count > 0 for count in counts} for counts in counted]
    return tuple(True in kind for kind in kinds) if all(len(kind) == 1 for kind in kinds) else None


def _counted(sources: Sources, context: int, causal: bool) -> list[list[int]] | None:
    """For every position, the number of selected sources in texts of every length that has it.

    None where tokens matter, or where there is too much to try.
    """
    nodes = sources.children
    below = bases(*nodes)
    if not all(map(_is_known_without_text, below)):
        return None
    if causal or all(map(is_position, below)):
        return _counted_once(sources, context, causal)
    if context**3 // 3 > PAIRS_UP_TO:
        return None
    found: list[list[int]] = [[] for _ in range(context)]
    for text in _values(nodes, range(1, context + 1), causal=False):
        for here, row in enumerate(text):
            found[here].append(sum(_selects(sources, row, there) for there in text))
    return found


def _counted_once(sources: Sources, context: int, causal: bool) -> list[list[int]] | None:
    """The same where the length decides of no pair of positions."""
    if context**2 > PAIRS_UP_TO:
        return None
    (text,) = _values(sources.children, [context], causal)
    found = []
    for here, row in enumerate(text):
        counts = list(accumulate(int(_selects(sources, row, there)) for there in text))
        found.append(counts[here : here + 1] if causal else counts[here:])
    return found


def _selects(sources: Sources, here: dict[Node, Value], there: dict[Node, Value]) -> bool:
    return sources.holds(lambda node, is_key: (there if is_key else here)[node])


def _values(
    nodes: tuple[Node, ...], lengths: Iterable[int], causal: bool
) -> Iterator[list[dict[Node, Value]]]:
    """For texts of some lengths, at every position the values of nodes that need no tokens."""
    below = bases(*nodes)
    known = dict(rows(nodes, below))
    for length in lengths:
        seen = [here + 1 if causal else length for here in range(length)]
        keys = [
            tuple([here if is_position(base) else seen[here] for base in below])
            for here in range(length)
        ]
        yield [dict(zip(nodes, known[key], strict=True)) for key in keys]


def _is_known_without_text(node: Node) -> bool:
    """Whether it is the position, or the number of positions that are seen."""
    is_length = isinstance(node, Aggregate) and node.how == "count" and node.sources.cases == ((),)
    return is_length or is_position(node)


def _is_single(sources: Sources, context: int, causal: bool) -> bool:
    """Whether one condition is true of one source at most: its key differs at any two positions."""
    if len(sources.cases) != 1:
        return False
    return any(
        _is_matched_by_one_key(match) and _is_distinct(match.key, context, causal)
        for match in sources.cases[0]
    )


def _is_matched_by_one_key(match: Match) -> bool:
    if match.relation is Comparison.EQ:
        return True
    if isinstance(match.relation, Comparison):
        return False
    queries = [query for _, query in match.relation]
    return len(set(queries)) == len(queries)


def _is_distinct(node: Node, context: int, causal: bool) -> bool:
    """Whether any two positions of a text have different values."""
    while not (is_position(node) or _separates(node, context)):
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


def _separates(node: Node, context: int) -> bool:
    """Whether its value, computed partly from the position, differs at any two positions."""
    positions = [base for base in bases(node) if is_position(base)]
    if not positions or not isinstance(node.domain, Finite):
        return False
    pairs = combinations([positions[0], node])
    if pairs is None:
        return False
    positions_of: dict[Value, set[Value]] = {}
    for position, value in pairs:
        positions_of.setdefault(value, set()).add(position)
    return all(len(found) == 1 for found in positions_of.values())


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


def _selects_by_rank(sources: Sources, context: int, causal: bool) -> bool:
    """Whether keys are ranks, and every query is the rank of some position of the same text."""
    match sources.cases:
        case ((Match(key=key, query=query, relation=Comparison.EQ),),):
            first = None if causal else _first_rank(key, context, causal)
        case _:
            return False
    if first is None or context**2 > PAIRS_UP_TO or not all(map(_is_known_without_text, bases(query))):
        return False
    texts = _values((query,), range(1, context + 1), causal)
    return all(row[query] in range(first, first + len(text)) for text in texts for row in text)
