"""QK circuits by position: on a circle, on a parabola, or with a dimension for each position."""

from __future__ import annotations

from fractions import Fraction
from math import log

from handcraft.circuits import AttentionWeights
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.assembly import QKCircuit
from handcraft.compiler.features.feature import Reading
from handcraft.compiler.features.score_terms import Channel
from handcraft.compiler.ordinal.circle import Circle
from handcraft.compiler.ordinal.design import APART, Design
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.language.graph.domain import Plain, finite
from handcraft.language.graph.node import Embedded, Node
from handcraft.language.graph.wording import reads


def patterns(design: Design, features: Features) -> dict[Node, QKCircuit]:
    """A QK circuit for each weighted sum of a design.

    A parabola costs least: the score of source p for target t is 2 t p - p p, and the nearest position
    has the highest. Behind LayerNorm positions are one-hot, whose numbers are small, and so they are
    where several sources share.
    """
    if design.circle is not None:
        found = _on_circle(design, design.circle, features)
    elif all(node.is_single for node in design.weighted) and not design.has_norm:
        found = [_on_parabola(node, design.context, features) for node in design.weighted]
    else:
        features.one_hot = ("position",)
        found = [_by_source(node, design, features) for node in design.weighted]
    return {node: circuit for (node, _), circuit in zip(design.brought, found, strict=True)}


def position(context: int, name: str = "position") -> Embedded:
    """The position, by a name."""
    return Embedded(finite(range(context)), reads(name), "position")


def _on_circle(design: Design, circle: Circle, features: Features) -> list[QKCircuit]:
    across, up = (tuple(map(Fraction, column)) for column in zip(*circle.places, strict=True))
    angle = features.codewords(position(design.context, "angle"), {"across": across, "up": up})
    found = []
    for node, query, missed in zip(design.weighted, circle.queries, circle.missed, strict=True):
        channels = [
            Channel(
                Reading(tuple((Fraction(n), angle, i) for i, n in enumerate(row) if n)),
                Reading(((1, angle, j),)),
            )
            for j, row in enumerate(query)
        ]
        weights = _attention_weights(node, design.context)
        found.append(
            QKCircuit(tuple(channels), 1, False, attention_weights=weights, error_bound=2 * missed)
        )
    return found


def _on_parabola(node: WeightedSum, context: int, features: Features) -> QKCircuit:
    source_of = {here: row[0][0] for here, row in node.rows}
    places, here = range(context), position(context)
    twice = features.read(here, tuple(2 * source_of.get(place, 0) for place in places))
    square = features.read(here, tuple(-place * place for place in places))
    channels = (
        Channel(twice, features.read(here, tuple(places))),
        Channel(Reading((), 1), square),
    )
    return QKCircuit(channels, 1, picks_one=True)


def _by_source(node: WeightedSum, design: Design, features: Features) -> QKCircuit:
    """A term of the score for every source: what a destination gives it, and where it is."""
    context = design.context
    scores: dict[int, dict[int, Plain]] = {}
    if node.is_single:
        scores[0] = dict.fromkeys({*range(context)} - {*dict(node.rows)}, 1)
    for here, row in node.rows:
        most = max(weight for _, weight in row)
        for there, weight in row:
            score = 1 if node.is_single else APART + Fraction(log(weight / most))
            scores.setdefault(there, {})[here] = score
    places = range(context)
    channels = [
        Channel(
            features.read(position(context), tuple(row.get(p, 0) for p in places), keeps_zero=True),
            features.read(position(context), tuple(int(p == there) for p in places), keeps_zero=True),
        )
        for there, row in scores.items()
    ]
    if node.is_single:
        return QKCircuit(tuple(channels), 1, picks_one=True)
    weights, error = _attention_weights(node, context), 2 * design.astray(node)
    return QKCircuit(tuple(channels), 1, False, attention_weights=weights, error_bound=error)


def _attention_weights(node: WeightedSum, context: int) -> tuple[AttentionWeights, ...]:
    total, rows = Fraction(node.total or 1), dict(node.rows)
    return tuple(tuple((there, w / total) for there, w in rows.get(i, ())) for i in range(context))
