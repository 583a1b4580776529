"""Values that one expression of the source made in a loop, as one box of a picture."""

from __future__ import annotations

import linecache
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from handcraft.language.graph.node import Node
from handcraft.origin import Place

TOGETHER = 3
"""So many rules or values that one expression made are one box."""


@dataclass(frozen=True)
class Alike:
    """Values that one expression made, each with another value of a loop's variable."""

    members: tuple[Node, ...]


Box: TypeAlias = Node | Alike
"""What has a box in a picture."""


def boxes_of(reads: Mapping[Node, Sequence[Node]]) -> dict[Node, Box]:
    """The box of each value: its own, or one that it shares with what the same expression made.

    Values share a box only where none of them is computed from another, directly or by other boxes:
    the boxes have an order, as the values have.

    Args:
        reads: for each value those that it is computed from.
    """
    box: dict[Node, Box] = {node: node for node in reads}
    made: dict[tuple[Place, type[Node]], list[Node]] = {}
    for node in reads:
        if node.place is not None:
            made.setdefault((node.place, type(node)), []).append(node)
    for members in made.values():
        if len(members) >= TOGETHER:
            tried = box | dict.fromkeys(members, Alike(tuple(members)))
            if _has_order(reads, tried):
                box = tried
    return box


def _has_order(reads: Mapping[Node, Sequence[Node]], box: Mapping[Node, Box]) -> bool:
    """Whether every box can come after those that it reads."""
    needs: dict[Box, set[Box]] = {}
    for node, read in reads.items():
        needs.setdefault(box[node], set()).update(box[each] for each in read)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return False
    return True


def source_line(place: Place | None) -> str:
    """The line in which something was written, without its indentation; "" where it is not known."""
    return "" if place is None else linecache.getline(place.file, place.line).strip()
