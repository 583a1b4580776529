"""The conditions of a rule: the flags that must all be true where it fires, and what each reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from handcraft.language.graph.domain import FLAGS, Kind
from handcraft.language.graph.node import (
    Aggregate,
    AtLeast,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Node,
)

READS = 4
"""How many values that a condition reads are shown with it."""

AND = {(one, other): one and other for one in (False, True) for other in (False, True)}
"""The table of the conjunction of two flags."""

SHORT = 40
"""The most characters of the text of an expression without a name that is shown as read."""


@dataclass(frozen=True, eq=False)
class MeantCondition:
    """One of the flags that must all be true where a rule fires.

    Args:
        text: how it reads. Another rule may read the same flag under another name.
        node: the flag.
        reads: the values that it reads at its own position, by name.
    """

    text: str
    node: Node
    reads: Mapping[str, Node]


def conditions_of(flag: Node | None) -> tuple[MeantCondition, ...]:
    """The conditions whose conjunction is a flag; none of a rule that always fires, which has none."""
    found = []
    for node in () if flag is None else _conjuncts(flag):
        reads = {str(each): each for each in _read_here(node)}
        found.append(MeantCondition(str(node), node, dict([*reads.items()][:READS])))
    return tuple(found)


def _conjuncts(flag: Node) -> Iterator[Node]:
    """The flags whose conjunction is a flag; one that has a name is not taken apart."""
    waiting = [flag]
    while waiting:
        node = waiting.pop()
        parts = () if node.text.definition is not None else _of_conjunction(node)
        if parts:
            waiting += reversed(parts)
        else:
            yield node


def _of_conjunction(node: Node) -> Sequence[Node]:
    """The flags that all must be true where a flag is: of a table, or of a sum that reaches its bound.

    None where it is no conjunction.
    """
    if isinstance(node, AtLeast) and isinstance(node.number, Linear):
        added = node.number
        is_of_flags = all(factor == 1 and each.domain.kind is Kind.FLAG for factor, each in added.terms)
        is_all = node.bound - added.constant == len(added.terms)
        return added.children if is_of_flags and is_all and added.text.definition is None else ()
    if isinstance(node, Lookup) and len(node.arguments) == 2:
        is_of_flags = all(each.domain == FLAGS for each in node.arguments)
        if is_of_flags and dict(node.table) == AND:
            return node.arguments
    return ()


def _read_here(node: Node) -> Iterator[Node]:
    """The nearest values with a short text that a node reads at its own position."""
    waiting = [node]
    while waiting:
        reader = waiting.pop()
        if isinstance(reader, Aggregate):
            continue  # it reads other positions
        for child in reversed(reader.children):
            if isinstance(child, Constant):
                continue
            is_named = child.text.definition is not None or isinstance(child, Embedded)
            if is_named or (isinstance(child, Aggregate) and child.text.size <= SHORT):
                yield child
            else:
                waiting.append(child)
