"""Which source must be decided so that nodes of the program have one value, and for which reader.

In a proof by cases, nodes have sets of possible values. A node is undecided if its set has several. The
proof then divides a source into cases, by what the reader of the source distinguishes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import numpy.typing as npt

from handcraft_check.program.evaluate import Evaluated, Evaluator, results_of
from handcraft_check.program.nodes import Node

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def blamed(evaluator: Evaluator, found: Evaluated, wanted: Mapping[int, Flags]) -> tuple[Ids, Ids]:
    """The source that must be decided so that nodes have one value, and its reader: [row] each.

    The search starts at the wanted nodes, and follows the nodes with several values that they read. If
    no source helps, both are -1.
    """
    need = undecided(evaluator, found.numbers, wanted, found.own)
    chosen, reader = np.full((2, len(next(iter(found.numbers.values())))), -1)
    for number in sorted(need.keys() & found.blame.keys(), reverse=True):
        source = found.blame[number]
        is_here = need[number] & (source >= 0)
        chosen, reader = np.where(is_here, source, chosen), np.where(is_here, number, reader)
    return chosen, reader


def undecided(
    evaluator: Evaluator,
    numbers: Mapping[int, Ids],
    wanted: Mapping[int, Flags],
    own: Mapping[int, Flags],
) -> dict[int, Flags]:
    """The undecided nodes: those wanted, and the nodes with several values that they read.

    Args:
        evaluator: evaluates the nodes.
        numbers: for each node, the number of its set of values: [row]; a node that is left out has one.
        wanted: in which rows a node should have one value: [row] each.
        own: for each aggregate, in which rows it may read its own position: [row]; all, if left out.
    """
    need = {number: flags.copy() for number, flags in wanted.items()}
    for number in reversed(evaluator.needed):
        if number not in need:
            continue
        node, here = evaluator.nodes[number], need[number]
        for read in node.here | node.elsewhere:
            if read in numbers:
                several = here & ~evaluator.sets[read].single[numbers[read]]
                if number in own and read not in node.here:
                    several &= own[number]
                if node.op == "choice" and node.of.count(read) == 1 and node.of[0] in numbers:
                    several &= ~_is_left(evaluator, node, read, numbers)
                need[read] = need[read] | several if read in need else several
    return need


def _is_left(evaluator: Evaluator, node: Node, read: int, numbers: Mapping[int, Ids]) -> Flags:
    """In which rows a choice certainly takes its other branch, and not `read`: [row]."""
    flag, yes, _ = node.of
    if read == flag:
        return np.zeros(len(numbers[flag]), dtype=bool)
    return evaluator.flags(flag, numbers[flag], frozenset({read != yes}).__eq__)


def told_apart(evaluator: Evaluator, reader: int, node: int, number: int) -> Hashable:
    """What an aggregate distinguishes of a set of values; two sets for which it is equal are one kind.

    If only functions of one argument use the latest or earliest source, this is their results.

    Args:
        evaluator: evaluates the nodes.
        reader: the aggregate.
        node: a node that it reads at other positions.
        number: the number of a set of that node.
    """
    aggregate, users = evaluator.nodes[reader], evaluator.users[reader]
    keys = {match.key for case in aggregate.cases for match in case}
    if aggregate.how not in ("latest", "earliest") or node in keys or None in users:
        return number
    values = [evaluator.sets[node].listed[number]]
    found = (results_of(evaluator.nodes[user], values) for user in users if user is not None)
    return tuple(frozenset(each) for each in found)
