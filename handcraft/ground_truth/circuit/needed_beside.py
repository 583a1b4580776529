"""Which edges are needed although none of them is needed alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Edge = TypeVar("Edge")


def needed_beside(
    edges: Sequence[Edge], outside: Sequence[Edge], is_kept: Callable[[Sequence[Edge]], bool]
) -> tuple[list[Edge], list[Edge]]:
    """Divide edges into those that are needed and those that can be patched together with others.

    Two things hold of the result, whatever the model does. Patching all edges that are outside changes
    no answer, if that held at the start. And patching any needed edge beside exactly these changes one:
    so none can be left out alone (1-minimal, as in delta debugging; Zeller and Hildebrandt 2002). That
    an edge is needed beside few others does not decide it, since patching more edges can bring an
    answer back; so edges are tried until all that are left were tried beside the same others.

    There may be several such divisions. Which one is found depends on the order, and another one may
    have fewer needed edges.

    Args:
        edges: are divided.
        outside: are patched in any case.
        is_kept: whether all answers stay when some edges are patched.

    Returns:
        The needed edges, and all that are outside.
    """
    needed, others = list(edges), list(outside)
    last = len(needed) + 1
    while len(needed) < last:
        last = len(needed)
        for edge in tuple(needed):
            if is_kept([*others, edge]):
                needed.remove(edge)
                others.append(edge)
    return needed, others
