"""What expressions become on the way to circuits: nodes that are nearly heads and neurons."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import eq, mul
from typing import Literal

from handcraft.language.graph.domain import Finite, Plain, Value, as_number
from handcraft.language.graph.node import (
    Assumed,
    Case,
    Choice,
    Linear,
    Lookup,
    Node,
    case_key,
    walk,
)
from handcraft.language.graph.reachable import plain
from handcraft.language.oracle.interpret import Values, interpret_with

Picks = Literal["mean", "latest", "earliest"]


@dataclass(frozen=True, eq=False, repr=False)
class Attend(Node):
    """What a head brings: a value from the sources that fit best.

    Attention is hard, and goes to the sources of which the fewest conditions fail; where all fail, that
    is all of them. Or it is soft, and each failing condition divides the weight of a source by `base`.

    Args:
        case: the conditions.
        value: what is read at the sources.
        picks: the mean over them, or the value at the latest or the earliest.
        slack: how many failing conditions do not count at position 0.
        unique: whether exactly one source fits at every destination.
        base: of a mean by soft attention; 0 where attention is hard.
    """

    case: Case
    value: Node
    picks: Picks
    slack: int = 0
    unique: bool = False
    base: int = 0

    @property
    def made_of(self) -> Hashable:
        """What decides its value; that one source fits is known of the conditions, not stated."""
        return case_key(self.case), self.value.identity, self.picks, self.slack, self.base

    @property
    def children(self) -> tuple[Node, ...]:
        """Keys, queries, and what is brought."""
        return (*(node for match in self.case for node in (match.key, match.query)), self.value)


@dataclass(frozen=True)
class Threshold:
    """One step of a step_function: whether a weighted sum reaches a threshold.

    Args:
        terms: factors and numbers that are added up.
        at_least: the threshold.
        gap: how far below it the sum is at least where it does not reach it; a power of two.
    """

    terms: tuple[tuple[Plain, Node], ...]
    at_least: Plain
    gap: Plain


@dataclass(frozen=True, eq=False, repr=False)
class StepFunction(Node):
    """A value for each number of thresholds that are reached; one is reached only if all before it are.

    Args:
        thresholds: in order.
        values: for each number of reached thresholds, from none to all, the value.
    """

    thresholds: tuple[Threshold, ...]
    values: tuple[Value, ...]

    @property
    def made_of(self) -> Hashable:
        """What decides its value; thresholds that add up the same share their terms."""
        sums: dict[int, Hashable] = {}
        for threshold in self.thresholds:
            if id(threshold.terms) not in sums:
                sums[id(threshold.terms)] = tuple([(f, node.identity) for f, node in threshold.terms])
        steps = [
            (sums[id(threshold.terms)], threshold.at_least, threshold.gap)
            for threshold in self.thresholds
        ]
        return tuple(steps), self.values

    @property
    def children(self) -> tuple[Node, ...]:
        """What the thresholds add up."""
        nodes = [node for threshold in self.thresholds for _, node in threshold.terms]
        return tuple(dict.fromkeys(nodes))


@dataclass(frozen=True, eq=False, repr=False)
class Equal(Node):
    """Whether two values are the same; for values too many for a table of their pairs.

    Args:
        one: with a finite domain.
        other: with a finite domain.
    """

    one: Node
    other: Node

    @property
    def made_of(self) -> Hashable:
        """What decides its value."""
        return self.one.identity, self.other.identity

    @property
    def children(self) -> tuple[Node, ...]:
        """What is compared."""
        return self.one, self.other


def is_scalar(node: Node) -> bool:
    """Whether a value is held as a number only, of which no table can be read without neurons."""
    while isinstance(node, Attend | Assumed):
        if isinstance(node, Attend) and node.picks == "mean":
            return True
        node = node.value
    if isinstance(node, Lookup) and len(node.arguments) == 1:
        return False
    return isinstance(node, Linear | Choice) or not isinstance(node.domain, Finite)


def note_slots(root: Node, slots: dict[Node, int]) -> int:
    """When a node can be there: 2b + 1 after the heads of block b, 2b + 2 after its neurons.

    Args:
        root: the node.
        slots: of the nodes that were asked for before; it is filled in.
    """
    for node in walk(root, down_to=slots):
        before = max((slots[child] for child in node.children), default=0)
        if isinstance(node, Attend):
            before = (before + 1) // 2 * 2 + 1
        elif isinstance(node, StepFunction | Choice | Equal):
            before = before // 2 * 2 + 2
        slots[node] = before
    return slots[root]


def between(below: Plain, above: Plain) -> tuple[Plain, Plain]:
    """The threshold and the gap that tell two numbers apart: a power of two, centred between them."""
    if isinstance(below, int) and isinstance(above, int):
        width = 1 << (above - below).bit_length() - 1
        twice = above + below + width
        return (Fraction(twice, 2) if twice % 2 else twice // 2), width
    space = above - below
    power = space.numerator.bit_length() - space.denominator.bit_length()
    gap = Fraction(1 << power) if power >= 0 else Fraction(1, 1 << -power)
    if gap > space:
        gap /= 2
    return Fraction(above + below + gap) / 2, gap


def run_nodes(nodes: Sequence[Node], tokens: Sequence[str], *, causal: bool) -> list[Values]:
    """The oracle, for trees that hold the nodes of this module too."""
    return interpret_with(nodes, tokens, causal=causal, values=_values)


def _values(node: Node, length: int, known: dict[Node, Values], causal: bool) -> Values | None:
    if isinstance(node, Attend):
        return tuple(_brought(node, here, length, known, causal) for here in range(length))
    if isinstance(node, StepFunction):
        return tuple(node.values[_reached(node, here, known)] for here in range(length))
    if isinstance(node, Equal):
        return tuple(map(eq, known[node.one], known[node.other]))
    return None


def _brought(node: Attend, here: int, length: int, known: dict[Node, Values], causal: bool) -> Value:
    seen = range(here + 1 if causal else length)
    failing = [
        sum(not m.holds(known[m.key][there], known[m.query][here]) for m in node.case)
        - (node.slack if there == 0 else 0)
        for there in seen
    ]
    if node.base:
        weights = [Fraction(node.base) ** -count for count in failing]
        values = (as_number(known[node.value][there]) for there in seen)
        return plain(Fraction(sum(map(mul, weights, values)) / sum(weights)))
    best = min(failing)
    chosen = [known[node.value][there] for there in seen if failing[there] == best]
    if node.picks == "mean":
        return plain(Fraction(sum(as_number(v) for v in chosen)) / len(chosen))
    return chosen[-1] if node.picks == "latest" else chosen[0]


def _reached(step_function: StepFunction, here: int, known: dict[Node, Values]) -> int:
    reached = 0
    total: Plain = 0
    terms: tuple[tuple[Plain, Node], ...] = ()
    for threshold in step_function.thresholds:
        if threshold.terms != terms:  # the thresholds of a table have the same
            terms = threshold.terms
            total = sum(factor * as_number(known[node][here]) for factor, node in terms)
        reached += total >= threshold.at_least
    return reached
