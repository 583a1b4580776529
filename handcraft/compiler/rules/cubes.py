"""Literals about one value as sums over its bits: that a token is `a`, or one of a few.

Tokens that share some bits of their ids are a cube. A value lies in a cube where all of these bits are
as they should be. So a conjunction of such literals is a sum over bits with one threshold, and takes no
feature for any of them. A class of tokens is several cubes, none of which overlap: a rule with such a
literal takes a neuron for each. A class that many rules ask for, or that is many cubes, is a flag.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading, sum_of
from handcraft.compiler.passes.ir import Attend, is_scalar
from handcraft.compiler.passes.tables.split_bits import width_of
from handcraft.language.graph.domain import Finite, Value
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import Assumed, Embedded, Lookup, Node, is_token

NEVER = 1 << 40
"""The price of what cannot be: more than any neurons cost."""

PRICE, RULES = 16, 32
"""A dimension costs about as many parameters as 16 neurons, and as one more for every 32 rules: each
neuron reads and writes so many more numbers, in a stream of about 64 dimensions."""


@dataclass(frozen=True)
class Cube:
    """That some bits of a value's place are as they should be.

    Args:
        value: what is read: the token, or what a head moved.
        bits: the numbers of the bits, each with whether it is to be set.
    """

    value: Node
    bits: tuple[tuple[int, bool], ...]


def cubes_of(literal: Node) -> tuple[Cube, ...]:
    """The cubes in one of which a flag asks a value to be; none where it reads something else."""
    passing: Collection[Value] = {True}
    node = literal
    while True:
        match node:
            case Lookup(arguments=(argument,)) if isinstance(node.table, Members) and passing == {True}:
                passing, node = node.table.inside, argument
            case Lookup(arguments=(argument,)) if not is_scalar(node):
                passing = {row[0] for row, value in node.table.items() if value in passing}
                node = argument
            case Assumed() if not is_scalar(node):
                node = node.value
            case _:
                break
    is_brought = isinstance(node, Attend) and node.picks != "mean"
    if node is literal or not (is_token(node) or is_brought):
        return ()
    assert isinstance(node.domain, Finite)
    places = sorted(node.domain.places[value] for value in passing if value in node.domain.places)
    return tuple(_cubes(node, places))


def _cubes(node: Node, places: list[int]) -> Iterator[Cube]:
    """Cubes that contain just these places: the smallest that contains all, or those of its halves."""
    assert isinstance(node.domain, Finite)
    size = len(node.domain.values)
    waiting = [places] if places else []
    while waiting:
        found = waiting.pop()
        other = 0
        for place in found:
            other |= place ^ found[0]
        bits = [k for k in range(width_of(size)) if not other >> k & 1]
        mask = sum(1 << k for k in bits)
        inside = sum((place ^ found[0]) & mask == 0 for place in range(size)) if other else 1
        if inside == len(found):
            yield Cube(node, tuple((k, bool(found[0] >> k & 1)) for k in reversed(bits)))
        else:
            highest = other.bit_length() - 1
            halves = ([p for p in found if p >> highest & 1 == half] for half in (1, 0))
            waiting += halves


Cubes = Mapping[Node, Sequence[Reading]]
"""Literals that are read as cubes: for each a sum that is 0 where the value lies in it, else less."""


def read_cubes(conjunctions: Sequence[Sequence[Node]], features: Features) -> Cubes:
    """The literals that are better read as cubes than as flags.

    The bits of the token itself are always there. Those of another value take a dimension each, where
    cubes are read at all. Every cube but the first takes one more neuron in each rule.

    Args:
        conjunctions: the literals of each rule.
        features: decides what is stored.
    """
    literals = dict.fromkeys(literal for each in conjunctions for literal in each)
    found = {literal: cubes for literal in literals if (cubes := cubes_of(literal))}
    more: defaultdict[Node, int] = defaultdict(int)  # neurons that a literal takes besides the first
    for each in conjunctions:
        neurons = prod([len(found[literal]) for literal in each if literal in found])
        for literal in each:
            if literal in found:
                more[literal] += neurons - neurons // len(found[literal])
    price = PRICE + len(conjunctions) // RULES
    asked: defaultdict[Node, list[Node]] = defaultdict(list)
    for literal, cubes in found.items():
        asked[cubes[0].value].append(literal)
    read: dict[Node, Sequence[Reading]] = {}
    for value, by in asked.items():
        assert isinstance(value.domain, Finite)
        bits = 0 if isinstance(value, Embedded) else price * width_of(len(value.domain.values))
        flags = {literal: _price_of_flag(found[literal], features, price) for literal in by}
        chosen = [literal for literal in by if more[literal] < flags[literal]]
        if bits + sum(more[each] - flags[each] for each in chosen) < 0:
            bit = cache(partial(_bit, features, value))
            for literal in chosen:
                read[literal] = [_sum([bit(*each) for each in c.bits]) for c in found[literal]]
    return read


def _price_of_flag(cubes: Sequence[Cube], features: Features, price: int) -> int:
    """How many neurons a flag costs as much as, where a dimension costs so many.

    What a head moves is a dimension there, and one more where it is read, unless it is a bit. Without
    LayerNorm nothing of the token but its bits can be stored, as the unembedding would read it.
    """
    is_bit = len(cubes) == 1 and len(cubes[0].bits) == 1
    if not (is_bit or features.normed):
        return NEVER
    return price if is_bit or isinstance(cubes[0].value, Embedded) else 2 * price


def _sum(right: Sequence[Reading]) -> Reading:
    """A sum that is 0 where all bits are right; one for all rules that read it, which know its size."""
    total = sum_of([Reading((), -len(right)), *right])
    return Reading(total.terms, total.constant)


def _bit(features: Features, value: Node, k: int, is_set: bool) -> Reading:
    """A sum that is 1 where a bit of the place of a value is as it should be, and 0 elsewhere."""
    assert isinstance(value.domain, Finite)
    places = range(len(value.domain.values))
    return features.read(value, tuple([int((place >> k & 1) == is_set) for place in places]))
