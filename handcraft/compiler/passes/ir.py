"""The nodes into which expressions are lowered: outputs of heads, and step functions of neurons."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, Self, TypeAlias

from handcraft.circuits import AttentionWeights
from handcraft.language.graph.domain import Finite, Plain, Range, Value, as_number
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
from handcraft.language.graph.pointwise import common_unit
from handcraft.origin import Origin

Picks = Literal["mean", "latest", "earliest"]


@dataclass(frozen=True, eq=False, repr=False)
class Attend(Node):
    """The output of a head: a value from the sources that fail the fewest conditions.

    Attention is hard, and goes to the sources of which the fewest conditions fail; where all fail, that
    is all of them. Or it is soft, and each failing condition divides the weight of a source by `base`.

    Args:
        case: the conditions.
        value: the node that is read at the sources.
        picks: the mean over them, or the value at the latest or the earliest.
        slack: how many failed conditions do not count at position 0.
        unique: whether exactly one source matches at every destination, or it does not matter which.
        base: of a mean by soft attention; 0 for hard attention.
        by: the number of a source that decides which is the latest or the earliest; None for its
            position. Matching sources with the same number must have the same value.
        sunk: whether position 0 counts as a source that matches, whatever fails there.
        begun: in a rotary model, whether the begin token counts as a source, whose value is 0, and that
            of `IsBegin` 1: of a mean one that matches, else one that is found where none does.
    """

    case: Case
    value: Node
    picks: Picks
    slack: int = 0
    unique: bool = False
    base: int = 0
    by: Node | None = None
    sunk: bool = False
    begun: bool = False

    @property
    def made_of(self) -> Hashable:
        """What determines its value; `unique` follows from the conditions and is left out."""
        by = None if self.by is None else self.by.identity
        soft = self.slack, self.base, self.sunk, self.begun
        return case_key(self.case), self.value.identity, self.picks, soft, by

    @property
    def children(self) -> tuple[Node, ...]:
        """Keys, queries, the value, and the number that orders sources."""
        conditions = (node for match in self.case for node in (match.key, match.query))
        return (*conditions, self.value, *(() if self.by is None else (self.by,)))


@dataclass(frozen=True)
class Threshold:
    """One threshold of a step function, which a weighted sum reaches or not.

    Args:
        terms: factors and numbers of the sum.
        at_least: the threshold.
        gap: a sum that does not reach the threshold is at least this far below it; a power of two.
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
        """What determines its value; thresholds on the same sum share its terms."""
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
        """The terms of the thresholds."""
        nodes = [node for threshold in self.thresholds for _, node in threshold.terms]
        return tuple(dict.fromkeys(nodes))


@dataclass(frozen=True, eq=False, repr=False)
class IsBefore(Node):
    """Whether a position is before a given one, as a head of a rotary model finds out.

    It attends to the begin token there, and elsewhere to some other.

    Args:
        end: the first position where it is false.
    """

    end: int


@dataclass(frozen=True, eq=False, repr=False)
class IsText(Node):
    """A flag of a source in a rotary model: true of every token but the begin token.

    A head that moves it tells whether any source matches: where none does it finds the begin token.
    """


@dataclass(frozen=True, eq=False, repr=False)
class IsBegin(Node):
    """A flag of a source in a rotary model: true of the begin token alone.

    Its mean over sources that include the begin token is one over their number.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Equal(Node):
    """Whether two values are equal, for domains too large for a table of pairs.

    Args:
        one: with a finite domain.
        other: with a finite domain.
    """

    one: Node
    other: Node


Weights: TypeAlias = tuple[tuple[int, Plain], ...]
"""Source positions in order, and the weight of each."""


@dataclass(frozen=True, eq=False, repr=False)
class WeightedSum(Node):
    """A number of the tokens at other positions, with weights that the position here decides.

    Args:
        value: a number of the token, at the source.
        rows: the positions at which it is read, in order, each with its sources; elsewhere it is 0.
        others: the origins of other sums that it replaces too.
    """

    value: Node
    rows: tuple[tuple[int, Weights], ...]
    others: tuple[Origin, ...] = ()

    @classmethod
    def of(cls, value: Node, rows: Iterable[tuple[int, Weights]], like: Node) -> Self:
        """The sum with the range of its values, named after another node."""
        assert isinstance(value.domain, Finite)
        numbers = [as_number(number) for number in value.domain.values]
        made = tuple(rows)
        products = [[(w * numbers[0], w * numbers[-1]) for _, w in row] for _, row in made]
        low = min((0, *(sum(map(min, row)) for row in products)))
        high = max((0, *(sum(map(max, row)) for row in products)))
        unit = common_unit(numbers) * common_unit([w for _, row in made for _, w in row])
        return cls(Range(low, high, unit), like.text, value, made, place=like.place)

    @property
    def made_of(self) -> Hashable:
        """What decides its value."""
        return self.value.identity, self.rows

    @property
    def children(self) -> tuple[Node, ...]:
        """What is added up."""
        return (self.value,)

    @property
    def total(self) -> Plain | None:
        """The sum of the weights; None where it depends on the position."""
        totals = {sum(weight for _, weight in row) for _, row in self.rows}
        return totals.pop() if len(totals) == 1 else None

    @property
    def attention_weights(self) -> dict[int, AttentionWeights]:
        """For each position at which it is read, the part of the total weight of each source."""
        return {
            here: tuple((there, Fraction(weight) / sum(w for _, w in row)) for there, weight in row)
            for here, row in self.rows
        }

    @property
    def is_positive(self) -> bool:
        """Whether all weights are above 0."""
        return all(weight > 0 for _, row in self.rows for _, weight in row)

    @property
    def is_single(self) -> bool:
        """Whether there is one source everywhere."""
        return all(len(row) == 1 for _, row in self.rows)

    @property
    def is_here(self) -> bool:
        """Whether every position is its own only source."""
        return all([there for there, _ in row] == [here] for here, row in self.rows)

    def times(self, factor: Plain) -> Self:
        """Every weight times a factor."""
        rows = ((here, tuple((s, w * factor) for s, w in row)) for here, row in self.rows)
        return replace(self.of(self.value, rows, self), others=self.others)

    def plus(self, other: WeightedSum) -> Self:
        """The sum of two of the same number, read at the same positions."""
        added: list[tuple[int, Weights]] = []
        for (here, mine), (_, its) in zip(self.rows, other.rows, strict=True):
            total: dict[int, Plain] = {}
            for there, weight in (*mine, *its):
                total[there] = total.get(there, 0) + weight
            added.append((here, tuple((i, total[i]) for i in sorted(total) if total[i])))
        both = dict.fromkeys((*self.others, other.origin, *other.others))
        both.pop(self.origin, None)
        return replace(self.of(self.value, added, self), others=tuple(both))


@dataclass(frozen=True, eq=False, repr=False)
class Nearest(Node):
    """The value whose number is nearest to an approximate sum.

    Args:
        number: the sum.
        values: every value with its number, in order.
        error: the error bound of the sum.
    """

    number: Node
    values: tuple[tuple[Plain, Value], ...]
    error: Plain

    @property
    def made_of(self) -> Hashable:
        """What determines its value; the error bound follows from the sum and is left out."""
        return self.number.identity, self.values

    @property
    def children(self) -> tuple[Node, ...]:
        """What is decoded."""
        return (self.number,)


def is_scalar(node: Node) -> bool:
    """Whether a value is stored as one number, so that reading a table of it takes neurons."""
    while isinstance(node, Attend | Assumed):
        if isinstance(node, Attend) and node.picks == "mean":
            return True
        node = node.value
    if isinstance(node, Lookup) and len(node.arguments) == 1:
        return False
    return isinstance(node, Linear | Choice) or not isinstance(node.domain, Finite)


def note_slots(root: Node, slots: dict[Node, int]) -> int:
    """The earliest slot of a node: 2b + 1 after the heads of block b, 2b + 2 after its neurons.

    Args:
        root: the node.
        slots: of nodes computed before; new ones are added.
    """
    if root in slots:
        return slots[root]
    for node in walk(root, down_to=slots):
        before = max((slots[child] for child in node.children), default=0)
        if isinstance(node, Attend | WeightedSum):
            before = (before + 1) // 2 * 2 + 1
        elif isinstance(node, StepFunction | Choice | Equal):
            before = before // 2 * 2 + 2
        slots[node] = before
    return slots[root]


def between(below: Plain, above: Plain) -> tuple[Plain, Plain]:
    """The threshold and the gap, a power of two, that distinguish two numbers, centred between them."""
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
