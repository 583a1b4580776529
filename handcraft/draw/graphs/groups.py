"""What is drawn as one box: subspaces that play the same part, neurons that read and write alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from handcraft.circuits import Circuits, Neuron, Ramp, Subspace

MOST_APART = 2
"""Up to so many subspaces with the same part are drawn one by one."""

MOST_GROUPS = 4
"""Up to so many groups of neurons of one block are drawn."""

MOST_PARTS = 20
"""Up to so many groups of heads, or of neurons, of one block have a box each beside lanes."""

Item = TypeVar("Item")

_Part = tuple[str | int, ...]
"""One thing done with a subspace, such as ``("key", 0, 1)``: read as a key by head 1 of block 0."""


@dataclass(frozen=True, eq=False)
class Family:
    """Subspaces that are drawn as one box."""

    members: tuple[Subspace, ...]
    is_idle: bool = False


@dataclass(frozen=True)
class NeuronGroup:
    """Neurons of one block that are drawn as one box."""

    neurons: tuple[Neuron | Ramp, ...]
    reads: tuple[Family, ...]
    writes: tuple[Family, ...]


def subspace_families(circuits: Circuits) -> tuple[Family, ...]:
    """The residual stream, with subspaces in one family where they are many and play the same part.

    Two subspaces play the same part where they have the same encoding and width, and the same heads,
    tables, and layers of neurons and biases read them and write to them.
    """
    parts: dict[Subspace, dict[_Part, None]] = {subspace: {} for subspace in circuits.stream}
    for subspace, part in _parts(circuits):
        parts[subspace][part] = None
    alike: dict[object, list[Subspace]] = {}
    for subspace, played in parts.items():
        key = (subspace.encoding, subspace.width, tuple(sorted(played, key=str)))
        alike.setdefault(key, []).append(subspace)
    families: list[Family] = []
    for members in alike.values():
        together = [members] if len(members) > MOST_APART else [[member] for member in members]
        families.extend(Family(tuple(family), not parts[family[0]]) for family in together)
    order = {subspace: i for i, subspace in enumerate(circuits.stream)}
    return tuple(sorted(families, key=lambda family: order[family.members[0]]))


def neuron_groups(
    neurons: Sequence[Neuron | Ramp], family_of: Mapping[Subspace, Family]
) -> tuple[NeuronGroup, ...]:
    """The neurons of one block, grouped by what they read and write; by less where that is too many."""
    writes = [_unique(family_of[w.subspace] for w in neuron.writes) for neuron in neurons]
    reads = [_unique(family_of[r.subspace] for r in neuron.all_reads) for neuron in neurons]
    keys: Sequence[Sequence[object]] = (
        list(zip(map(frozenset, reads), map(frozenset, writes), strict=True)),
        [frozenset(each) for each in writes],
        [None] * len(neurons),
    )
    key = next(k for k in keys if len(set(k)) <= MOST_GROUPS)
    members: dict[object, list[int]] = {}
    for i, each in enumerate(key):
        members.setdefault(each, []).append(i)
    return tuple(
        NeuronGroup(
            tuple(neurons[i] for i in group),
            _unique(family for i in group for family in reads[i]),
            _unique(family for i in group for family in writes[i]),
        )
        for group in members.values()
    )


def with_one_position(circuits: Circuits) -> tuple[Family, ...]:
    """The families of the stream; all that are a function of the position, and stay so, are one."""
    blocks = circuits.blocks
    written = {m.target for block in blocks for head in block.heads for m in head.writes}
    written |= {w.subspace for block in blocks for n in block.neurons for w in n.writes}
    of_token = {table.subspace for table in circuits.embedding if table.of == "token"}
    of_position = {table.subspace for table in circuits.embedding if table.of == "position"}
    fixed = of_position - of_token - (written - {reuse.within for reuse in circuits.reuses})
    together = tuple(subspace for subspace in circuits.stream if subspace in fixed)
    others = (f for f in subspace_families(circuits) if not fixed.intersection(f.members))
    return ((Family(together),) if together else ()) + tuple(others)


def grouped(items: Sequence[Item], keys: Sequence[Callable[[int], Hashable]]) -> list[list[Item]]:
    """Items with the same key together, by the first key that makes few enough groups."""
    groups: dict[Hashable, list[Item]] = {}
    for key in keys:
        groups = {}
        for i, item in enumerate(items):
            groups.setdefault(key(i), []).append(item)
        if len(groups) <= MOST_PARTS:
            break
    return list(groups.values())


def _parts(circuits: Circuits) -> Iterator[tuple[Subspace, _Part]]:
    """Everything that is done with every subspace of the residual stream."""
    for table in circuits.embedding:
        yield table.subspace, ("embedded", table.of)
    for number, block in enumerate(circuits.blocks):
        for place, head in enumerate(block.heads):
            for part, maps in (("query", head.attends.query), ("key", head.attends.key)):
                yield from ((m.source, (part, number, place)) for m in maps)
            yield from ((m.source, ("value", number, place)) for m in head.moves)
            yield from ((m.target, ("output", number, place)) for m in head.writes)
        for bias in block.attention_bias:
            yield bias.adds.subspace, ("attention bias", number)
        for neuron in block.neurons:
            yield from ((read.subspace, ("read", number)) for read in neuron.all_reads)
            yield from ((write.subspace, ("written", number)) for write in neuron.writes)
        for bias in block.neuron_bias:
            yield bias.adds.subspace, ("neuron bias", number)
    if circuits.unembedding is not None:
        yield circuits.unembedding, ("unembedded",)


def _unique(families: Iterable[Family]) -> tuple[Family, ...]:
    return tuple(dict.fromkeys(families))
