"""The passes over graphs: the list of them, what each preserves, and running them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import (
    Attend,
    Equal,
    IsBegin,
    IsText,
    Nearest,
    StepFunction,
    WeightedSum,
    note_slots,
)
from handcraft.compiler.passes.tables.fuse import fuse
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
LOWERED: Nodes = (Embedded, *POINTWISE, Attend, StepFunction, Equal, IsText, IsBegin)


@dataclass(frozen=True)
class GraphPass:
    """A pass over graphs, with its contract.

    Args:
        name: of the pass, and of the stage that it makes.
        after: the precondition: the name of the stage whose graphs it takes.
        keeps: the contract, in words: what is the same before and after it.
        leaves: the kinds of nodes that its result may contain.
        run: takes the results of a graph and returns those of the next one. It raises a CompileError
            for a graph that it cannot lower.
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
"""Every pass by its name. `approximate` takes the answer of a program, the others any graph."""

BEFORE_TABLES = ("fold and share", "lower aggregates")
"""The passes that turn selections into heads."""

TABLES = ("fuse tables",)
"""The passes that turn tables into step functions. Every node is then a head or neurons."""


def passes_to(name: str) -> tuple[str, ...]:
    """The names of the passes that make a stage, in order; empty for the graph as it was written."""
    found: list[str] = []
    while name != AS_WRITTEN:
        found.append(name)
        name = PASSES[name].after
    return tuple(reversed(found))


def run_passes(
    nodes: list[Node], setting: Setting, passes: Sequence[str] = (*BEFORE_TABLES, *TABLES)
) -> tuple[Stage, ...]:
    """Run passes, and keep the graph before the first and after each of them.

    Raises:
        LimitError: a chain of heads, each reading the one before, needs more blocks than the limit.
    """
    _check_written_depth(nodes)
    stages = tuple(each_stage(nodes, setting, passes))
    _check_depth(stages[-1].nodes)
    return stages


def each_stage(
    nodes: list[Node], setting: Setting, passes: Sequence[str] = (*BEFORE_TABLES, *TABLES)
) -> Iterator[Stage]:
    """The same one stage at a time; a pass runs when the iterator reaches its stage."""
    yield Stage(AS_WRITTEN, tuple(nodes))
    for name in passes:
        nodes = PASSES[name](nodes, setting)
        yield Stage(name, tuple(nodes))


def _check_written_depth(nodes: Sequence[Node]) -> None:
    """Refuse, before any pass runs, an expression that needs twice as many blocks as the limit.

    Passes over such a graph would take long, and it would be refused after them. They shorten a chain
    only where some of its links change nothing. Links that depend on the position alone may become
    tables, and are not counted.

    Raises:
        LimitError: with the number of blocks of the deepest expression, one for each selection in it.
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
    """Refuse a graph in which a chain of heads needs more blocks than the limit.

    Raises:
        LimitError: with the number of blocks of the deepest expression.
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
