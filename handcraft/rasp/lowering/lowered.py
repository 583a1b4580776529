"""A lowered RASP sequence: a value at every position, and a flag for whether it exists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from handcraft.errors import DomainError
from handcraft.language.graph import pointwise
from handcraft.language.graph.domain import Finite, Kind, as_number
from handcraft.language.graph.node import Constant, Node
from handcraft.language.graph.wording import reads
from handcraft.rasp.node import Node as Named
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


def check_listed(nodes: Iterable[Node], asking: Named) -> None:
    """Raise unless the values of all nodes are few enough for a table.

    Raises:
        DomainError: they are not.
    """
    for node in nodes:
        if not isinstance(node.domain, Finite):
            raise DomainError(
                f"`{asking}` takes a table, and `{node}` has too many values: "
                f"from {node.domain.low} to {node.domain.high}",
                where=asking.where,
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
