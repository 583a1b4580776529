"""Select the latest of many positions by two heads: first its block of positions, then the offset.

bfloat16 rounds scores, so a score that grows with the position distinguishes only so many positions.
The first head finds the latest block with a matching source. Several sources of that block may have the
same score, but they have the same value: the number of their block. The second head selects the source
with the largest offset in that block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, log2

from handcraft.compiler.passes.cases import Setting, names_one_position
from handcraft.compiler.passes.children import with_children
from handcraft.compiler.passes.ir import Attend
from handcraft.language.graph.domain import Value, finite
from handcraft.language.graph.node import Comparison, Lookup, Match, Node, walk
from handcraft.language.graph.wording import reads


def split_positions(roots: Sequence[Node], setting: Setting, most: int) -> list[Node]:
    """The same values, where no head orders more positions than a score can distinguish.

    Args:
        roots: the nodes to compute.
        setting: what is known about the texts.
        most: how many positions a score can distinguish. Up to their square can be split.
    """
    if setting.context <= most:
        return [*roots]
    size = 1 << ceil(log2(setting.context) / 2)
    block = _of_position("block", [i // size for i in range(setting.context)], setting)
    offset = _of_position("offset", [i % size for i in range(setting.context)], setting)
    done: dict[Node, Node] = {}
    for node in walk(*roots):
        fresh = with_children(node, done)
        if isinstance(fresh, Attend) and _is_ordered(fresh, setting):
            text = reads("block of ", node)
            found = replace(fresh, domain=block.domain, text=text, value=block, by=block)
            in_block = Match(block, found, Comparison.EQ)
            fresh = replace(fresh, case=(*fresh.case, in_block), by=offset)
        done[node] = fresh
    return [done[root] for root in roots]


def _of_position(name: str, numbers: Sequence[int], setting: Setting) -> Lookup:
    table: dict[tuple[Value, ...], Value] = {(i,): number for i, number in enumerate(numbers)}
    return Lookup(finite(numbers), reads(f"{name} of position"), (setting.position,), table)


def _is_ordered(node: Attend, setting: Setting) -> bool:
    """Whether the position decides between several matching sources."""
    return node.picks != "mean" and not node.unique and not names_one_position(node.case, setting)
