"""How each feature is computed, and when: as soon as its operands are available."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import ITSELF, Feature, Reading
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.features.scores.qk_circuit import QKCircuit, at_distance, qk_circuit
from handcraft.compiler.passes.ir import Attend, IsBefore, StepFunction, WeightedSum
from handcraft.display import short_repr
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.language.graph.node import Choice, Embedded, Linear, Node
from handcraft.weights.layout import SMALL


@short_repr
@dataclass
class Assembly:
    """All features of a program, with how and in which block each is computed.

    `settle` fills it, `check` refuses what the dtype cannot hold, and `assemble` makes circuits of it.

    Args:
        features: allocates features, and knows all of them.
        context: the number of positions.
        precision: which numbers the dtype can distinguish.
        patterns: the QK circuit of each weighted sum.
    """

    features: Features
    context: int
    precision: Precision
    patterns: Mapping[Node, QKCircuit] = field(default_factory=dict)
    qk_circuits: dict[int, QKCircuit] = field(default_factory=dict)
    thresholds: dict[int, list[tuple[Reading, Plain, Plain]]] = field(default_factory=dict)
    choices: dict[int, tuple[Reading, Reading, Reading]] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    _known: dict[object, QKCircuit] = field(default_factory=dict)

    def settle(self) -> None:
        """Allocate the operands of every feature, schedule all of them, and check precision."""
        done: set[int] = set()
        while True:
            waiting = [h for h in self.features.by_node.values() if id(h) not in done]
            if not waiting:
                break
            for feature in waiting:
                done.add(id(feature))
                self._allocate_needs(feature)
        for feature in self.features.by_node.values():
            self.slot(feature)
            if _is_crowded(feature) and not self.features.keeps_numbers(feature):
                feature.is_one_hot = True

    def check(self) -> None:
        """Raise unless every threshold, and every tie, holds in spite of rounding and LayerNorm.

        Raises:
            PrecisionError: one does not.
        """
        varying = self.varying
        for feature in self.features.by_node.values():
            if isinstance(feature.node, Attend) and (feature.node.slack or feature.node.sunk):
                qk = self.qk_circuits[id(feature)]
                times = Fraction(qk.size) / qk.gap if feature.node.sunk else 1
                self.precision.check_tie(self._decided_by(feature.node), self.context, varying, times)
            for reading, at_least, gap in self._needed(feature):
                level = at_least - reading.rest
                self.precision.check_sum(feature.node, reading, level, gap)
                self.precision.check_noise(feature.node, reading, level, gap, varying)

    def _needed(self, feature: Feature) -> Iterator[tuple[Reading, Plain, Plain]]:
        """The thresholds that need a neuron: those at which a number changes that something reads."""
        thresholds = self.thresholds.get(id(feature), ())
        for threshold, changes in zip(thresholds, feature.changes if thresholds else (), strict=True):
            if changes:
                yield threshold

    def _decided_by(self, weight: Attend) -> Node:
        """The first step function that reads an attention weight, whose name the user knows."""
        for feature in self.features.by_node.values():
            thresholds = feature.node.thresholds if isinstance(feature.node, StepFunction) else ()
            if any(node == weight for threshold in thresholds for _, node in threshold.terms):
                return feature.node
        return weight

    @property
    def largest_score(self) -> Plain:
        """The largest query, or score of a selected source, before the sharpness multiplies it."""
        return max((each.largest for each in self.qk_circuits.values()), default=0)

    @property
    def steps(self) -> int:
        """How many heads find out whether a position is before some other."""
        return sum(isinstance(each.node, IsBefore) for each in self.features.by_node.values())

    @property
    def tolerates_clearing(self) -> bool:
        """Whether neurons still distinguish their sums if every number has twice the noise.

        After LayerNorm they do not in half precision, where rounding errors are relative.
        """
        if self.precision.normed and not self.precision.is_wide:
            return False
        varying = self.varying
        try:
            for feature in self.features.by_node.values():
                for reading, at_least, gap in self._needed(feature):
                    level = at_least - reading.rest
                    self.precision.check_noise(feature.node, reading, level, gap, varying, times=2)
        except PrecisionError:
            return False
        return True

    @property
    def varying(self) -> Plain:
        """The largest sum of squares of all numbers and of the balance, which is minus their sum."""
        squares: Plain = 0
        total: Plain = 0
        for feature in self.features.by_node.values():
            if feature.is_one_hot or feature.is_code:
                continue
            for i in feature.numbers.values():
                if feature.is_flag(i):
                    continue
                largest = max(map(magnitude, feature.span(i)))
                if feature.is_small(i) and self.features.begin is not None:
                    continue  # float32 rounds it away, see `SMALL_ROTARY`
                if feature.is_small(i):
                    squares += 2 * (SMALL * largest) ** 2
                    continue
                squares += largest * largest
                total += largest
        return squares + total * total

    @property
    def steady(self) -> int:
        """How many dimensions are 1 or -1 at every position."""
        return sum(
            feature.is_code or feature.is_flag(i)
            for feature in self.features.by_node.values()
            for i in feature.numbers.values()
        )

    def _allocate_needs(self, feature: Feature) -> None:
        node = feature.node
        if isinstance(node, Attend):
            how = node.slack, node.unique, node.base, node.by, node.sunk, node.begun
            pattern = node.case, node.picks, how
            if pattern not in self._known:
                self._known[pattern] = qk_circuit(node, self.features, self.context, self.precision)
            self.qk_circuits[id(feature)] = self._known[pattern]
        elif isinstance(node, IsBefore):
            self.qk_circuits[id(feature)] = at_distance(node.end)
        elif isinstance(node, WeightedSum):
            self.qk_circuits[id(feature)] = self.patterns[node]
        elif isinstance(node, StepFunction):
            self.thresholds[id(feature)] = self._thresholds(node)
        elif isinstance(node, Choice):
            self.choices[id(feature)] = (
                self.features.number(node.condition),
                self.features.number(node.yes),
                self.features.number(node.no),
            )

    def _thresholds(self, step_function: StepFunction) -> list[tuple[Reading, Plain, Plain]]:
        """Sum, threshold and gap of every threshold; those with the same terms share one sum."""
        sums: dict[object, Reading] = {}
        found = []
        for threshold in step_function.thresholds:
            key = tuple((factor, node) for factor, node in threshold.terms)
            if key not in sums:
                sums[key] = self._sum(threshold.terms)
            found.append((sums[key], threshold.at_least, threshold.gap))
        return found

    def _sum(self, terms: Iterable[tuple[Plain, Node]]) -> Reading:
        total = Reading(())
        for factor, node in terms:
            total += self.features.number(node) * factor
        return total

    def slot(self, feature: Feature) -> int:
        """When it is written: 0 embedded, 2b + 1 by heads of block b, 2b + 2 by its neurons."""
        waiting = [feature]
        while waiting:
            here = waiting[-1]
            known = id(here) in self.slots
            read = [] if known else [h for r in self.reads(here) for _, h, _ in r.terms]
            if isinstance(here.node, Linear):
                read += [self.features.by_node[node] for _, node in here.node.terms]
            later = [h for h in read if id(h) not in self.slots]
            if later:
                waiting += later
                continue
            waiting.pop()
            if not known:
                before = max((self.slots[id(h)] for h in read), default=0)
                self.slots[id(here)] = _slot_after(here.node, before)
        return self.slots[id(feature)]

    def reads(self, feature: Feature) -> list[Reading]:
        """The readings from which a feature is computed."""
        if isinstance(feature.node, Attend | IsBefore | WeightedSum):
            channels = self.qk_circuits[id(feature)].channels
            return [
                *(r for c in channels for r in (c.query, c.key)),
                *feature.moved,
                *feature.moved_logits.values(),
                *([feature.moved_number] if feature.moved_number is not None else []),
            ]
        if isinstance(feature.node, StepFunction):
            return [reading for reading, _, _ in self.thresholds[id(feature)]]
        return list(self.choices.get(id(feature), ()))


def _slot_after(node: Node, before: int) -> int:
    """The first slot of a node after `before`, when the last of its operands is written."""
    if isinstance(node, Embedded):
        return 0
    if isinstance(node, Linear):
        return before  # what makes its terms adds them up
    is_head = isinstance(node, Attend | IsBefore | WeightedSum)
    return (before + 1) // 2 * 2 + 1 if is_head else before // 2 * 2 + 2


def _is_crowded(feature: Feature) -> bool:
    """Whether more numbers of a value are read than it has values."""
    is_table = isinstance(feature.node, Embedded | StepFunction)
    return is_table and ITSELF not in feature.numbers and len(feature.numbers) > len(feature.values)
