"""How everything that is held is made, and when: as soon as what it reads is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from handcraft.compiler.features.at_start import number_at_start
from handcraft.compiler.features.feature import ITSELF, Held, Holder, Reading, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.features.score_terms import Channel, is_on_parabola, meet, scaled
from handcraft.compiler.passes.cases import Setting, holds_of_itself, looks_back
from handcraft.compiler.passes.ir import Attend, Ladder
from handcraft.display import short_repr
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.language.graph.node import Choice, Comparison, Embedded, Node, is_position


@short_repr
@dataclass(frozen=True)
class Looking:
    """A QK circuit.

    Args:
        channels: the terms of the scores.
        gap: the smallest difference between the best score and others.
        picks_one: whether it finds one source.
        is_centred: whether scores where all conditions hold are near 0: then the constants of keys
            count, which otherwise add the same to all sources.
        size: no score is larger, whatever its sign.
    """

    channels: tuple[Channel, ...]
    gap: int
    picks_one: bool
    is_centred: bool = False
    size: int = 0

    @cached_property
    def key(self) -> object:
        """Two that have the same key attend to the same sources."""
        return tuple((_key(c.query), _key(c.key)) for c in self.channels), self.gap, self.is_centred


def _key(reading: Reading) -> object:
    return frozenset((f, id(held), i) for f, held, i in reading.terms), reading.constant


@short_repr
@dataclass
class Assembly:
    """Everything that is held, and how it is made.

    Args:
        holder: decides what is held.
        context: the number of positions.
        precision: what the dtype can tell apart.
    """

    holder: Holder
    context: int
    precision: Precision
    looking: dict[int, Looking] = field(default_factory=dict)
    rungs: dict[int, list[tuple[Reading, Plain, Plain]]] = field(default_factory=dict)
    choices: dict[int, tuple[Reading, Reading, Reading]] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    _known: dict[object, Looking] = field(default_factory=dict)

    def settle(self) -> None:
        """Ask for everything that what is held needs, until nothing more is."""
        done: set[int] = set()
        while True:
            waiting = [h for h in self.holder.held.values() if id(h) not in done]
            if not waiting:
                break
            for held in waiting:
                done.add(id(held))
                self._ask(held)
        for held in self.holder.held.values():
            self.slot(held)
            if _is_crowded(held) and not self.holder.in_bits:
                held.is_one_hot = True
        varying = self.varying
        for held in self.holder.held.values():
            if isinstance(held.node, Attend) and held.node.forgiven:
                self.precision.check_tie(self._read_by(held.node), self.context, varying)
            for reading, at_least, gap in self.rungs.get(id(held), ()):
                level = at_least - reading.rest
                self.precision.check_sum(held.node, reading, level, gap)
                self.precision.check_noise(held.node, reading.weight, level, gap, varying)

    def _read_by(self, share: Attend) -> Node:
        """What is told by a share: the first ladder that sums it, which bears a name of the program."""
        for held in self.holder.held.values():
            rungs = held.node.rungs if isinstance(held.node, Ladder) else ()
            if any(node == share for rung in rungs for _, node in rung.terms):
                return held.node
        return share

    @property
    def largest_score(self) -> int:
        """No attention score is larger, before it is made sharp."""
        return max((each.size for each in self.looking.values()), default=0)

    @property
    def bears_clearing(self) -> bool:
        """Whether neurons still tell their sums apart where every number has twice the noise.

        Behind LayerNorm narrow dtypes do not: what they round is no noise, but a share of each number.
        """
        if self.precision.normed and not self.precision.is_wide:
            return False
        varying = self.varying
        try:
            for held in self.holder.held.values():
                for reading, at_least, gap in self.rungs.get(id(held), ()):
                    level = at_least - reading.rest
                    self.precision.check_noise(held.node, 2 * reading.weight, level, gap, varying)
        except PrecisionError:
            return False
        return True

    @property
    def varying(self) -> Plain:
        """No sum of squares of what is held is larger: all numbers and the balance, minus their sum."""
        squares: Plain = 0
        total: Plain = 0
        for held in self.holder.held.values():
            if held.is_one_hot or held.is_bits:
                continue
            for i in held.numbers.values():
                if held.is_flag(i):
                    continue
                largest = max(map(magnitude, held.span(i)))
                squares += largest * largest
                total += largest
        return squares + total * total

    def _ask(self, held: Held) -> None:
        node = held.node
        if isinstance(node, Attend):
            asked = node.case, node.picks, node.forgiven, node.unique
            if asked not in self._known:
                self._known[asked] = self._look(node)
            self.looking[id(held)] = self._known[asked]
        elif isinstance(node, Ladder):
            self.rungs[id(held)] = self._rungs(node)
        elif isinstance(node, Choice):
            self.choices[id(held)] = (
                self.holder.number(node.condition),
                self.holder.number(node.yes),
                self.holder.number(node.no),
            )

    def _rungs(self, ladder: Ladder) -> list[tuple[Reading, Plain, Plain]]:
        """Sum, threshold and gap of every rung; those that add up the same share one sum."""
        sums: dict[object, Reading] = {}
        found = []
        for rung in ladder.rungs:
            key = tuple((factor, node) for factor, node in rung.terms)
            if key not in sums:
                sums[key] = self._sum(rung.terms)
            found.append((sums[key], rung.at_least, rung.gap))
        return found

    def _sum(self, terms: Iterable[tuple[Plain, Node]]) -> Reading:
        total = Reading(())
        for factor, node in terms:
            total += self.holder.number(node) * factor
        return total

    def _look(self, node: Attend) -> Looking:
        ordered = node.picks != "mean" and not node.unique and not self._finds_one(node)
        above = 1 << self.context.bit_length() if ordered else 1
        largest = min(self.precision.whole, self.precision.steady // (4 * above))
        met = [
            meet(match, self.holder, flat=self._is_flat(node), largest=largest) for match in node.case
        ]
        channels = [channel for each in met for channel in each.channels]
        gap = min((each.gap for each in met), default=1)
        reach = above * sum(each.reach for each in met) + self.context
        is_tight = ordered and self.precision.is_rounded and reach > self.precision.steady
        is_centred = is_tight and all(each.most is not None for each in met)
        position = Setting(self.context, causal=True).position
        if ordered:
            sign = 1 if node.picks == "latest" else -1
            recent = self.holder.number(position)
            channels = [*scaled(channels, above), Channel(Reading((), sign), recent)]
            gap = 1
            if is_centred:
                most = above * sum(each.most or 0 for each in met)
                own = above * sum(
                    0 if holds_of_itself((m,)) else e.cost for m, e in zip(node.case, met, strict=True)
                )
                is_sunk = own + self.context <= self.precision.steady
                sink = [] if is_sunk else self._sink(node, channels[:-1], most - above)
                channels[-1] = Channel(Reading((), sign), recent + Reading((), -self.context // 2))
                channels += [Channel(Reading((), -most), Reading((), 1)), *sink]
        if node.forgiven:
            first = tuple(int(i == 0) for i in range(self.context))
            channels.append(Channel(Reading((), node.forgiven), self.holder.read(position, first)))
        channels = [
            c
            for c in channels
            if (c.key.terms or (is_centred and c.key.constant)) and (c.query.terms or c.query.constant)
        ]
        if ordered:
            self.precision.check_score(node, self.context if is_centred else reach, 1)
        costs = sum(each.cost if is_centred else each.size for each in met)
        size = above * costs + node.forgiven + ordered * self.context
        return Looking(tuple(channels), gap, node.picks != "mean", is_centred, size)

    def _sink(self, node: Attend, channels: Sequence[Channel], score: Plain) -> list[Channel]:
        """What gives position 0 one score wherever it does not fit: more than any other that fails.

        Without it, scores that are rounded could tie where no source fits, and what is brought would be
        a mixture. Position 0 comes last anyway where the latest that fits is looked for.

        Args:
            node: what brings a value.
            channels: of its conditions.
            score: that position 0 is to have from these.

        Raises:
            PrecisionError: what position 0 scores depends on its token, or it is no last resort.
        """
        keys = [number_at_start(channel.key) for channel in channels]
        if node.picks != "latest" or None in keys:
            self.precision.refuse_ties(node)
        total = sum_of([c.query * -k for c, k in zip(channels, keys, strict=True) if k is not None])
        position = Setting(self.context, causal=True).position
        first = tuple(int(i == 0) for i in range(self.context))
        return [Channel(total + Reading((), score), self.holder.read(position, first))]

    def _finds_one(self, node: Attend) -> bool:
        """Whether one source is nearest to what a single condition asks for, also where none meets it.

        A condition that names a position does so on a parabola, where the nearest visible position is
        best. Bits know no nearness: the position must then be seen, or one that stands for it.
        """
        if len(node.case) != 1 or node.case[0].relation is not Comparison.EQ:
            return False
        (match,) = node.case
        if not is_position(match.key):
            return False
        if is_on_parabola(match, self.precision.steady // 4) and not self.holder.in_bits:
            return True
        return looks_back(match, Setting(self.context, causal=True))

    def _is_flat(self, node: Attend) -> bool:
        """Whether all failures must cost the same, or selected scores be 0 behind LayerNorm."""
        return node.forgiven > 0 or (self.holder.normed and node.picks == "mean")

    def slot(self, held: Held) -> int:
        """When it is there: 0 embedded, 2b + 1 after the heads of block b, 2b + 2 after its neurons."""
        waiting = [held]
        while waiting:
            here = waiting[-1]
            known = id(here) in self.slots
            read = [] if known else [h for r in self.reads(here) for _, h, _ in r.terms]
            later = [h for h in read if id(h) not in self.slots]
            if later:
                waiting += later
                continue
            waiting.pop()
            if not known:
                before = max((self.slots[id(h)] for h in read), default=0)
                self.slots[id(here)] = _slot_after(here.node, before)
        return self.slots[id(held)]

    def reads(self, held: Held) -> list[Reading]:
        """Everything that is read to make it."""
        if isinstance(held.node, Attend):
            channels = self.looking[id(held)].channels
            return [
                *(r for c in channels for r in (c.query, c.key)),
                *held.brought,
                *held.said.values(),
            ]
        if isinstance(held.node, Ladder):
            return [reading for reading, _, _ in self.rungs[id(held)]]
        return list(self.choices.get(id(held), ()))


def _slot_after(node: Node, before: int) -> int:
    """The first slot of a node at which what it reads is there."""
    if isinstance(node, Embedded):
        return 0
    return (before + 1) // 2 * 2 + 1 if isinstance(node, Attend) else before // 2 * 2 + 2


def _is_crowded(held: Held) -> bool:
    """Whether more numbers of a value are read than it has values."""
    is_table = isinstance(held.node, Embedded | Ladder)
    return is_table and ITSELF not in held.numbers and len(held.numbers) > len(held.values)
