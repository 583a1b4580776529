"""How each feature is computed, and when: as soon as its operands are available."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from handcraft.circuits import AttentionWeights
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.at_start import number_at_start
from handcraft.compiler.features.feature import ITSELF, Feature, Reading, greatest, least, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.features.score_terms import Channel, is_on_parabola, scaled, score_terms
from handcraft.compiler.passes.cases import Setting, holds_of_itself, names_one_position
from handcraft.compiler.passes.ir import Attend, StepFunction, WeightedSum
from handcraft.display import short_repr
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.language.graph.node import Choice, Comparison, Embedded, Linear, Node, is_position
from handcraft.weights.layout import SMALL


@short_repr
@dataclass(frozen=True)
class QKCircuit:
    """A QK circuit.

    Args:
        channels: the terms of the scores.
        gap: the smallest difference between the best score and others.
        picks_one: whether it selects exactly one source.
        is_centred: whether matching sources have scores near 0. Then the constants of keys count,
            which otherwise add the same to all sources.
        size: the largest absolute score.
        base: the factor by which each failed condition divides a weight; None for hard attention.
        attention_weights: for each destination the weights of its sources; None where the conditions
            alone decide them.
        error_bound: the largest error of such a weight.
    """

    channels: tuple[Channel, ...]
    gap: int
    picks_one: bool
    is_centred: bool = False
    size: int = 0
    base: int | None = None
    attention_weights: tuple[AttentionWeights, ...] | None = None
    error_bound: float = 0

    @cached_property
    def key(self) -> object:
        """QK circuits with equal keys have the same attention pattern."""
        channels = tuple((_key(c.query), _key(c.key)) for c in self.channels)
        return channels, self.gap, self.is_centred, self.base


def _key(reading: Reading) -> object:
    return frozenset((f, id(feature), i) for f, feature, i in reading.terms), reading.constant


@short_repr
@dataclass
class Assembly:
    """All features, and how each is computed.

    Args:
        features: allocates them.
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
            if _is_crowded(feature) and not self.features.in_bits:
                feature.is_one_hot = True

    def check(self) -> None:
        """Raise unless every threshold, and every tie, holds in spite of rounding and LayerNorm.

        Raises:
            PrecisionError: one does not.
        """
        varying = self.varying
        for feature in self.features.by_node.values():
            if isinstance(feature.node, Attend) and feature.node.slack:
                self.precision.check_tie(self._decided_by(feature.node), self.context, varying)
            for reading, at_least, gap in self._needed(feature):
                level = at_least - reading.rest
                self.precision.check_sum(feature.node, reading, level, gap)
                self.precision.check_noise(feature.node, reading, level, gap, varying)

    def _needed(self, feature: Feature) -> Iterator[tuple[Reading, Plain, Plain]]:
        """The thresholds at which a number that is read changes; the others take no neuron."""
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
    def largest_score(self) -> int:
        """The largest attention score, before it is multiplied by the sharpness."""
        return max((each.size for each in self.qk_circuits.values()), default=0)

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
                if feature.is_small(i):
                    squares += 2 * (SMALL * largest) ** 2
                    continue
                squares += largest * largest
                total += largest
        return squares + total * total

    def _allocate_needs(self, feature: Feature) -> None:
        node = feature.node
        if isinstance(node, Attend):
            pattern = node.case, node.picks, node.slack, node.unique, node.base, node.by
            if pattern not in self._known:
                self._known[pattern] = self._qk_circuit(node)
            self.qk_circuits[id(feature)] = self._known[pattern]
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

    def _qk_circuit(self, node: Attend) -> QKCircuit:
        ordered = node.picks != "mean" and not node.unique and not self._finds_one(node)
        position = Setting(self.context, causal=True).position
        by = node.by or position
        span = 1 + int(greatest(by) - least(by))
        above = 1 << span.bit_length() if ordered else 1
        largest = min(self.precision.whole, self.precision.steady // (4 * above))
        terms = [
            score_terms(match, self.features, flat=self._is_flat(node), largest=largest)
            for match in node.case
        ]
        channels = [channel for each in terms for channel in each.channels]
        gap = min((each.gap for each in terms), default=1)
        reach = above * sum(each.reach for each in terms) + span
        is_tight = ordered and self.precision.is_rounded and reach > self.precision.steady
        is_centred = is_tight and all(each.most is not None for each in terms)
        if ordered:
            sign = 1 if node.picks == "latest" else -1
            recent = self.features.number(by)
            channels = [*scaled(channels, above), Channel(Reading((), sign), recent)]
            gap = 1
            if is_centred:
                most = sum(each.most or 0 for each in terms)
                own = above * sum(
                    0 if holds_of_itself((m,)) else e.cost
                    for m, e in zip(node.case, terms, strict=True)
                )
                is_sunk = own + span <= self.precision.steady
                score = above * most - max(1, above // 8)
                sink = [] if is_sunk else self._sink(node, channels[:-1], above, score)
                channels[-1] = Channel(Reading((), sign), recent + Reading((), -(span // 2)))
                channels += [Channel(Reading((), -most), Reading((), above)), *sink]
        if node.slack:
            first = tuple(int(i == 0) for i in range(self.context))
            channels.append(Channel(Reading((), node.slack), self.features.read(position, first)))
        channels = [
            c
            for c in channels
            if (c.key.terms or (is_centred and c.key.constant)) and (c.query.terms or c.query.constant)
        ]
        if ordered:
            self.precision.check_score(node, span if is_centred else reach, 1)
        picks_one = node.picks != "mean" and node.by != node.value
        costs = sum(each.cost if is_centred else each.size for each in terms)
        size = above * costs + node.slack + ordered * span
        return QKCircuit(tuple(channels), gap, picks_one, is_centred, size, node.base or None)

    def _sink(
        self, node: Attend, channels: Sequence[Channel], factor: int, score: int
    ) -> list[Channel]:
        """A channel that gives position 0, if it does not match, the best score of all that do not.

        Without it, rounded scores could tie where no source matches, and the head would move a mixture.
        Position 0 has the lowest priority anyway if the latest source is selected.

        Args:
            node: the output of the head.
            channels: of its conditions.
            factor: of the key, so that no weight of the query is too large for the dtype.
            score: of position 0, from all these channels.

        Raises:
            PrecisionError: the score of position 0 depends on its token, or the latest source is not
                the one selected.
        """
        keys = [number_at_start(channel.key) for channel in channels]
        if node.picks != "latest" or None in keys:
            self.precision.refuse_ties(node)
        total = sum_of([c.query * -k for c, k in zip(channels, keys, strict=True) if k is not None])
        position = Setting(self.context, causal=True).position
        first = tuple(int(i == 0) for i in range(self.context))
        query = (total + Reading((), score)) * Fraction(1, factor)
        return [Channel(query, self.features.read(position, first) * factor)]

    def _finds_one(self, node: Attend) -> bool:
        """Whether a single condition has exactly one best source, even if no source meets it.

        On a parabola, the visible position nearest to the query is best. Bits have no distance: then
        the position must be visible, or another must stand for it.
        """
        if len(node.case) != 1 or node.case[0].relation is not Comparison.EQ:
            return False
        (match,) = node.case
        if not is_position(match.key):
            return False
        if is_on_parabola(match, self.precision.steady // 4) and not self.features.in_bits:
            return True
        return names_one_position(node.case, Setting(self.context, causal=True))

    def _is_flat(self, node: Attend) -> bool:
        """Whether all failures must cost the same, or selected scores must be 0 after LayerNorm."""
        return node.slack > 0 or node.base > 0 or (self.features.normed and node.picks == "mean")

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
        if isinstance(feature.node, Attend | WeightedSum):
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
    is_head = isinstance(node, Attend | WeightedSum)
    return (before + 1) // 2 * 2 + 1 if is_head else before // 2 * 2 + 2


def _is_crowded(feature: Feature) -> bool:
    """Whether more numbers of a value are read than it has values."""
    is_table = isinstance(feature.node, Embedded | StepFunction)
    return is_table and ITSELF not in feature.numbers and len(feature.numbers) > len(feature.values)
