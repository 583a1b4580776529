"""QK circuits by position: on a circle, on a parabola, or with a dimension for each position."""

from __future__ import annotations

from fractions import Fraction
from math import log

from handcraft.circuits import (
    AttentionWeights,
    Coefficients,
    LinearMap,
    Relation,
    Table,
    coded,
    embed_position,
    one_hot,
    scalar,
)
from handcraft.compiler.ordinal.design import APART, Design
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.language.graph.domain import Plain


def qk_circuits(design: Design) -> tuple[list[Table], list[Relation]]:
    """The tables of positions that heads read, and a QK circuit for each weighted sum of a design.

    A parabola costs least: the score of source p for target t is 2 t p - p p, and the nearest position
    has the highest. Behind LayerNorm positions are one-hot, whose numbers are small, and so they are
    where several sources share.
    """
    if design.circle is not None:
        return _on_circle(design)
    tables: dict[str, Table] = {}
    relations = [
        _on_parabola(node, number, design.context, tables)
        if node.is_single and not design.has_norm
        else _one_hot(node, design.astray(node), design.context, tables)
        for number, node in enumerate(design.weighted, 1)
    ]
    return list(tables.values()), relations


def _on_circle(design: Design) -> tuple[list[Table], list[Relation]]:
    circle = design.circle
    assert circle is not None
    angle, meets = (
        coded(name, dict(enumerate(circle.places)), dimensions=("across", "up"))
        for name in ("angle", "meets")
    )
    relations = []
    for node, query, missed in zip(design.weighted, circle.queries, circle.missed, strict=True):
        entries = [(i, j, Fraction(query[j][i])) for i in (0, 1) for j in (0, 1) if query[j][i]]
        relations.append(
            Relation(
                _label(node),
                (LinearMap(angle, meets, tuple(entries)),),
                (LinearMap(angle, meets, ((0, 0, 1), (1, 1, 1))),),
                attention_weights=_attention_weights(node, design.context),
                error_bound=2 * missed,
            )
        )
    return [embed_position(angle)], relations


def _on_parabola(node: WeightedSum, number: int, context: int, tables: dict[str, Table]) -> Relation:
    target_of = {here: row[0][0] for here, row in node.rows}
    places = range(context)
    columns = {
        f"target {number}": [target_of.get(here, 0) for here in places],
        "place": places,
        "-place squared": [-p * p for p in places],
    }
    for name, column in columns.items():
        rows = tuple(((0, n),) if n else () for n in column)
        tables.setdefault(name, Table("position", scalar(name), rows))
    target, place, square = (tables[name].subspace for name in columns)
    along, squared = scalar("along"), scalar("squared")
    return Relation(
        _label(node),
        (LinearMap(target, along, ((0, 0, 2),)),),
        (LinearMap(place, along, ((0, 0, 1),)), LinearMap(square, squared, ((0, 0, 1),))),
        picks_one=True,
        query_bias=(Coefficients(squared, ((0, 1),)),),
    )


def _one_hot(node: WeightedSum, astray: float, context: int, tables: dict[str, Table]) -> Relation:
    position, meets = one_hot("position", range(context)), one_hot("meets", range(context))
    tables.setdefault(position.name, embed_position(position))
    entries: list[tuple[int, int, Plain]] = []
    if node.is_single:
        entries += [(here, 0, 1) for here in sorted({*range(context)} - {*dict(node.rows)})]
    for here, row in node.rows:
        most = max(weight for _, weight in row)
        for there, weight in row:
            score = 1 if node.is_single else APART + Fraction(log(weight / most))
            entries.append((here, there, score))
    return Relation(
        _label(node),
        (LinearMap(position, meets, tuple(entries)),),
        (LinearMap(position, meets, tuple((p, p, 1) for p in range(context))),),
        picks_one=node.is_single,
        attention_weights=None if node.is_single else _attention_weights(node, context),
        error_bound=0 if node.is_single else 2 * astray,
    )


def _attention_weights(node: WeightedSum, context: int) -> tuple[AttentionWeights, ...]:
    total, rows = Fraction(node.total or 1), dict(node.rows)
    return tuple(tuple((there, w / total) for there, w in rows.get(i, ())) for i in range(context))


def _label(node: WeightedSum) -> str:
    """How far back the first position attends, and how much each source counts."""
    here, sources = node.rows[0]
    least = min(weight for _, weight in sources)
    found = [f"{here - s} back" + (f" x{w / least}" if w != least else "") for s, w in sources]
    return ", ".join(found)
