"""Sums over a text, each with its error bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from handcraft.compiler.passes.ir import StepFunction, Threshold, WeightedSum, note_slots
from handcraft.display import short_repr
from handcraft.language.graph.domain import Plain, Range, Value, as_number, finite
from handcraft.language.graph.node import Embedded, Lookup, Node, is_position
from handcraft.language.graph.pointwise import linear
from handcraft.language.graph.wording import Wording, reads
from handcraft.origin import Place

Constants: TypeAlias = "tuple[Plain | None, ...]"
"""A number for each position; None where nothing is predicted."""


@short_repr
@dataclass(frozen=True)
class ApproximateSum:
    """Nodes with factors, and a constant for each position.

    Args:
        terms: weighted sums, steps and numbers of the token here, each once.
        constants: what is added.
        off: the largest error below (at most 0) and above (at least 0) the meant number.
    """

    terms: Mapping[Node, Plain]
    constants: Constants
    off: tuple[Plain, Plain] = (0, 0)

    @property
    def error(self) -> Plain:
        """The error bound."""
        return max(-self.off[0], self.off[1])

    @property
    def known(self) -> list[Plain]:
        """The constants at the positions that have one."""
        return [constant for constant in self.constants if constant is not None]

    @property
    def zero(self) -> ApproximateSum:
        """A sum of nothing, at the same positions."""
        return ApproximateSum({}, tuple(None if c is None else 0 for c in self.constants))

    def only(self, node: Node) -> ApproximateSum:
        """A node alone, at the same positions."""
        return replace(self.zero, terms={node: 1})

    def times(self, factor: Plain) -> ApproximateSum:
        """Every number times a factor."""
        if factor == 0:
            return self.zero
        low, high = (off * factor for off in self.off)
        return ApproximateSum(
            {node: number * factor for node, number in self.terms.items()},
            tuple(None if c is None else c * factor for c in self.constants),
            (min(low, high), max(low, high)),
        )

    def plus(self, other: ApproximateSum) -> ApproximateSum:
        """The sum of two."""
        terms = dict(self.terms)
        for node, number in other.terms.items():
            terms[node] = terms.get(node, 0) + number
        both = zip(self.constants, other.constants, strict=True)
        return ApproximateSum(
            {node: number for node, number in terms.items() if number},
            tuple(None if a is None or b is None else a + b for a, b in both),
            (self.off[0] + other.off[0], self.off[1] + other.off[1]),
        )

    def shifted(self, number: Plain) -> ApproximateSum:
        """The sum plus a number."""
        return replace(self, constants=tuple(None if c is None else c + number for c in self.constants))

    def blurred(self, error: Plain) -> ApproximateSum:
        """The same sum for another meant number, at most `error` away."""
        return replace(self, off=(self.off[0] - error, self.off[1] + error))

    def step(self, below: Plain, above: Plain, text: Wording, place: Place | None) -> StepFunction:
        """Whether the meant number is `above` or more; it is never between the two bounds."""
        terms, constant = self._parts()
        low, high = below + self.off[1] - constant, above + self.off[0] - constant
        return StepFunction(
            finite((0, 1)), text, (Threshold(terms, high, high - low),), (0, 1), place=place
        )

    def node(self, text: Wording) -> Node:
        """The sum in the graph."""
        total = linear(*self._parts(), text)
        low, high, unit = total.domain.low, total.domain.high, total.domain.unit
        return replace(total, domain=Range(low, high, unit)) if self.terms else total

    def _parts(self) -> tuple[tuple[tuple[Plain, Node], ...], Plain]:
        """Terms and a constant; constants that depend on the position become a table of it."""
        terms = [(factor, node) for node, factor in self.terms.items()]
        if len(set(self.known)) == 1:
            return tuple(terms), self.known[0]
        position = Embedded(finite(range(len(self.constants))), reads("position"), "position")
        table: dict[tuple[Value, ...], Value] = {(i,): c or 0 for i, c in enumerate(self.constants)}
        domain = finite(table.values())
        constants = Lookup(domain, reads("constant at ", position), (position,), table)
        return ((1, constants), *terms), 0


def is_by_position(node: Node) -> bool:
    """Whether it is a table of the position."""
    return isinstance(node, Lookup) and all(map(is_position, node.arguments))


def sum_in(step: StepFunction, zero: ApproximateSum) -> ApproximateSum:
    """The sum that a step compares with its threshold.

    Args:
        step: made by `ApproximateSum.step`.
        zero: a sum of nothing, at the positions at which something is predicted.
    """
    (threshold,), total = step.thresholds, zero
    for factor, node in threshold.terms:
        if is_by_position(node):
            table, places = node.table, enumerate(zero.constants)  # type: ignore[attr-defined]
            constants = tuple(None if c is None else as_number(table[(i,)]) for i, c in places)
            total = total.plus(replace(zero, constants=constants))
        else:
            total = total.plus(zero.only(node).times(factor))
    return total


def step_layers(terms: Iterable[Node]) -> dict[StepFunction, int]:
    """Every step below some nodes, operands first, with the length of the longest chain before it."""
    slots: dict[Node, int] = {}
    for node in terms:
        note_slots(node, slots)
    return {n: slot // 2 - 1 for n, slot in slots.items() if isinstance(n, StepFunction)}


Change: TypeAlias = "Callable[[WeightedSum], ApproximateSum | None]"
"""From a weighted sum to its replacement; None if it stays."""


def rewritten(
    answer: ApproximateSum, change: Change, within_steps: Change | None = None
) -> ApproximateSum:
    """A sum in which weighted sums are replaced.

    Args:
        answer: the sum.
        change: gives the replacement of a weighted sum.
        within_steps: gives the replacement inside the sums that steps compare; by default the same.
    """
    done: dict[Node, Node] = {}

    def write(total: ApproximateSum, change: Change) -> ApproximateSum:
        result = replace(total, terms={})
        for node, factor in total.terms.items():
            other = change(node) if isinstance(node, WeightedSum) else None
            result = result.plus((other or answer.only(done.get(node, node))).times(factor))
        return result

    for step in step_layers(answer.terms):
        (threshold,) = step.thresholds
        below = threshold.at_least - threshold.gap
        total = write(sum_in(step, answer.zero), within_steps or change)
        done[step] = total.step(below, threshold.at_least, step.text, step.place)
    return write(answer, change)
