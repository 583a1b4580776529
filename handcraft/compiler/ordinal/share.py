"""Which numbers share a dimension: those that are read in one fixed ratio only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, step_layers, sum_in
from handcraft.compiler.passes.ir import StepFunction, WeightedSum
from handcraft.language.graph.domain import Plain
from handcraft.language.graph.node import Node


@dataclass(frozen=True)
class Group:
    """Weighted sums and steps that add up in one dimension.

    Args:
        parts: what adds up, each with its factor.
        shown: one of them, as sums have it: it tells how often the group is in a sum.
        in_answer: how often the group is in the answer.
        is_read: whether some step reads it.
        is_home: whether it is stored where the answer is made, and read there.
    """

    parts: tuple[tuple[Node, Plain], ...]
    shown: tuple[Node, Plain]
    in_answer: Plain
    is_read: bool
    is_home: bool = False

    @property
    def weighted(self) -> list[WeightedSum]:
        """The weighted sums among its parts, with their factors."""
        return [node.times(factor) for node, factor in self.parts if isinstance(node, WeightedSum)]

    def times_in(self, terms: Mapping[Node, Plain]) -> Plain:
        """How often the group is in a sum."""
        node, factor = self.shown
        return Fraction(terms.get(node, 0)) / factor


def group_parts(answer: ApproximateSum, *, shares: bool, has_home: bool = True) -> list[Group]:
    """All weighted sums and steps in groups.

    Args:
        answer: what is predicted, as a number.
        shares: whether numbers share a dimension. The ratio in which every step, and the answer, reads
            two of them must be the same: then nothing is lost by storing their sum alone.
        has_home: whether a group may be stored where the answer is made.
    """
    layers = step_layers(answer.terms)
    readers = {step: sum_in(step, answer.zero).terms for step in layers}
    nodes = dict.fromkeys(node for terms in (*readers.values(), answer.terms) for node in terms)
    grouped: dict[Hashable, list[tuple[Node, Plain]]] = {}
    for number, node in enumerate(nodes):
        if not isinstance(node, WeightedSum | StepFunction):
            continue
        column = [Fraction(terms.get(node, 0)) for terms in (answer.terms, *readers.values())]
        unit = next(factor for factor in column if factor)
        ratio = tuple(factor / unit for factor in column)
        key: Hashable = ratio if shares or not any(column[1:]) else number
        grouped.setdefault(key, []).append((node, unit))
    groups = []
    for parts in grouped.values():
        first, factor = parts[0]
        in_answer = Fraction(answer.terms.get(first, 0)) / factor
        is_read = any(first in terms for terms in readers.values())
        groups.append(Group(tuple(parts), parts[0], in_answer, is_read))
    if not (shares and has_home):
        return groups
    read_last = [
        max((layers[s] for s in layers if group.times_in(readers[s])), default=0) for group in groups
    ]
    return _with_home(groups, read_last, layers)


def _with_home(
    groups: Sequence[Group], read_last: Sequence[int], layers: Mapping[StepFunction, int]
) -> list[Group]:
    """Store the largest group that can be there where the answer is made.

    Nothing else may have been added there before the last step read it.
    """

    def can(group: Group, last: int) -> bool:
        others = [node for g in groups if g is not group and g.in_answer for node, _ in g.parts]
        late = all(isinstance(node, StepFunction) and layers[node] >= last for node in others)
        return group.is_read and bool(group.in_answer) and late

    able = [group for group, last in zip(groups, read_last, strict=True) if can(group, last)]
    home = max(able, key=lambda group: len(group.parts), default=None)
    return [replace(g, is_home=True) if g is home else g for g in groups]


def merge_heads(group: Group) -> Group:
    """One weighted sum for all of a group with weights of one sign, where that adds up everywhere.

    Patterns that do not overlap, or do, are one pattern: sources with w of a total weight W get w / W
    of the attention, from scores that differ by the logarithm of their ratio.
    """
    kept = [part for part in group.parts if not isinstance(part[0], WeightedSum)]
    weighted = [(node, f) for node, f in group.parts if isinstance(node, WeightedSum)]
    for sign in (1, -1):
        side = [(node, factor) for node, factor in weighted if factor * sign > 0]
        if not side:
            continue
        (first, factor), *rest = side
        total = first.times(factor * sign)
        for node, factor in rest:
            total = total.plus(node.times(factor * sign))
        if not rest or total.total is None or not total.is_positive:
            kept += side
        else:
            kept.append((total, sign))
    return replace(group, parts=tuple(kept))
