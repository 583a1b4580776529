"""What the residual stream stores at every position, besides the tables of tokens and positions."""

from __future__ import annotations

from collections.abc import Iterator

from handcraft.circuits import Number
from handcraft.origin import Origin
from handcraft.weights.plan import Plan

BALLAST = Origin("ballast for LayerNorm")

FILL = Origin("fill: the norm divides by a power of two")

CONSTANT = Origin("the constant that weights read in place of biases")


def constants_of(plan: Plan) -> Iterator[tuple[int, Number, Origin]]:
    """The dimensions that start with the same number at every position, the number, and its origin."""
    layout = plan.layout
    for subspace in plan.circuits.stream:
        resting = Origin(f"`{subspace}` at rest")
        for dimension, number in layout.rest(subspace):
            yield dimension, number, resting
    for dimension, number in layout.constants:
        name = layout.dimension_names[dimension]
        yield dimension, number, FILL if "fill" in name else CONSTANT if layout.constant else BALLAST
