"""Make heads: one for all numbers that are moved from the same sources."""

from __future__ import annotations

from collections.abc import Sequence

from handcraft.circuits import Coefficients, Head, LinearMap, Relation, Subspace
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Feature
from handcraft.compiler.features.places import Places, short
from handcraft.compiler.passes.ir import Attend
from handcraft.language.graph.node import Comparison
from handcraft.origin import Origin


def make_heads(
    every_feature: Sequence[Feature], assembly: Assembly, places: Places, logits: Subspace | None
) -> list[Head]:
    """One head for all values from the same sources, and for the logits that it writes directly."""
    groups: dict[object, list[Feature]] = {}
    for feature in every_feature:
        readings = (*feature.moved, *feature.moved_logits.values())
        if any(reading.terms for reading in readings):  # else the same constant is moved from anywhere
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
    moves: list[LinearMap] = []
    writes: list[LinearMap] = []
    origins: dict[Origin, None] = {}
    for feature in group:
        origins[feature.node.origin] = None
        targets = [(reading, places.dimension(feature, i)) for i, reading in enumerate(feature.moved)]
        if logits is not None:
            targets += [(reading, (logits, token)) for token, reading in feature.moved_logits.items()]
        for reading, (subspace, dimension) in targets:
            if not reading.terms:
                continue
            carried = places.channel(f"carried {len(writes) + 1}")
            moves += places.maps(reading, carried)
            writes.append(LinearMap(carried, subspace, ((0, dimension, 1),)))
    name = short(str(group[0].node))
    relation = Relation(
        _label(group[0].node),
        tuple(queries),
        tuple(keys),
        qk.gap,
        picks_one=qk.picks_one,
        query_bias=tuple(query_bias),
        key_bias=tuple(key_bias),
        base=qk.base,
    )
    return Head(name, relation, tuple(moves), tuple(writes), origins=tuple(origins))


def _label(node: object) -> str:
    assert isinstance(node, Attend)
    conditions = [
        f"{m.key} {m.relation.value if isinstance(m.relation, Comparison) else 'fits'} {m.query}"
        for m in node.case
    ]
    return short(" and ".join(conditions) or "everything", 60)
