"""The same node over other children: what every pass over trees does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from handcraft.compiler.passes.ir import Attend, Equal, Nearest, StepFunction, Threshold, WeightedSum
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Case,
    Choice,
    Linear,
    Lookup,
    Match,
    Node,
)


def with_children(node: Node, done: Mapping[Node, Node]) -> Node:
    """A node with its children replaced.

    Args:
        node: any node.
        done: for every child, its replacement.
    """
    if all(done[child] is child for child in node.children):
        return node
    match node:
        case Lookup():
            return replace(node, arguments=tuple(done[a] for a in node.arguments))
        case Linear():
            return replace(node, terms=tuple((f, done[n]) for f, n in node.terms))
        case AtLeast():
            return replace(node, number=done[node.number])
        case Assumed():
            return replace(node, value=done[node.value])
        case Choice():
            condition, yes, no = (done[child] for child in node.children)
            return replace(node, condition=condition, yes=yes, no=no)
        case Aggregate():
            cases = tuple(case_with(case, done) for case in node.sources.cases)
            value = None if node.value is None else done[node.value]
            return replace(node, sources=replace(node.sources, cases=cases), value=value)
        case Attend():
            by = None if node.by is None else done[node.by]
            return replace(node, case=case_with(node.case, done), value=done[node.value], by=by)
        case WeightedSum():
            return replace(node, value=done[node.value])
        case Nearest():
            return replace(node, number=done[node.number])
        case Equal():
            return replace(node, one=done[node.one], other=done[node.other])
        case StepFunction():
            thresholds = tuple(
                Threshold(
                    tuple((f, done[n]) for f, n in threshold.terms), threshold.at_least, threshold.gap
                )
                for threshold in node.thresholds
            )
            return replace(node, thresholds=thresholds)
    return node


def case_with(case: Case, done: Mapping[Node, Node]) -> Case:
    """Conditions over what their keys and queries became."""
    return tuple(Match(done[m.key], done[m.query], m.relation) for m in case)
