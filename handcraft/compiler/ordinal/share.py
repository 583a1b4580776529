"""Groups of numbers that share a dimension: those that are always read in the same ratio."""

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
    """Weighted sums and steps that are added up in one dimension.

    Args:
        parts: what is added up, each with its factor.
        in_answer: whether it is added to the answer.
        read_by: the steps that read it, each with a factor.
        is_home: whether it is stored in the dimension of the answer, and read there.
    """

    parts: tuple[tuple[Node, Plain], ...]
    in_answer: bool
    read_by: tuple[tuple[StepFunction, Plain], ...]
    is_home: bool = False


def group_parts(answer: ApproximateSum, *, shares: bool, has_home: bool = True) -> list[Group]:
    """All weighted sums and steps in groups.

    Args:
        answer: what is predicted, as a number.
        shares: whether numbers share a dimension. All steps and the answer must read two of them in
            the same ratio: then their sum is all that is needed.
        has_home: whether a group may be stored in the dimension of the answer.
    """
    layers = step_layers(answer.terms)
    readers = [answer.terms, *(sum_in(step, answer.zero).terms for step in layers)]
    grouped: dict[Hashable, list[tuple[Node, Plain]]] = {}
    columns: dict[Hashable, list[Plain]] = {}
    for node in dict.fromkeys(node for terms in (*readers[1:], answer.terms) for node in terms):
        if isinstance(node, WeightedSum | StepFunction):
            column = [Fraction(terms.get(node, 0)) for terms in readers]
            unit = next(factor for factor in column if factor)
            ratio: list[Plain] = [factor / unit for factor in column]
            key: Hashable = tuple(ratio) if shares or not any(column[1:]) else node
            grouped.setdefault(key, []).append((node, unit))
            columns[key] = ratio
    groups = []
    for key, parts in grouped.items():
        first, *others = columns[key]
        read_by = tuple((step, n) for step, n in zip(layers, others, strict=True) if n)
        groups.append(Group(tuple(parts), bool(first), read_by))
    return _with_home(groups, layers) if shares and has_home else groups


def _with_home(groups: Sequence[Group], layers: Mapping[StepFunction, int]) -> list[Group]:
    """Store the largest possible group in the dimension of the answer.

    Nothing else may be added to that dimension before the last step has read the group.
    """

    def can(group: Group) -> bool:
        last = max((layers[step] for step, _ in group.read_by), default=0)
        others = [node for g in groups if g is not group and g.in_answer for node, _ in g.parts]
        late = all(isinstance(node, StepFunction) and layers[node] >= last for node in others)
        return bool(group.read_by) and group.in_answer and late

    home = max(filter(can, groups), key=lambda group: len(group.parts), default=None)
    return [replace(g, is_home=True) if g is home else g for g in groups]


def merge_heads(group: Group) -> Group:
    """One weighted sum for all parts of a group with weights of one sign, if its total is constant.

    Patterns become one pattern, whether or not they overlap: a source with weight w of a total W gets
    w / W of the attention, because scores differ by the logarithm of the ratio of weights.
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
