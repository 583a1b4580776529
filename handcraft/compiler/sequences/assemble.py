"""Held values to circuits: every value in the first block that can make it, heads that agree merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Nats,
    Neuron,
    Ramp,
    Relation,
    Subspace,
    Table,
    one_hot,
    scalar,
)
from handcraft.compiler.sequences.cases import Setting, looks_back
from handcraft.compiler.sequences.channels import Channel, is_on_parabola, meet, scaled
from handcraft.compiler.sequences.decisions import Speaker
from handcraft.compiler.sequences.held import ITSELF, Held, Holder, Reading, greatest, least
from handcraft.compiler.sequences.ir import Attend, Ladder
from handcraft.compiler.sequences.precision import Precision
from handcraft.language.sequences.domain import Plain, Value, magnitude
from handcraft.language.sequences.node import Choice, Comparison, Embedded
from handcraft.origin import Origin, Place
from handcraft.vocabulary import Vocabulary


@dataclass(frozen=True)
class Looking:
    """A QK circuit: its channels, and whether it finds one source."""

    channels: tuple[Channel, ...]
    gap: int
    picks_one: bool

    @cached_property
    def key(self) -> object:
        """Two that have the same key attend to the same sources."""
        return tuple((_key(c.query), _key(c.key)) for c in self.channels), self.gap


def _key(reading: Reading) -> object:
    return frozenset((f, id(held), i) for f, held, i in reading.terms), reading.constant


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
            if _is_crowded(held):
                held.is_one_hot = True
        for held in self.holder.held.values():
            for reading, _, gap in self.rungs.get(id(held), ()):
                self.precision.check_sum(held.node, reading.size + magnitude(reading.constant), gap)

    def _ask(self, held: Held) -> None:
        node = held.node
        if isinstance(node, Attend):
            self.looking[id(held)] = self._look(node)
        elif isinstance(node, Ladder):
            self.rungs[id(held)] = [
                (self._sum(rung.terms), rung.at_least, rung.gap) for rung in node.rungs
            ]
        elif isinstance(node, Choice):
            self.choices[id(held)] = (
                self.holder.number(node.condition),
                self.holder.number(node.yes),
                self.holder.number(node.no),
            )

    def _sum(self, terms: Iterable[tuple[Plain, object]]) -> Reading:
        total = Reading(())
        for factor, node in terms:
            total += self.holder.number(node) * factor  # type: ignore[arg-type]
        return total

    def _look(self, node: Attend) -> Looking:
        ordered = node.picks != "mean" and not node.unique and not self._finds_one(node)
        above = 1 << self.context.bit_length() if ordered else 1
        largest = min(self.precision.whole, self.precision.steady // (4 * above))
        channels: list[Channel] = []
        gaps: list[int] = []
        for match in node.case:
            met = meet(match, self.holder, flat=self._is_flat(node), largest=largest)
            channels += met.channels
            gaps.append(met.gap)
        gap = min(gaps, default=1)
        position = Setting(self.context, causal=True).position
        if ordered:
            sign = 1 if node.picks == "latest" else -1
            channels = [
                *scaled(channels, above),
                Channel(Reading((), sign), self.holder.number(position)),
            ]
            gap = 1
        if node.forgiven:
            first = tuple(int(i == 0) for i in range(self.context))
            channels.append(Channel(Reading((), node.forgiven), self.holder.read(position, first)))
        channels = [c for c in channels if c.key.terms and (c.query.terms or c.query.constant)]
        if ordered:
            self.precision.check_score(node, above * len(node.case) + self.context, 1)
        return Looking(tuple(channels), gap, node.picks != "mean")

    def _finds_one(self, node: Attend) -> bool:
        """Whether one source is nearest to what a single condition asks for, also where none meets it.

        A condition that names a position does so on a parabola, where the nearest visible position is
        best. Bits know no nearness: the position must then be seen, or one that stands for it.
        """
        if len(node.case) != 1 or node.case[0].relation is not Comparison.EQ:
            return False
        (match,) = node.case
        if not isinstance(match.key, Embedded) or match.key.of != "position":
            return False
        if is_on_parabola(match, self.precision.steady // 4):
            return True
        return looks_back(match, Setting(self.context, causal=True))

    def _is_flat(self, node: Attend) -> bool:
        """Whether all failures must cost the same, or selected scores be 0 behind LayerNorm."""
        return node.forgiven > 0 or (self.holder.normed and node.picks == "mean")

    def slot(self, held: Held) -> int:
        """When it is there: 0 embedded, 2b + 1 after the heads of block b, 2b + 2 after its neurons."""
        if id(held) not in self.slots:
            before = max((self.slot(h) for r in self.reads(held) for _, h, _ in r.terms), default=0)
            if isinstance(held.node, Embedded):
                self.slots[id(held)] = 0
            elif isinstance(held.node, Attend):
                self.slots[id(held)] = (before + 1) // 2 * 2 + 1
            else:
                self.slots[id(held)] = before // 2 * 2 + 2
        return self.slots[id(held)]

    def reads(self, held: Held) -> list[Reading]:
        """Everything that is read to make it."""
        if isinstance(held.node, Attend):
            channels = self.looking[id(held)].channels
            return [r for c in channels for r in (c.query, c.key)] + held.brought
        if isinstance(held.node, Ladder):
            return [reading for reading, _, _ in self.rungs[id(held)]]
        return list(self.choices.get(id(held), ()))


def _is_crowded(held: Held) -> bool:
    """Whether more numbers of a value are read than it has values."""
    is_table = isinstance(held.node, Embedded | Ladder)
    return is_table and ITSELF not in held.numbers and len(held.numbers) > len(held.values)


class Places:
    """The subspaces of what is held.

    Args:
        assembly: everything that is held.
        vocabulary: the tokens.
    """

    def __init__(self, assembly: Assembly, vocabulary: Vocabulary) -> None:
        self.assembly = assembly
        self.vocabulary = vocabulary
        self.used: dict[str, int] = {}
        self.subspaces: dict[int, list[Subspace]] = {}
        for held in assembly.holder.held.values():
            self.subspaces[id(held)] = self._named(held)

    def _named(self, held: Held) -> list[Subspace]:
        name = self._unique(_short(held.node.text))
        if held.is_one_hot:
            return [one_hot(name, [_shown(value) for value in held.values])]
        return [scalar(name if i == 0 else f"{name} ({i + 1})") for i in range(len(held.numbers))]

    def _unique(self, name: str) -> str:
        self.used[name] = self.used.get(name, 0) + 1
        return name if self.used[name] == 1 else f"{name}, {self.used[name]}"

    def dimension(self, held: Held, i: int) -> tuple[Subspace, int]:
        """The subspace and the dimension in it of one number."""
        subspaces = self.subspaces[id(held)]
        return (subspaces[0], i) if held.is_one_hot else (subspaces[i], 0)

    def coefficients(self, reading: Reading) -> tuple[Coefficients, ...]:
        """A reading, subspace by subspace."""
        entries: dict[Subspace, dict[int, Plain]] = {}
        for factor, held, i in reading.terms:
            subspace, dimension = self.dimension(held, i)
            row = entries.setdefault(subspace, {})
            for place, number in self._spread(held, i, dimension):
                row[place] = row.get(place, 0) + factor * number
        return tuple(
            Coefficients(s, tuple(sorted((i, n) for i, n in row.items() if n)))
            for s, row in entries.items()
        )

    def _spread(self, held: Held, i: int, dimension: int) -> Iterable[tuple[int, Plain]]:
        """Of a value that is held one-hot any number is a sum over its dimensions."""
        if not held.is_one_hot or not held.numbers:
            return [(dimension, 1)]
        return enumerate(next(numbers for numbers, d in held.numbers.items() if d == i))

    def maps(self, reading: Reading, target: Subspace, at: int = 0) -> list[LinearMap]:
        """A reading, into one dimension of a channel."""
        return [
            LinearMap(part.subspace, target, tuple((i, at, n) for i, n in part.entries))
            for part in self.coefficients(reading)
        ]


def assemble(
    assembly: Assembly,
    vocabulary: Vocabulary,
    *,
    causal: bool,
    place: Place | None,
    speakers: Sequence[Speaker] = (),
    nats: Nats | None = None,
) -> tuple[Circuits, Places]:
    """The circuits of everything that is held, and where they hold it.

    Args:
        assembly: everything that is held.
        vocabulary: the tokens.
        causal: whether a position sees only itself and earlier ones.
        place: where the program was written.
        speakers: neurons that write logits; none where nobody asks for logits.
        nats: where logits are log-probabilities, what keeps their scale.
    """
    places = Places(assembly, vocabulary)
    helds = list(assembly.holder.held.values())
    last = max((assembly.slots[id(h)] for h in helds), default=0)
    count = max(1, (last + 1) // 2)
    if speakers:
        heard = [assembly.slots[id(h)] for s in speakers for _, h, _ in s.reading.terms]
        count = max(count, max(heard, default=0) // 2 + 1)
    unembedding = _unembedding(helds, places) if speakers else None
    blocks = []
    for number in range(count):
        heads = [h for h in helds if assembly.slots[id(h)] == 2 * number + 1]
        layer = [h for h in helds if assembly.slots[id(h)] == 2 * number + 2]
        neurons: list[Neuron | Ramp] = []
        for held in layer:
            neurons += _neurons(held, assembly, places)
        biases = [bias for held in layer for bias in _biases(held, assembly, places)]
        if number == count - 1 and unembedding is not None:
            for k, speaker in enumerate(speakers):
                spoken = _spoken(speaker, k, unembedding, places, nats)
                if not isinstance(spoken, Neuron):
                    biases += spoken
                else:
                    neurons.append(spoken)
        blocks.append(
            Block(
                heads=tuple(_heads(heads, assembly, places)),
                neurons=tuple(neurons),
                neuron_bias=tuple(biases),
            )
        )
    tables = [t for h in helds if isinstance(h.node, Embedded) for t in _tables(h, places)]
    circuits = Circuits(
        vocabulary,
        assembly.context,
        embedding=tables or [Table("position", scalar("nothing"), ((),) * assembly.context)],
        blocks=blocks,
        unembedding=unembedding,
        causal=causal,
        nats=nats,
        place=place,
    )
    return circuits, places


def _unembedding(helds: Sequence[Held], places: Places) -> Subspace:
    return next(
        places.subspaces[id(h)][0]
        for h in helds
        if isinstance(h.node, Embedded) and h.node.of == "token"
    )


def _spoken(
    speaker: Speaker, number: int, logits: Subspace, places: Places, nats: Nats | None
) -> Neuron | list[Bias]:
    """A neuron that writes logits, or biases where it would always fire."""
    writes = [Coefficients(logits, tuple(sorted(speaker.writes.items())))]
    if nats is not None and speaker.rest:
        writes.append(Coefficients(nats.rest, ((0, speaker.rest),)))
    if not speaker.reading.terms:
        return [Bias(each, (speaker.origin,)) for each in writes]
    return Neuron(
        f"{_short(speaker.origin.what)}, {number + 1}",
        places.coefficients(speaker.reading),
        speaker.at_least - speaker.reading.constant,
        tuple(writes),
        (speaker.origin,),
        gap=1,
    )


def _tables(held: Held, places: Places) -> list[Table]:
    """The columns of wte or wpe that hold a source."""
    assert isinstance(held.node, Embedded)
    if held.is_one_hot:
        subspace = places.subspaces[id(held)][0]
        return [Table(held.node.of, subspace, tuple(((i, 1),) for i in range(subspace.width)))]
    tables = []
    for numbers, i in held.numbers.items():
        subspace, _ = places.dimension(held, i)
        rows = tuple(((0, n),) if n else () for n in numbers)
        tables.append(Table(held.node.of, subspace, rows))
    return tables


def _heads(helds: Sequence[Held], assembly: Assembly, places: Places) -> list[Head]:
    """One head for all that is brought from the same sources."""
    groups: dict[object, list[Held]] = {}
    for held in helds:
        if any(reading.terms for reading in held.brought):  # else it brings the same from everywhere
            groups.setdefault(assembly.looking[id(held)].key, []).append(held)
    return [_head(group, assembly, places) for group in groups.values()]


def _head(group: Sequence[Held], assembly: Assembly, places: Places) -> Head:
    looking = assembly.looking[id(group[0])]
    matching = [scalar(f"match {i + 1}") for i in range(len(looking.channels))]
    queries: list[LinearMap] = []
    keys: list[LinearMap] = []
    asked: list[Coefficients] = []
    for channel, target in zip(looking.channels, matching, strict=True):
        queries += places.maps(channel.query, target)
        keys += places.maps(channel.key, target)
        if channel.query.constant:
            asked.append(Coefficients(target, ((0, channel.query.constant),)))
    moves: list[LinearMap] = []
    writes: list[LinearMap] = []
    origins: dict[Origin, None] = {}
    for held in group:
        origins[held.node.origin] = None
        for i, reading in enumerate(held.brought):
            if not reading.terms:
                continue
            carried = scalar(f"carried {len(writes) + 1}")
            moves += places.maps(reading, carried)
            subspace, dimension = places.dimension(held, i)
            writes.append(LinearMap(carried, subspace, ((0, dimension, 1),)))
    name = _short(group[0].node.text)
    relation = Relation(
        _label(group[0].node),
        tuple(queries),
        tuple(keys),
        looking.gap,
        picks_one=looking.picks_one,
        always_asked=tuple(asked),
    )
    return Head(name, relation, tuple(moves), tuple(writes), origins=tuple(origins))


def _label(node: object) -> str:
    assert isinstance(node, Attend)
    said = [
        f"{m.key} {m.relation.value if isinstance(m.relation, Comparison) else 'fits'} {m.query}"
        for m in node.case
    ]
    return _short(" and ".join(said) or "everything", 60)


def _neurons(held: Held, assembly: Assembly, places: Places) -> list[Neuron | Ramp]:
    if isinstance(held.node, Choice):
        return _ramps(held, held.node, assembly, places)
    ladder = held.node
    assert isinstance(ladder, Ladder)
    name = _short(ladder.text)
    steps = _changes(held, ladder, places)
    neurons: list[Neuron | Ramp] = []
    for k, (reading, at_least, gap) in enumerate(assembly.rungs[id(held)]):
        if not steps[k]:
            continue
        sign = -1 if _is_turned(reading, at_least) else 1
        threshold = at_least - reading.constant
        neurons.append(
            Neuron(
                f"{name}, step {k + 1}",
                places.coefficients(reading * sign),
                threshold if sign > 0 else gap - threshold,
                tuple(Coefficients(s, tuple((i, sign * n) for i, n in e)) for s, e in steps[k].items()),
                (ladder.origin,),
                gap,
            )
        )
    return neurons


def _is_turned(reading: Reading, at_least: Plain) -> bool:
    """Whether a step is written where its threshold is *not* reached, and taken off everywhere.

    The two hidden units of a step grow with the distance to the threshold, and only their difference
    counts; what they lose in rounding is less on the side that is nearer.
    """
    low, high = reading.span
    return high - at_least > at_least - low


_Entries = dict[Subspace, list[tuple[int, Plain]]]


def _changes(held: Held, ladder: Ladder, places: Places) -> list[_Entries]:
    """For each rung, what changes in which dimensions where it is reached."""
    rows = _by_reached(held, ladder)
    found: list[_Entries] = [{} for _ in ladder.rungs]
    for row, i in rows:
        subspace, dimension = places.dimension(held, i)
        for k in range(len(ladder.rungs)):
            if row[k + 1] != row[k]:
                found[k].setdefault(subspace, []).append((dimension, row[k + 1] - row[k]))
    return found


def _by_reached(held: Held, ladder: Ladder) -> list[tuple[list[Plain], int]]:
    """For each dimension, what it holds for each count of reached rungs."""
    place = {(isinstance(v, bool), v): i for i, v in enumerate(held.values)}
    at = [place[isinstance(v, bool), v] for v in ladder.values]
    if held.is_one_hot:
        return [([int(i == j) for i in at], j) for j in range(len(held.values))]
    return [([numbers[i] for i in at], d) for numbers, d in held.numbers.items()]


def _biases(held: Held, assembly: Assembly, places: Places) -> list[Bias]:
    """What a ladder holds where none of its neurons fires."""
    if not isinstance(held.node, Ladder):
        return []
    total: dict[tuple[Subspace, int], Plain] = {}
    for row, i in _by_reached(held, held.node):
        total[places.dimension(held, i)] = row[0]
    rungs = assembly.rungs[id(held)]
    for (reading, at_least, _), step in zip(rungs, _changes(held, held.node, places), strict=True):
        if _is_turned(reading, at_least):
            for subspace, entries in step.items():
                for i, number in entries:
                    total[subspace, i] += number
    entries_of: _Entries = {}
    for (subspace, i), number in total.items():
        if number:
            entries_of.setdefault(subspace, []).append((i, number))
    return [Bias(Coefficients(s, tuple(e)), (held.node.origin,)) for s, e in entries_of.items()]


def _ramps(held: Held, node: Choice, assembly: Assembly, places: Places) -> list[Neuron | Ramp]:
    condition, yes, no = assembly.choices[id(held)]
    subspace, dimension = places.dimension(held, held.numbers[ITSELF])
    writes = (Coefficients(subspace, ((dimension, Fraction(1, held.scale)),)),)
    ramps: list[Neuron | Ramp] = []
    for name, lets, number, of in (
        ("yes", condition, yes, node.yes),
        ("no", condition * -1 + Reading((), 1), no, node.no),
    ):
        span = greatest(of) - least(of)
        if not span:
            continue
        ramps.append(
            Ramp(
                f"{_short(node.text)}, {name}",
                places.coefficients(number),
                number.constant - least(of),
                places.coefficients(lets),
                lets.constant,
                span,
                writes,
                (node.origin,),
            )
        )
    return ramps


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _shown(value: Value) -> str | int:
    """A value as a dimension is named after it."""
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
