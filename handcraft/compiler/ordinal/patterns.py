"""QK circuits by position: on a circle, on a parabola, or with a dimension for each position."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import log

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading
from handcraft.compiler.features.scores.qk_circuit import QKCircuit
from handcraft.compiler.features.scores.score_terms import Channel
from handcraft.compiler.ordinal.circle import Circle
from handcraft.compiler.ordinal.design import APART, Design
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.language.graph.domain import Plain, finite
from handcraft.language.graph.node import Embedded, Node
from handcraft.language.graph.wording import reads


def patterns(design: Design, features: Features) -> dict[Node, QKCircuit]:
    """A QK circuit for each weighted sum of a design.

    A parabola is the smallest: the score of source p for target t is 2 t p - p p, which is highest at
    the nearest position. Behind LayerNorm, and if several sources share the attention, positions are
    one-hot, because those numbers are small.
    """
    nodes, circle = design.weighted, design.circle
    if circle is not None:
        found = _on_circle(design.context, circle, features)
    elif all(node.is_single for node in nodes) and not design.has_norm:
        found = [_on_parabola(node, design.context, features) for node in nodes]
    else:
        features.one_hot = ("position",)
        found = [_by_source(node, design.context, features) for node in nodes]
    circuits: dict[Node, QKCircuit] = {}
    for (key, _), node, channels, missed in zip(
        design.brought, nodes, found, design.misses, strict=True
    ):
        is_hard = node.is_single and circle is None
        known = node.attention_weights
        weights = None if is_hard else tuple(known.get(i, ()) for i in range(design.context))
        circuits[key] = QKCircuit(
            tuple(channels), 1, is_hard, attention_weights=weights, error_bound=2 * missed
        )
    return circuits


def position(context: int, name: str = "position") -> Embedded:
    """The position, under another name."""
    return Embedded(finite(range(context)), reads(name), "position")


def _on_circle(context: int, circle: Circle, features: Features) -> list[list[Channel]]:
    across, up = (tuple(map(Fraction, column)) for column in zip(*circle.places, strict=True))
    angle = features.codewords(position(context, "angle"), {"across": across, "up": up})

    def read(row: Iterable[float]) -> Reading:
        return Reading(tuple((Fraction(n), angle, i) for i, n in enumerate(row) if n))

    units = read((1, 0)), read((0, 1))
    return [
        [Channel(read(row), unit) for row, unit in zip(query, units, strict=True)]
        for query in circle.queries
    ]


def _on_parabola(node: WeightedSum, context: int, features: Features) -> list[Channel]:
    source_of = {here: row[0][0] for here, row in node.rows}
    places, here = range(context), position(context)
    twice = features.read(here, tuple(2 * source_of.get(place, 0) for place in places))
    square = features.read(here, tuple(-place * place for place in places))
    return [Channel(twice, features.read(here, tuple(places))), Channel(Reading((), 1), square)]


def _by_source(node: WeightedSum, context: int, features: Features) -> list[Channel]:
    """One score term for every source: the score that each destination gives it."""
    scores: dict[int, dict[int, Plain]] = {}
    if node.is_single:  # hard attention: every destination needs a source
        scores[0] = dict.fromkeys({*range(context)} - {*dict(node.rows)}, 1)
    for here, row in node.rows:
        most = max(weight for _, weight in row)
        for there, weight in row:
            score = 1 if node.is_single else APART + Fraction(log(weight / most))
            scores.setdefault(there, {})[here] = score
    found = []
    for there, asked in scores.items():
        columns = ((column.get(i, 0) for i in range(context)) for column in (asked, {there: 1}))
        read = (features.read(position(context), tuple(c), keeps_zero=True) for c in columns)
        found.append(Channel(*read))
    return found
