"""What the axes of a planned model stand for, for traces of it."""

from __future__ import annotations

from handcraft.model.trace import AxisNames
from handcraft.weights.plan import Plan


def axis_names(plan: Plan) -> AxisNames:
    """The names of dimensions, heads and hidden units, as the plan lays them out."""
    shape = plan.shape
    return AxisNames(
        dimensions=plan.layout.dimension_names,
        heads=tuple(
            _padded([head.name for head in layer.heads], shape.n_head) for layer in plan.layers
        ),
        units=tuple(
            _padded([unit.name for unit in layer.units], count)
            for layer, count in zip(plan.layers, shape.n_inner, strict=True)
        ),
        tokens=plan.token_names,
    )


def _padded(names: list[str], count: int) -> tuple[str, ...]:
    return (*names, *["unused"] * (count - len(names)))
