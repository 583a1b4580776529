"""Which combinations of values can occur together at one position.

Expressions that are computed from the same values hang together: of `token` and `token == "a"` only two
kinds of pairs ever occur. What is computed point by point is followed down to its *bases*: tokens,
positions and what attention brings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from handcraft.language.sequences.domain import Finite, Value, as_number
from handcraft.language.sequences.node import (
    Assumed,
    AtLeast,
    Choice,
    Constant,
    Linear,
    Lookup,
    Node,
)

BASES_UP_TO = 20_000
"""The most combinations of base values that are walked; past it, every combination counts."""

POINTWISE = (Lookup, Linear, AtLeast, Choice, Assumed, Constant)


def is_pointwise(node: Node) -> bool:
    """Whether a node is computed from values at the same position, all of them listed."""
    if not isinstance(node, POINTWISE):
        return False
    return all(isinstance(child.domain, Finite) for child in node.children)


def bases(*nodes: Node) -> tuple[Node, ...]:
    """What the nodes are computed from, point by point; each once."""
    found: dict[int, Node] = {}
    seen: set[int] = set()
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if is_pointwise(node):
            stack += reversed(node.children)
        else:
            found[id(node)] = node
    return tuple(found.values())


def combinations(nodes: Sequence[Node], up_to: int = BASES_UP_TO) -> set[tuple[Value, ...]] | None:
    """The combinations of values of `nodes` that can occur, or None where they are too many to walk.

    Args:
        nodes: expressions with finite domains.
        up_to: the most combinations of base values, or of their own, to walk.
    """
    below = bases(*nodes)
    if all(isinstance(base.domain, Finite) for base in below) and _size(below) <= up_to:
        return {values for _, values in rows(nodes, below)}
    if _size(nodes) > up_to:
        return None
    return set(product(*(_values(node) for node in nodes)))


def rows(
    nodes: Sequence[Node], below: Sequence[Node]
) -> Iterator[tuple[tuple[Value, ...], tuple[Value, ...]]]:
    """For every combination of values of `below` that no assumption excludes, those of `nodes`."""
    for combination in product(*(_values(base) for base in below)):
        known = {id(base): value for base, value in zip(below, combination, strict=True)}
        try:
            yield combination, tuple(value_of(node, known) for node in nodes)
        except _Excluded:
            continue


class _Excluded(Exception):
    """A combination that an assumption or a domain rules out."""


def value_of(node: Node, known: dict[int, Value]) -> Value:
    """The value of a pointwise node, given those of its bases by their `id`; it fills in `known`."""
    if id(node) in known:
        return known[id(node)]
    values = [value_of(child, known) for child in node.children]
    if isinstance(node, Lookup) and tuple(values) not in node.table:
        raise _Excluded
    result = compute(node, values)
    if result not in node.domain:
        raise _Excluded
    known[id(node)] = result
    return result


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
            return plain(total + node.constant)
        case AtLeast():
            return as_number(values[0]) >= node.bound
        case Choice():
            return values[1] if values[0] else values[2]
        case Assumed():
            return values[0]
    raise TypeError(f"{type(node).__name__} is not computed point by point")


def plain(number: Value) -> Value:
    """A fraction that is whole as an integer."""
    value = as_number(number)
    return value.numerator if value.denominator == 1 else value


def _values(node: Node) -> tuple[Value, ...]:
    assert isinstance(node.domain, Finite)
    return node.domain.values


def _size(nodes: Sequence[Node]) -> int:
    return prod(len(_values(node)) for node in nodes)
