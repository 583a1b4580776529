"""All passes over trees, in order, and the tree after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.fuse import fuse
from handcraft.compiler.passes.ir import note_slots
from handcraft.compiler.passes.lower_aggregates import lower_aggregates
from handcraft.compiler.stage import Stage
from handcraft.language.graph.node import Aggregate, Node, is_token, walk
from handcraft.limits import DEPTH

Pass = Callable[[Sequence[Node], Setting], list[Node]]

BEFORE_TABLES: Mapping[str, Pass] = {
    "fold and share": lambda nodes, _: rebuild(nodes),
    "lower aggregates": lower_aggregates,
}
"""The first passes over trees, in order. Each keeps every value at every position."""

TABLES: Mapping[str, Pass] = {"fuse tables": fuse}
"""The passes after which nothing is left but what becomes heads and neurons."""

PASSES = {**BEFORE_TABLES, **TABLES}
"""All passes over trees, in order."""

AS_WRITTEN = "as written"
"""The stage before all passes."""


def run_passes(
    nodes: list[Node], setting: Setting, passes: Mapping[str, Pass] = PASSES
) -> tuple[Stage, ...]:
    """The trees as they are and after each pass.

    Raises:
        LimitError: heads read from heads in more blocks than are made.
    """
    _check_written_depth(nodes)
    stages = tuple(each_stage(nodes, setting, passes))
    _check_depth(stages[-1].nodes)
    return stages


def each_stage(
    nodes: list[Node], setting: Setting, passes: Mapping[str, Pass] = PASSES
) -> Iterator[Stage]:
    """The trees as they are and after each pass; a pass runs when its stage is asked for."""
    yield Stage(AS_WRITTEN, tuple(nodes))
    for name, run in passes.items():
        nodes = run(nodes, setting)
        yield Stage(name, tuple(nodes))


def _check_written_depth(nodes: Sequence[Node]) -> None:
    """Raise before any pass where twice as many blocks are written as are made.

    Passes make a chain shorter only where links of it change nothing; those that depend on the position
    alone may become tables, and do not count here.

    Raises:
        LimitError: how many blocks the deepest expression takes, one for each time it looks elsewhere.
    """
    chains: dict[Node, int] = {}
    reads_token: dict[Node, bool] = {}
    for node in walk(*nodes):
        reads_token[node] = is_token(node) or any(reads_token[child] for child in node.children)
        before = max((chains[child] for child in node.children), default=0)
        chains[node] = before + (isinstance(node, Aggregate) and reads_token[node])
    deepest = max(nodes, key=chains.__getitem__)
    if chains[deepest] > 2 * DEPTH.most:
        _check_blocks(deepest, chains[deepest])


def _check_depth(nodes: Sequence[Node]) -> None:
    """Raise where heads read from heads in more blocks than are made.

    Raises:
        LimitError: how many it would take, for the deepest expression.
    """
    slots: dict[Node, int] = {}
    deepest = max(nodes, key=lambda node: note_slots(node, slots))
    _check_blocks(deepest, (slots[deepest] + 1) // 2)


def _check_blocks(deepest: Node, blocks: int) -> None:
    DEPTH.check(
        blocks,
        where=f"{deepest.place}, {deepest}" if deepest.place else deepest,
        fix="read several positions back at once, as .at(-3) does",
    )
