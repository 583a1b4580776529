"""All passes over graphs in one list, each with its contract, and the graph after each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.fuse import fuse
from handcraft.compiler.passes.ir import Attend, Equal, Nearest, StepFunction, WeightedSum, note_slots
from handcraft.compiler.passes.lower_aggregates import lower_aggregates
from handcraft.compiler.stage import Stage
from handcraft.language.graph.node import (
    Aggregate,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Node,
    is_token,
    walk,
)
from handcraft.language.graph.reachable import POINTWISE
from handcraft.limits import DEPTH

AS_WRITTEN = "as written"
"""The stage before all passes."""

Nodes = tuple[type[Node], ...]

EXPRESSIONS: Nodes = (Embedded, *POINTWISE, Aggregate)
LOWERED: Nodes = (Embedded, *POINTWISE, Attend, StepFunction, Equal)


@dataclass(frozen=True)
class GraphPass:
    """A pass over graphs, with its contract.

    Args:
        name: of the pass, and of the stage after it.
        after: its precondition: the stage that it is for.
        keeps: its contract: what no graph loses by it.
        leaves: the kinds of nodes that may be left after it.
        run: from the results of a graph to those of the next one. It raises a CompileError where the
            precondition is not enough.
    """

    name: str
    after: str
    keeps: str
    leaves: Nodes
    run: Callable[[Sequence[Node], Setting], list[Node]]

    def __call__(self, nodes: Sequence[Node], setting: Setting) -> list[Node]:
        """Run the pass, and check what it leaves.

        Raises:
            TypeError: a node of another kind is left.
        """
        made = self.run(nodes, setting)
        for node in walk(*made):
            if not isinstance(node, self.leaves):
                raise TypeError(f"the pass {self.name!r} leaves {type(node).__name__}: {node}")
        return made


def _approximate(nodes: Sequence[Node], setting: Setting) -> list[Node]:
    from handcraft.compiler.ordinal.approximate import approximate  # what few programs need

    return approximate(nodes, setting)


EVERY_VALUE = "every value at every position of every allowed text"

PASSES = {
    each.name: each
    for each in (
        GraphPass(
            "fold and share", AS_WRITTEN, EVERY_VALUE, EXPRESSIONS, lambda nodes, _: rebuild(nodes)
        ),
        GraphPass(
            "lower aggregates",
            "fold and share",
            EVERY_VALUE,
            LOWERED,
            lower_aggregates,
        ),
        GraphPass(
            "fuse tables",
            "lower aggregates",
            EVERY_VALUE,
            LOWERED,
            fuse,
        ),
        GraphPass(
            "approximate",
            "fold and share",
            "every answer after an allowed prompt; its number is within the error bound",
            (Nearest, Linear, WeightedSum, StepFunction, Lookup, Embedded, Constant),
            _approximate,
        ),
    )
}
"""All passes over graphs. `approximate` is for the answer of a program, the others for any graph."""

BEFORE_TABLES = ("fold and share", "lower aggregates")
"""The passes after which selections are heads."""

TABLES = ("fuse tables",)
"""The passes after which nothing is left but what becomes heads and neurons."""


def passes_to(name: str) -> tuple[str, ...]:
    """The passes that lead from a graph as written to a stage, in order; none to that as written."""
    found: list[str] = []
    while name != AS_WRITTEN:
        found.append(name)
        name = PASSES[name].after
    return tuple(reversed(found))


def run_passes(
    nodes: list[Node], setting: Setting, passes: Sequence[str] = (*BEFORE_TABLES, *TABLES)
) -> tuple[Stage, ...]:
    """The graphs as they are and after each pass.

    Raises:
        LimitError: heads read from heads in more blocks than are made.
    """
    _check_written_depth(nodes)
    stages = tuple(each_stage(nodes, setting, passes))
    _check_depth(stages[-1].nodes)
    return stages


def each_stage(
    nodes: list[Node], setting: Setting, passes: Sequence[str] = (*BEFORE_TABLES, *TABLES)
) -> Iterator[Stage]:
    """The graphs as they are and after each pass; a pass runs when its stage is asked for."""
    yield Stage(AS_WRITTEN, tuple(nodes))
    for name in passes:
        nodes = PASSES[name](nodes, setting)
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
