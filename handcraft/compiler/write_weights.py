"""From a plan to a model: every weight placed, and written in a dtype."""

from __future__ import annotations

from handcraft.compiler.estimate import check_plan
from handcraft.model import Model
from handcraft.weights import Placement, Plan, check_sharpness, emit, place_circuits, sharpness_for


def write_weights(plan: Plan, dtype: str) -> tuple[int, Placement, Model]:
    """The sharpness of a plan, its exact weights, and the model of them in a dtype.

    Raises:
        LimitError: it would take too much memory.
        PrecisionError: the dtype cannot represent a weight, or what depends on it.
    """
    check_plan(plan, dtype)
    check_sharpness(plan, dtype)
    sharpness = sharpness_for(plan, dtype)
    placement = place_circuits(plan, sharpness)
    tensors = emit(placement, plan.circuits.values, dtype)
    return sharpness, placement, Model(plan.architecture, plan.shape, plan.circuits.vocabulary, tensors)
