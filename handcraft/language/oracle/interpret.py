"""The oracle of expressions: what they mean on one text, in plain Python with exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

from handcraft.errors import AssumptionError
from handcraft.language.graph.domain import Value, as_number, show_value, whole
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    Case,
    Constant,
    Embedded,
    Lookup,
    Node,
    walk,
)
from handcraft.language.graph.reachable import compute

Values = tuple[Value, ...]


Special: TypeAlias = Callable[[Node, int, dict[Node, Values], bool], Values | None]
"""The values of a node of another kind, None of a known one.

Given the node, the length of the text, the values of its children, and whether there is a mask.
"""


def interpret(
    nodes: Sequence[Node], tokens: Sequence[str], *, causal: bool, values: Special | None = None
) -> list[Values]:
    """The values of nodes at every position of a text; what they share is computed once.

    Raises:
        AssumptionError: the text breaks an assumption; it says which, where and with which value.
    """
    known = interpret_in(walk(*nodes), tokens, causal=causal, values=values)
    return [known[node] for node in nodes]


def interpret_in(
    order: Iterable[Node], tokens: Sequence[str], *, causal: bool, values: Special | None = None
) -> Mapping[Node, Values]:
    """As `interpret`, for nodes of which each comes after its children, as `walk` orders them."""
    known: dict[Node, Values] = {}
    for node in order:
        found = values(node, len(tokens), known, causal) if values is not None else None
        known[node] = _values(node, tokens, known, causal) if found is None else found
    return known


def _values(node: Node, tokens: Sequence[str], known: dict[Node, Values], causal: bool) -> Values:
    match node:
        case Embedded():
            return tuple(tokens) if node.of == "token" else tuple(range(len(tokens)))
        case Constant():
            return (node.value,) * len(tokens)
        case Aggregate():
            return _aggregate(node, len(tokens), known, causal)
    columns = [known[child] for child in node.children]
    if isinstance(node, Lookup):
        return tuple(map(node.table.__getitem__, zip(*columns, strict=True)))
    if isinstance(node, Assumed):
        for place, value in enumerate(columns[0]):
            if value not in node.domain:
                raise AssumptionError(
                    f"`{node.value}` is {show_value(value)} at position {place} of "
                    f"{' '.join(map(str, tokens))!r}, and {node.domain} is assumed",
                    where=f"{node.place}, {node}" if node.place else node,
                    fix="assume more values, or exclude that prompt with inputs=",
                )
        return columns[0]
    return tuple([compute(node, row) for row in zip(*columns, strict=True)])


def _aggregate(node: Aggregate, length: int, known: dict[Node, Values], causal: bool) -> Values:
    answers: list[Value] = []
    for chosen in selected(node.sources.cases, length, known, causal):
        if node.how == "count":
            answers.append(len(chosen))
        elif node.how == "exists":
            answers.append(bool(chosen))
        else:
            assert node.value is not None
            answers.append(_aggregated(node, [known[node.value][there] for there in chosen]))
    return tuple(answers)


def _aggregated(node: Aggregate, values: Sequence[Value]) -> Value:
    if not values:
        return node.default
    if node.how == "mean":
        return whole(Fraction(sum(as_number(v) for v in values)) / len(values))
    return values[-1] if node.how == "latest" else values[0]


def selected(
    cases: Sequence[Case], length: int, known: Mapping[Node, Values], causal: bool
) -> list[list[int]]:
    """For every destination the sources that it selects, in order."""
    found = [0] * length  # a set of sources as bits
    for case in cases:
        chosen = [(1 << length) - 1] * length
        for match in case:
            keys, queries = known[match.key], known[match.query]
            where: dict[Value, int] = {}
            for there, key in enumerate(keys):
                where[key] = where.get(key, 0) | 1 << there
            fits = {
                query: sum(at for key, at in where.items() if match.holds(key, query))
                for query in set(queries)
            }
            chosen = [left & fits[query] for left, query in zip(chosen, queries, strict=True)]
        found = [some | more for some, more in zip(found, chosen, strict=True)]
    return [
        [there for there in range(here + 1 if causal else length) if sources >> there & 1]
        for here, sources in enumerate(found)
    ]
