"""QK circuits: the conditions of a selection, and the order of its sources, as one attention score.

A score adds up the terms of all conditions and, for the latest or the earliest source, its position. In
half precision scores are *centred*: a constant is subtracted, so that sources that match have scores
near 0. All others may then have scores that are rounded, or minus infinity in float16, which ends at
65504. Their attention weight is exactly 0 then too, as long as some visible source has a finite score
and no score is plus infinity: softmax subtracts the largest score, and exp(-infinity) is 0. Products
are added up in float32, where nothing overflows, so no sum has infinities of both signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from handcraft.circuits import AttentionWeights, ByContent, LookBack
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading, greatest, least, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.features.scores.at_start import number_at_start
from handcraft.compiler.features.scores.match_channels import match_channels
from handcraft.compiler.features.scores.score_terms import (
    Channel,
    ScoreTerms,
    equality_form,
    scaled,
    score_terms,
)
from handcraft.compiler.passes.cases import Setting, at_positions, distance_back, names_one_position
from handcraft.compiler.passes.ir import Attend
from handcraft.display import short_repr
from handcraft.language.graph.domain import FLAGS, Plain, as_number, magnitude
from handcraft.language.graph.node import Comparison, Node, is_position
from handcraft.language.graph.source_counts import selects_itself


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
        size: no score that must be finite is further from 0.
        base: the factor by which each failed condition divides a weight; None for hard attention.
        attention_weights: for each destination the weights of its sources; None where the conditions
            alone decide them.
        error_bound: the largest error of such a weight.
        distance: where it attends by distance alone; then there are no channels.
        content: of a rotary model, which of the sources with a score of 0 it attends to.
    """

    channels: tuple[Channel, ...]
    gap: int
    picks_one: bool
    is_centred: bool = False
    size: Plain = 0
    base: int | None = None
    attention_weights: tuple[AttentionWeights, ...] | None = None
    error_bound: float = 0
    distance: LookBack | None = None
    content: ByContent | None = None

    @cached_property
    def key(self) -> object:
        """QK circuits with equal keys have the same attention pattern."""
        if self.distance is not None:
            return self.distance
        channels = tuple((_key(c.query), _key(c.key)) for c in self.channels)
        return channels, self.gap, self.is_centred, self.base, self.content

    @property
    def largest(self) -> Plain:
        """No query, and no score that must be finite, is further from 0."""
        if self.distance is not None or self.content is not None:
            return 0
        return max(self.size, *(magnitude(end) for c in self.channels for end in c.query.span), 0)


def _key(reading: Reading) -> object:
    return frozenset((f, id(feature), i) for f, feature, i in reading.terms), reading.constant


def at_distance(back: int) -> QKCircuit:
    """The QK circuit of a head that looks so far back, or finds the begin token."""
    return QKCircuit((), 1, picks_one=True, distance=LookBack(back))


def qk_circuit(node: Attend, features: Features, context: int, precision: Precision) -> QKCircuit:
    """The QK circuit of the output of a head.

    Args:
        node: the output of a head.
        features: allocates what the scores read.
        context: the number of positions.
        precision: which scores the dtype distinguishes.

    Raises:
        PrecisionError: the dtype does not distinguish those that it must.
        CompileError: a condition takes too many channels.
    """
    return _Scores(node, features, context, precision).made()


@dataclass(frozen=True)
class _Scores:
    """The score of a head, on the way to its QK circuit."""

    node: Attend
    features: Features
    context: int
    precision: Precision

    def made(self) -> QKCircuit:
        node, span = self.node, self._span
        if node.begun and node.picks == "mean":
            return self._by_content()
        if self.features.begin is not None and (back := self._distance_back()) is not None:
            return at_distance(back)
        if self.features.begin is not None:
            return self._by_content()
        if node.sunk:
            return self._with_sink()
        above = 1 << span.bit_length() if self._is_ordered else 1
        largest = min(self.precision.whole, self.precision.steady // (4 * above))
        terms = [
            score_terms(match, self.features, flat=self._is_flat, largest=largest)
            for match in node.case
        ]
        reach = above * sum(each.reach for each in terms) + span
        is_tight = self._is_ordered and self.precision.is_rounded and reach > self.precision.steady
        is_centred = is_tight and all(each.most is not None for each in terms)
        if is_centred:
            channels, size = self._centred(terms)
        else:
            channels = [channel for each in terms for channel in scaled(each.channels, above)]
            size = above * sum(each.size for each in terms) + node.slack + self._is_ordered * span
            if self._is_ordered:
                self.precision.check_score(node, reach, 1)
                channels.append(self._recency(0))
        if node.slack:
            channels.append(Channel(Reading((), node.slack), self._is_first))
        channels = [
            c
            for c in channels
            if (c.key.terms or (is_centred and c.key.constant)) and (c.query.terms or c.query.constant)
        ]
        gap = 1 if self._is_ordered else min((each.gap for each in terms), default=1)
        picks_one = node.picks != "mean" and node.by != node.value
        return QKCircuit(tuple(channels), gap, picks_one, is_centred, size, node.base or None)

    def _by_content(self) -> QKCircuit:
        """The sources that match, one or all of them, or the begin token where none does.

        Raises:
            PrecisionError: several share the attention, and the dtype does not hold their parts.
        """
        node = self.node
        assert node.by is None
        channels = [each for match in node.case for each in match_channels(match, self.features)]
        if node.picks == "mean":
            self.precision.check_parts(node)
            content = ByContent("counted" if node.begun else "every")
            return QKCircuit(tuple(channels), 1, picks_one=False, is_centred=True, content=content)
        content = ByContent("any" if node.unique else node.picks)
        picks_one = node.value.domain != FLAGS or not node.unique
        return QKCircuit(tuple(channels), 1, picks_one, is_centred=True, content=content)

    def _distance_back(self) -> int | None:
        """How many positions back its one source is, wherever there is one; None if that varies."""
        setting = Setting(self.context, causal=True)
        if not names_one_position(self.node.case, setting):
            return None
        queries = at_positions(self.node.case[0].query, setting)
        return distance_back([int(as_number(query)) for query in queries])

    def _centred(self, terms: Sequence[ScoreTerms]) -> tuple[list[Channel], Plain]:
        """The channels of centred scores, and how far from 0 those of possible best sources are.

        A source that fails a condition must lie below all that match, so a failure costs as many units
        as there are positions. If the scores of all sources are exact, or that of the destination
        itself, which is always visible, some best score is finite. If not, position 0 becomes a sink.
        """
        span, half = self._span, self._span // 2
        above = 1 << (span - 1).bit_length()
        factors = [max(1, above // each.gap) for each in terms]
        costs = [factor * each.cost for factor, each in zip(factors, terms, strict=True)]
        own = [
            0 if selects_itself((match,)) else cost
            for match, cost in zip(self.node.case, costs, strict=True)
        ]
        lowest = min(sum(costs), sum(own)) + half
        is_sunk = lowest > self.precision.steady
        if is_sunk:  # what fails must lie below position 0 besides
            above = 1 << span.bit_length()
            factors = [above] * len(terms)
            lowest = half + max(1, above // 8)
        self.precision.check_score(self.node, max(lowest, span), 1)
        channels = [
            channel
            for factor, each in zip(factors, terms, strict=True)
            for channel in scaled(each.channels, factor)
        ]
        most = sum(factor * (each.most or 0) for factor, each in zip(factors, terms, strict=True))
        recency = self._recency(half)
        constant = Channel(Reading((), Fraction(-most, above)), Reading((), above))
        sink = [self._sink(channels, above, most - max(1, above // 8))] if is_sunk else []
        return [*channels, recency, constant, *sink], max(lowest, span - half)

    def _with_sink(self) -> QKCircuit:
        """Sources that match have a score of 0, and so has position 0, whatever fails there."""
        terms = [
            score_terms(match, self.features, flat=False, largest=self.precision.whole)
            for match in self.node.case
        ]
        if any(each.most is None for each in terms):
            self.precision.refuse_ties(self.node)
        most = sum(each.most or 0 for each in terms)
        channels = [channel for each in terms for channel in each.channels]
        constant = Channel(Reading((), -most), Reading((), 1))
        sink = self._sink(channels, 1, most)
        gap = min(each.gap for each in terms)
        size = sum(each.cost for each in terms)
        return QKCircuit((*channels, constant, sink), gap, False, is_centred=True, size=size)

    def _recency(self, middle: int) -> Channel:
        """The term by which later sources, or earlier ones, have higher scores."""
        recent = self.features.number(self.node.by or self._position)
        sign = 1 if self.node.picks == "latest" else -1
        return Channel(Reading((), sign), recent + Reading((), -middle))

    def _sink(self, channels: Sequence[Channel], factor: int, score: Plain) -> Channel:
        """A channel that gives position 0, if it does not match, the best score of all that do not.

        Without it, rounded scores could tie where no source matches, and the head would move a mixture.
        Position 0 has the lowest priority anyway if the latest source is selected.

        Args:
            channels: of its conditions.
            factor: of the key, so that no weight of the query is too large for the dtype.
            score: of position 0, from all these channels.

        Raises:
            PrecisionError: the score of position 0 depends on its token, or the latest source is not
                the one selected.
        """
        keys = [number_at_start(channel.key) for channel in channels]
        if self.node.picks == "earliest" or None in keys:
            self.precision.refuse_ties(self.node)
        total = sum_of([c.query * -k for c, k in zip(channels, keys, strict=True) if k is not None])
        query = (total + Reading((), score)) * Fraction(1, factor)
        return Channel(query, self._is_first * factor)

    @property
    def _position(self) -> Node:
        return Setting(self.context, causal=True).position

    @property
    def _is_first(self) -> Reading:
        """Whether a source is position 0."""
        return self.features.read(self._position, tuple(int(i == 0) for i in range(self.context)))

    @property
    def _span(self) -> int:
        """How many numbers order the sources."""
        by = self.node.by or self._position
        return 1 + int(greatest(by) - least(by))

    @property
    def _is_ordered(self) -> bool:
        """Whether a position decides between several sources that match."""
        return self.node.picks != "mean" and not self.node.unique and not self._finds_one

    @property
    def _is_flat(self) -> bool:
        """Whether all failures must cost the same, or selected scores must be 0 after LayerNorm."""
        node = self.node
        return node.slack > 0 or node.base > 0 or (self.features.normed and node.picks == "mean")

    @property
    def _finds_one(self) -> bool:
        """Whether a single condition has exactly one best source, even if no source meets it.

        On a parabola, the visible position nearest to the query is best. Bits have no distance: then
        the position must be visible, or another must stand for it.
        """
        if len(self.node.case) != 1 or self.node.case[0].relation is not Comparison.EQ:
            return False
        (match,) = self.node.case
        if not is_position(match.key):
            return False
        if equality_form(match, self.features, self.precision.steady // 4) == "parabola":
            return True
        return names_one_position(self.node.case, Setting(self.context, causal=True))
