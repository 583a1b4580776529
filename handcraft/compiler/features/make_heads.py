"""Make heads: one for all numbers that are moved from the same sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handcraft.circuits import Coefficients, Head, LinearMap, Relation, Subspace
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Feature, Reading
from handcraft.compiler.features.places import Places
from handcraft.compiler.passes.ir import Attend, WeightedSum
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.language.graph.node import case_label
from handcraft.language.graph.wording import listed_in
from handcraft.origin import Origin

NAME_WIDTH = 60
"""How many characters of the values that a head sums up are in its name."""


def make_heads(
    every_feature: Sequence[Feature], assembly: Assembly, places: Places, logits: Subspace | None
) -> list[Head]:
    """One head for all values from the same sources, and for the logits that it writes directly."""
    groups: dict[object, list[Feature]] = {}
    for feature in every_feature:
        readings = (*feature.moved, *feature.moved_logits.values(), feature.moved_number)
        if any(reading and reading.terms for reading in readings):  # else a constant is moved
            groups.setdefault(assembly.qk_circuits[id(feature)].key, []).append(feature)
    return [_head(group, assembly, places, logits) for group in groups.values()]


def _head(
    group: Sequence[Feature], assembly: Assembly, places: Places, logits: Subspace | None
) -> Head:
    qk = assembly.qk_circuits[id(group[0])]
    matching = [places.channel(f"match {i + 1}") for i in range(len(qk.channels))]
    queries: list[LinearMap] = []
    keys: list[LinearMap] = []
    query_bias: list[Coefficients] = []
    key_bias: list[Coefficients] = []
    for channel, target in zip(qk.channels, matching, strict=True):
        queries += places.maps(channel.query, target)
        keys += places.maps(channel.key, target)
        if channel.query.constant:
            query_bias.append(Coefficients(target, ((0, channel.query.constant),)))
        if channel.key.constant and qk.is_centred:
            key_bias.append(Coefficients(target, ((0, channel.key.constant),)))
    carried: dict[object, Subspace] = {}
    moves: list[LinearMap] = []
    writes: list[LinearMap] = []
    origins: dict[Origin, None] = {}
    for feature in group:
        others = feature.node.others if isinstance(feature.node, WeightedSum) else ()
        origins |= dict.fromkeys((feature.node.origin, *others))
        for reading, factor, (subspace, dimension) in _moved(feature, places, logits):
            if reading.terms and reading.terms not in carried:
                carried[reading.terms] = places.channel(f"carried {len(carried) + 1}")
                moves += places.maps(reading, carried[reading.terms])
            if reading.terms:
                writes.append(LinearMap(carried[reading.terms], subspace, ((0, dimension, factor),)))
    is_sum = isinstance(group[0].node, WeightedSum)
    whats = listed_in([each.what for each in origins])
    name = whats.within(NAME_WIDTH) if is_sum else places.label(group[0].node.text)
    relation = Relation(
        _label(group[0].node) if qk.distance is None else str(qk.distance),
        tuple(queries),
        tuple(keys),
        qk.gap,
        picks_one=qk.picks_one,
        query_bias=tuple(query_bias),
        key_bias=tuple(key_bias),
        base=qk.base,
        attention_weights=qk.attention_weights,
        error_bound=qk.error_bound,
        distance=qk.distance,
        content=qk.content,
    )
    return Head(name, relation, tuple(moves), tuple(writes), origins=tuple(origins))


def _moved(
    feature: Feature, places: Places, logits: Subspace | None
) -> Iterator[tuple[Reading, Plain, tuple[Subspace, int]]]:
    """Everything that a head writes for a feature: a reading, a factor, and where it is written."""
    for i, reading in enumerate(feature.moved):
        yield reading, 1, places.dimension(feature, i)
    if logits is not None:
        for token, reading in feature.moved_logits.items():
            yield reading, 1, (logits, token)
    if feature.moved_number is not None:
        for factor, dimension in places.added(feature):
            yield feature.moved_number, factor, dimension


def _label(node: object) -> str:
    if isinstance(node, WeightedSum):
        here, sources = node.rows[0]
        least = min(magnitude(weight) for _, weight in sources)
        ratios = [(here - there, magnitude(weight) / least) for there, weight in sources]
        return ", ".join(f"{back} back" + (f" x{n}" if n != 1 else "") for back, n in ratios)
    assert isinstance(node, Attend)
    return case_label(node.case)
