"""Where heads look, as QK circuits: on a circle, on a parabola, or by single positions."""

from __future__ import annotations

from dataclasses import dataclass
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
from handcraft.compiler.ordinal.form import Look
from handcraft.language.graph.domain import Plain


@dataclass(frozen=True)
class Asking:
    """The tables of positions that heads read, and for each look the QK circuit.

    Args:
        tables: what the embedding puts into the stream.
        relations: for each look of a design, in order.
    """

    tables: list[Table]
    relations: list[Relation]


def looking(design: Design, context: int) -> Asking:
    """How the heads of a design find their sources.

    Args:
        design: its looks, and the circle if there is one.
        context: the number of positions.
    """
    return _one_by_one(design, context) if design.circle is None else _on_circle(design)


def _on_circle(design: Design) -> Asking:
    circle = design.circle
    assert circle is not None
    angle = coded("angle", dict(enumerate(circle.places)), dimensions=("across", "up"))
    relations = []
    for look, query, missed in zip(design.looks, circle.queries, circle.missed, strict=True):
        entries = [(i, j, Fraction(query[j][i])) for i in (0, 1) for j in (0, 1) if query[j][i]]
        meets = coded("meets", dict(enumerate(circle.places)), dimensions=("across", "up"))
        key = LinearMap(angle, meets, ((0, 0, 1), (1, 1, 1)))
        relations.append(
            Relation(
                _label(design, look),
                (LinearMap(angle, meets, tuple(entries)),),
                (key,),
                attention_weights=_shares(design, len(circle.places), look),
                error_bound=2 * missed,
            )
        )
    return Asking([embed_position(angle)], relations)


def _one_by_one(design: Design, context: int) -> Asking:
    """A QK circuit for each look, exactly hard where every destination has one source.

    Those on a parabola cost least: the score of source p for target t is 2 t p - p p, and the
    nearest position has the highest. Behind LayerNorm positions are one-hot, whose numbers are
    small, and so they are where several sources share.
    """
    relations: list[Relation] = []
    tables: dict[str, Table] = {}
    for number, look in enumerate(design.looks, 1):
        if look.is_single and not design.has_norm:
            relations.append(_on_parabola(design, context, look, number, tables))
        else:
            relations.append(_one_hot(design, context, look, tables))
    return Asking(list(tables.values()), relations)


def _on_parabola(
    design: Design, context: int, look: Look, number: int, tables: dict[str, Table]
) -> Relation:
    targets = [0] * context
    for here, ((there, _),) in zip(design.destinations, look.sources, strict=True):
        targets[here] = there
    held = {
        f"target {number}": targets,
        "place": list(range(context)),
        "-place squared": [-p * p for p in range(context)],
    }
    for name, column in held.items():
        rows = tuple(((0, n),) if n else () for n in column)
        tables.setdefault(name, Table("position", scalar(name), rows))
    target, place, square = (tables[name].subspace for name in held)
    along, squared = scalar("along"), scalar("squared")
    return Relation(
        _label(design, look),
        (LinearMap(target, along, ((0, 0, 2),)),),
        (LinearMap(place, along, ((0, 0, 1),)), LinearMap(square, squared, ((0, 0, 1),))),
        picks_one=True,
        query_bias=(Coefficients(squared, ((0, 1),)),),
    )


def _one_hot(design: Design, context: int, look: Look, tables: dict[str, Table]) -> Relation:
    is_single = look.is_single
    position = one_hot("position", range(context))
    tables.setdefault(position.name, embed_position(position))
    meets = one_hot("meets", range(context))
    others = sorted(set(range(context)).difference(design.destinations))
    entries: list[tuple[int, int, Plain]] = [(here, 0, 1) for here in others if is_single]
    for here, sources in zip(design.destinations, look.sources, strict=True):
        most = max(weight for _, weight in sources)
        for there, weight in sources:
            score = 1 if is_single else APART + Fraction(log(weight / most))
            entries.append((here, there, score))
    key = LinearMap(position, meets, tuple((p, p, 1) for p in range(context)))
    return Relation(
        _label(design, look),
        (LinearMap(position, meets, tuple(entries)),),
        (key,),
        picks_one=is_single,
        attention_weights=None if is_single else _shares(design, context, look),
        error_bound=0 if is_single else 2 * design.astray(look),
    )


def _shares(design: Design, context: int, look: Look) -> tuple[AttentionWeights, ...]:
    assert look.total is not None
    rows: list[AttentionWeights] = [()] * context
    for here, sources in zip(design.destinations, look.sources, strict=True):
        rows[here] = tuple((there, Fraction(weight) / look.total) for there, weight in sources)
    return tuple(rows)


def _label(design: Design, look: Look) -> str:
    """How far back the first destination looks, and how much each source counts."""
    here, sources = design.destinations[0], look.sources[0]
    least = min(weight for _, weight in sources)
    found = [f"{here - s} back" + (f" x{w / least}" if w != least else "") for s, w in sources]
    return ", ".join(found)
