"""Lowers selectors to conditions on a key at the source and a query at the destination."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Finite, Kind, Value
from handcraft.language.graph.node import Match, Node, Pairs, Sources
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.sequences import Comparison as Compared
from handcraft.rasp.lowering.lowered import Lowered, check_listed, is_never
from handcraft.rasp.selector import Comparison, Select

ALWAYS = pointwise.constant(True)


def lower_select(selector: Select, keys: Lowered, queries: Lowered) -> Sources:
    """The relation of a key and a query, both of which must be there.

    Raises:
        DomainError: the two cannot be compared, or have too many values.
    """
    if is_never(keys.present) or is_never(queries.present):
        return nothing(selector.text)
    found = _related(selector, keys.value, queries.value)
    for key, query in ((keys.present, ALWAYS), (ALWAYS, queries.present)):
        if key is not None and query is not None:
            found = attend.intersection(found, attend.matching(key, query, "==", reads("")))
    return found


def nothing(text: Wording) -> Sources:
    """A selection of no source."""
    return Sources((), text, always=False)


def _related(selector: Select, key: Node, query: Node) -> Sources:
    comparison = selector.predicate
    if comparison is Comparison.TRUE:
        return attend.everything()
    if comparison is Comparison.FALSE:
        return nothing(reads(""))
    check_listed((key, query), selector)
    if isinstance(comparison, Comparison) and _both_numbers(key, query):
        return attend.matching(key, query, comparison.value, selector.text)
    found = attend.matching(key, query, selector.relates, selector.text)
    return _simplified(found.cases[0][0], found)


def _simplified(match: Match, found: Sources) -> Sources:
    """A table of pairs as nothing, as everything or as a comparison, where it is one."""
    assert not isinstance(match.relation, Compared)
    keys, queries = pointwise.listed(match.key), pointwise.listed(match.query)
    if not match.relation:
        return nothing(reads(""))
    if len(match.relation) == len(keys) * len(queries):
        return attend.everything()
    for comparison in _possible(match.key, match.query):
        if match.relation == _pairs(keys, queries, comparison):
            return attend.matching(match.key, match.query, comparison.value, found.text)
    return found


def _pairs(keys: Iterable[Value], queries: Iterable[Value], comparison: Compared) -> Pairs:
    return frozenset(pair for pair in product(keys, queries) if comparison.holds(*pair))


def _possible(key: Node, query: Node) -> tuple[Compared, ...]:
    """The comparisons that key and query allow."""
    if _both_numbers(key, query):
        return tuple(Compared)
    one, other = key.domain, query.domain
    assert isinstance(one, Finite)
    assert isinstance(other, Finite)
    if one.kind is not other.kind:
        return ()
    known = len(one.values) > 1 and len(other.values) > 1
    shared = any(value in other for value in one.values)
    return (Compared.EQ, Compared.NEQ) if known or shared else ()


def _both_numbers(key: Node, query: Node) -> bool:
    return key.domain.kind is Kind.NUMBER and query.domain.kind is Kind.NUMBER
