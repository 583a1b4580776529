"""Tables over several values become step functions: steps along one weighted sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import prod

from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.children import with_children
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import (
    Attend,
    Equal,
    StepFunction,
    Threshold,
    between,
    is_scalar,
    note_slots,
)
from handcraft.compiler.passes.tables.guarded import equality_ladder, guarded, guarded_ladder
from handcraft.compiler.passes.tables.step_function import Steps, additive, find_steps
from handcraft.errors import CompileError
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number, finite, magnitude
from handcraft.language.graph.node import (
    AtLeast,
    Linear,
    Lookup,
    Node,
    walk,
)
from handcraft.language.graph.reachable import bases, combinations, rows
from handcraft.language.graph.wording import reads

FLATTEN_UP_TO = 20_000
"""The most combinations of base values of a table that is made over the bases themselves."""


def fuse(roots: Sequence[Node], setting: Setting) -> list[Node]:
    """The same values, with no table over more than one value and no comparison of sums."""
    fusing = _Fusing(roots, setting)
    for node in walk(*roots):
        fusing.done[node] = fusing.fused(node)
    return rebuild([fusing.done[root] for root in roots])


class _Fusing:
    """The state of the pass.

    Attributes:
        done: for a node what became of it.
        kept: the nodes that are computed anyway, because heads read them.
        setting: what is known about the texts.
    """

    def __init__(self, roots: Sequence[Node], setting: Setting) -> None:
        self.done: dict[Node, Node] = {}
        self.kept = {
            child for node in walk(*roots) if isinstance(node, Attend) for child in node.children
        }
        self.setting = setting
        self._slots: dict[Node, int] = {}

    def fused(self, node: Node) -> Node:
        """What becomes of a node, all below it being done."""
        done, setting = self.done, self.setting
        if isinstance(node, AtLeast):
            return _threshold(node, done[node.number])
        if isinstance(node, Equal):
            return equality_ladder(node, done)
        if not isinstance(node, Lookup) or _is_readable(node):
            return with_children(node, done)
        choices = [found for below in self._bases(node) if (found := self._flat(node, below))]
        if not choices:
            return _guarded(node, done, setting) or _direct(node, done)
        arguments, flat = min(choices, key=lambda choice: _steps_of(choice[1]))
        if not isinstance(flat, StepFunction):
            return flat
        is_distinguishable = _is_distinguishable(flat, setting)
        step_function = _guarded(node, done, setting)
        is_shorter = step_function is not None and _steps_of(step_function) < _steps_of(flat)
        if step_function is not None and is_shorter and _reads_only(step_function, arguments):
            return step_function
        if step_function is not None and self._slot(step_function) < self._slot(flat):
            return step_function
        if _steps_of(flat) <= setting.most_steps and is_distinguishable:
            return flat
        if step_function is not None and (is_shorter or not is_distinguishable):
            return step_function
        direct = _direct(node, done)
        if is_distinguishable != _is_distinguishable(direct, setting):
            return flat if is_distinguishable else direct
        return flat if _steps_of(flat) <= 2 * _steps_of(direct) else direct

    def _bases(self, node: Lookup) -> Iterator[tuple[Node, ...]]:
        """What a table is over, far down; and nearer, where that makes nothing later.

        Nearer are values that are made anyway, in a block before the one that the table must wait for.
        """
        far = bases(node)
        yield far
        last = max((self._slot(self.done[base]) for base in far), default=0) // 2 * 2

        def is_near(below: Node) -> bool:
            if below == node or below not in self.kept:
                return False
            made = self.done[below]
            return isinstance(made, StepFunction) and self._slot(made) <= last

        near = bases(node, stops=is_near)
        if near != far:
            yield near

    def _flat(self, node: Lookup, below: Sequence[Node]) -> tuple[Sequence[Node], Node] | None:
        """The table over some bases, and what they became; None where it is too large for that."""
        if not all(isinstance(base.domain, Finite) for base in below):
            return None
        if prod(len(_values(base)) for base in below) > FLATTEN_UP_TO:
            return None
        arguments = [self.done[base] for base in below]
        if sum(map(is_scalar, arguments)) > 1:
            return None
        listed = {combination: values[0] for combination, values in rows([node], below)}
        table = _left(listed, arguments)
        if len(below) == 1 and not is_scalar(arguments[0]):
            small: dict[tuple[Value, ...], Value] = dict(table)
            return arguments, replace(node, arguments=tuple(arguments), table=small)
        return arguments, _as_sum_or_ladder(node, arguments, table)

    def _slot(self, node: Node) -> int:
        """When a fused node can be there."""
        return note_slots(node, self._slots)


def _is_readable(node: Lookup) -> bool:
    """Whether it is a table of one value, stored such that every table of that value can be read."""
    return len(node.arguments) == 1 and not is_scalar(node.arguments[0])


def _steps_of(node: Node) -> int:
    return len(node.thresholds) if isinstance(node, StepFunction) else 0


def _reads_only(step_function: StepFunction, nodes: Sequence[Node]) -> bool:
    """Whether a step function reads nothing that would have to be made from the nodes first."""
    known = set(nodes)
    read = [term.arguments[0] if isinstance(term, Lookup) else term for term in step_function.children]
    return all(node in known for node in read)


def _is_distinguishable(node: Node, setting: Setting) -> bool:
    """Whether the dtype is sure to distinguish all sums of a step function from their thresholds.

    A value is stored as its difference from the most common one, so a term can be as large as that and
    its constant together.
    """
    if not isinstance(node, StepFunction) or not node.thresholds:
        return True
    largest: Plain = 0
    for factor, term in node.thresholds[0].terms:  # all thresholds of a table have the same terms
        numbers = [as_number(v) for v in _values(term)]
        most = max(map(magnitude, numbers))
        largest += magnitude(factor) * (max(numbers) - min(numbers) + most)
    return largest <= min(threshold.gap for threshold in node.thresholds) * setting.steps


def _guarded(node: Lookup, done: Mapping[Node, Node], setting: Setting) -> StepFunction | None:
    """The table as one that counts only where others are equal, if it is one.

    None also if the dtype might not distinguish its sums, but would those of the original table.
    """
    found = guarded(node)
    step_function = None if found is None else guarded_ladder(node, found, done, setting)
    if (
        step_function is None
        or _is_distinguishable(step_function, setting)
        or not _is_distinguishable(_direct(node, done), setting)
    ):
        return step_function
    return None


def _direct(node: Lookup, done: Mapping[Node, Node]) -> Node:
    """The table over its own arguments; several scalars are turned into steps first."""
    arguments = [done[argument] for argument in node.arguments]
    scalars = [i for i, argument in enumerate(arguments) if is_scalar(argument)]
    for i in scalars if len(arguments) > 1 and len(scalars) > 1 else ():
        arguments[i] = digital(arguments[i])
    reached = combinations(node.arguments)
    table = _left(node.table, arguments)
    if reached is not None:
        table = {row: value for row, value in table.items() if row in reached}
    return _as_sum_or_ladder(node, arguments, table)


def _left(
    table: Mapping[tuple[Value, ...], Value], arguments: Sequence[Node]
) -> Mapping[tuple[Value, ...], Value]:
    """The rows that can still occur, now that the arguments may be known to have fewer values."""
    columns = zip(*table, strict=True)
    gone = [
        {value for value in set(column) if value not in argument.domain}
        for column, argument in zip(columns, arguments, strict=True)
    ]
    if not any(gone):
        return table
    return {
        row: found
        for row, found in table.items()
        if not any(value in lost for value, lost in zip(row, gone, strict=True))
    }


def _as_sum_or_ladder(
    node: Lookup, arguments: Sequence[Node], table: Mapping[tuple[Value, ...], Value]
) -> Node:
    domains = [_values(argument) for argument in arguments]
    scalars = [i for i, argument in enumerate(arguments) if is_scalar(argument)]
    if not scalars and node.domain.kind is not Kind.CATEGORY:
        parts = additive(table, domains)
        if parts is not None:
            terms = tuple(
                (1, _part(argument, numbers, node))
                for argument, numbers in zip(arguments, parts[0], strict=True)
            )
            total = Linear(numbers_of(node), node.text, terms, parts[1], place=node.place)
            if node.domain.kind is Kind.NUMBER:
                return total
            flags: dict[tuple[Value, ...], Value] = {(0,): False, (1,): True}
            return Lookup(node.domain, node.text, (total,), flags, place=node.place)
    steps = find_steps(table, domains, scalars[0] if scalars else None)
    return _step_function(node, arguments, steps, scalars)


def numbers_of(node: Node) -> Finite:
    """The domain of a node with flags as 0 and 1."""
    return finite(as_number(v) for v in _values(node))


def _step_function(
    node: Node, arguments: Sequence[Node], steps: Steps, scalars: Sequence[int]
) -> StepFunction:
    terms: list[tuple[Plain, Node]] = []
    for i, (argument, weights) in enumerate(zip(arguments, steps.weights, strict=True)):
        if i in scalars:
            terms.append((_factor(weights), argument))
        elif any(weights.values()):
            terms.append((1, _part(argument, weights, node)))
    thresholds = tuple(Threshold(tuple(terms), at_least, gap) for at_least, gap in steps.thresholds)
    return StepFunction(finite(steps.values), node.text, thresholds, steps.values, place=node.place)


def _factor(weights: Mapping[Value, Plain]) -> Plain:
    """What a number is multiplied with: its weights are multiples of it."""
    value, weight = next((as_number(v), w) for v, w in weights.items() if v != 0)
    factor = Fraction(weight) / value
    assert all(as_number(v) * factor == w for v, w in weights.items())
    return factor


def _part(argument: Node, numbers: Mapping[Value, Plain], of: Node) -> Node:
    """A number for each value of one argument."""
    table: dict[tuple[Value, ...], Value] = {(value,): number for value, number in numbers.items()}
    text = reads(argument, " in ", of)
    return Lookup(finite(table.values()), text, (argument,), table, place=of.place)


def digital(node: Node) -> StepFunction:
    """A number as steps, so that any table of it can be read."""
    values = _values(node)
    thresholds = []
    for below, above in pairwise(values):
        at_least, gap = between(as_number(below), as_number(above))
        thresholds.append(Threshold(((1, node),), at_least, gap))
    return StepFunction(node.domain, node.text, tuple(thresholds), values, place=node.place)


def _threshold(node: AtLeast, number: Node) -> StepFunction:
    """A comparison of a number with a bound: one step."""
    domain = node.number.domain
    assert not isinstance(domain, Finite)
    below = domain.below(node.bound)
    at_least, gap = between(node.bound - below, node.bound)
    threshold = Threshold(((1, number),), at_least, gap)
    return StepFunction(node.domain, node.text, (threshold,), (False, True), place=node.place)


def _values(node: Node) -> tuple[Value, ...]:
    if not isinstance(node.domain, Finite):
        raise CompileError(
            f"`{node}` has too many values to distinguish: {node.domain}",
            where=node.place,
            fix="compare it with a number, or .assume() the values that occur",
        )
    return node.domain.values
