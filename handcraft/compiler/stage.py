"""The results of passes: graphs, and a note from each optimizing pass."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.display import short_repr
from handcraft.language.graph.node import Node, walk


@short_repr
@dataclass(frozen=True)
class Stage:
    """The trees after one pass.

    Args:
        name: of the pass.
        nodes: a tree for every output, in order.
    """

    name: str
    nodes: tuple[Node, ...]

    @property
    def size(self) -> int:
        """How many expressions there are."""
        return sum(1 for _ in walk(*self.nodes))


@dataclass(frozen=True)
class Pass:
    """What a pass did, and the obligation that was proved for it.

    Args:
        name: of the pass.
        did: what it did.
        proved: the obligation, with the numbers that discharge it.
    """

    name: str
    did: str
    proved: str
