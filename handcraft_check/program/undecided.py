"""Which sources leave a node undecided, and what a node tells apart of a source."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import numpy.typing as npt

from handcraft_check.program.evaluate import Evaluated, Evaluator, results_of
from handcraft_check.program.nodes import Node

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def blamed(evaluator: Evaluator, found: Evaluated, wanted: Mapping[int, Flags]) -> tuple[Ids, Ids]:
    """The source that must be decided so that nodes have one value, and who reads it: [row] each.

    From each wanted node the search goes on to what it reads that has several values. Where nothing
    helps, both are -1.
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
    """The nodes that leave others undecided: those wanted, and what of several values they read.

    Args:
        evaluator: of the nodes.
        numbers: for each node, the number of its set: [row]; a node that is left out has one value.
        wanted: where nodes should have one value: [row] each.
        own: for each aggregate, where it may read its own position: [row]; everywhere, if left out.
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
    """Where a choice surely has the other value than that of a node that it reads once: [row]."""
    flag, yes, _ = node.of
    if read == flag:
        return np.zeros(len(numbers[flag]), dtype=bool)
    return evaluator.flags(flag, numbers[flag], frozenset({read != yes}).__eq__)


def told_apart(evaluator: Evaluator, reader: int, node: int, number: int) -> Hashable:
    """What an aggregate tells apart of the sets of a node: those that are equal here are one to it.

    What only functions of one argument read of the latest or earliest source are their results.

    Args:
        evaluator: of the nodes.
        reader: the aggregate.
        node: that it reads at other positions.
        number: of a set of that node.
    """
    aggregate, users = evaluator.nodes[reader], evaluator.users[reader]
    keys = {match.key for case in aggregate.cases for match in case}
    if aggregate.how not in ("latest", "earliest") or node in keys or None in users:
        return number
    values = [evaluator.sets[node].listed[number]]
    found = (results_of(evaluator.nodes[user], values) for user in users if user is not None)
    return tuple(frozenset(each) for each in found)
