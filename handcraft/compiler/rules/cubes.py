"""Literals about one value as sums over its bits: that a token is `a`, or one of a few.

Tokens that share some bits of their ids are a cube. A value lies in a cube where all of these bits are
as they should be. So a conjunction of such literals is a sum over bits with one threshold, and takes no
feature for any of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache, partial

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading, sum_of
from handcraft.compiler.passes.ir import Attend, is_scalar
from handcraft.compiler.passes.split_bits import width_of
from handcraft.language.graph.domain import Finite, Value
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import Assumed, Embedded, Lookup, Node, is_token


@dataclass(frozen=True)
class Cube:
    """That some bits of a value's place are as they should be.

    Args:
        value: what is read: the token, or what a head moved.
        bits: the numbers of the bits, each with whether it is to be set.
    """

    value: Node
    bits: tuple[tuple[int, bool], ...]


def cube_of(literal: Node) -> Cube | None:
    """The cube that a flag asks for; None where it reads something else, or no cube."""
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
        return None
    assert isinstance(node.domain, Finite)
    places = sorted(node.domain.places[value] for value in passing if value in node.domain.places)
    return _cube(node, places, len(node.domain.values)) if places else None


def _cube(node: Node, places: list[int], size: int) -> Cube | None:
    """The smallest cube with some places; None where it has more than these."""
    fixed, other = places[0], 0
    for place in places:
        other |= place ^ fixed
    bits = [k for k in range(width_of(size)) if not other >> k & 1]
    mask = sum(1 << k for k in bits)
    if other and sum((place ^ fixed) & mask == 0 for place in range(size)) > len(places):
        return None
    return Cube(node, tuple((k, bool(fixed >> k & 1)) for k in reversed(bits)))


def read_cubes(literals: Iterable[Node], features: Features) -> dict[Node, Reading]:
    """The sums of those literals that are read as cubes: they ask a value for more than it has bits.

    Each sum is 0 where the value lies in the cube, and -1 or less elsewhere. The bits of the token
    itself are always there.

    Args:
        literals: the flags of all rules.
        features: decides what is stored.
    """
    found = {
        literal: cube for literal in dict.fromkeys(literals) if (cube := cube_of(literal)) is not None
    }
    asked: defaultdict[Node, dict[Cube, None]] = defaultdict(dict)
    for cube in found.values():
        asked[cube.value][cube] = None
    read: dict[Cube, Reading] = {}
    for value, cubes in asked.items():
        if isinstance(value, Embedded) or len(cubes) > _width(value):
            bit = cache(partial(_bit, features, value))
            for cube in cubes:
                right = [bit(k, is_set) for k, is_set in cube.bits]
                read[cube] = sum_of([Reading((), -len(right)), *right])
    return {literal: read[cube] for literal, cube in found.items() if cube in read}


def _bit(features: Features, value: Node, k: int, is_set: bool) -> Reading:
    """A sum that is 1 where a bit of the place of a value is as it should be, and 0 elsewhere."""
    assert isinstance(value.domain, Finite)
    places = range(len(value.domain.values))
    return features.read(value, tuple([int((place >> k & 1) == is_set) for place in places]))


def _width(node: Node) -> int:
    assert isinstance(node.domain, Finite)
    return width_of(len(node.domain.values))
