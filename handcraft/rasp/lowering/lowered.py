"""A lowered RASP sequence: a value at every position, and a flag for whether it exists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import product

from handcraft.errors import DomainError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Finite, Kind, Value, as_number
from handcraft.language.graph.node import Constant, Match, Node, Pairs, Sources
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.sequences import Comparison as Compared
from handcraft.rasp.rasp_node import Node as Named
from handcraft.rasp.selector import Comparison, Select
from handcraft.rasp.sequence import SOp


@dataclass(frozen=True)
class Lowered:
    """A value and whether it counts.

    Args:
        value: a value at every position; where there is none, any of those that it can have.
        present: a flag, whether there is one; None where there always is.
    """

    value: Node
    present: Node | None = None


NEVER = pointwise.constant(False)
"""The flag of what is at no position."""


def absent() -> Lowered:
    """What has no value anywhere."""
    return Lowered(pointwise.constant(0), NEVER)


def all_present(flags: Iterable[Node | None]) -> Node | None:
    """The conjunction of some flags; None if it is always true."""
    listed = list(dict.fromkeys(flag for flag in flags if flag is not None))
    if any(is_never(flag) for flag in listed):
        return NEVER
    kept = [flag for flag in listed if pointwise.listed(flag) != (True,)]
    return reduce(pointwise.both, kept) if kept else None


def is_never(flag: Node | None) -> bool:
    """Whether a flag is never true."""
    return flag is not None and pointwise.listed(flag) == (False,)


def is_label(node: Node) -> bool:
    """Whether its values are labels, which are neither added nor ordered."""
    return node.domain.kind is Kind.CATEGORY


def as_numbers(node: Node) -> Node:
    """Flags as 0 and 1; numbers as they are."""
    if node.domain.kind is not Kind.FLAG:
        return node
    if isinstance(node, Constant):
        return pointwise.constant(int(as_number(node.value)))
    return pointwise.lookup({False: 0, True: 1}, (node,), reads("number(", node, ")"))


def check_listed(nodes: Iterable[Node], reader: Named) -> None:
    """Raise unless the values of all nodes are few enough for a table.

    Raises:
        DomainError: they are not.
    """
    for node in nodes:
        if not isinstance(node.domain, Finite):
            raise DomainError(
                f"`{reader}` takes a table, and `{node}` has too many values: "
                f"from {node.domain.low} to {node.domain.high}",
                where=reader.where,
                fix="compare it with a number first, or build with a smaller max_length",
            )


def is_constant(node: Node) -> bool:
    """Whether it is the same value everywhere."""
    return isinstance(node, Constant)


def described(found: Lowered, children: Iterable[Lowered], sop: SOp) -> Lowered:
    """What a sequence becomes, under its name and place unless its children gave it others."""
    old = {node for child in children for node in (child.value, child.present)}
    value, present = found.value, found.present
    if value not in old and value.children:
        value = value.called(sop.text, sop.place)
    if present is not None and present not in old and present.place is None:
        present = present.called(reads(f"present({sop})"), sop.place)
    return Lowered(value, present)


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
