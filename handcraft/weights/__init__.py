"""From circuits to the weight arrays of one architecture: plan, place, emit."""

from handcraft.weights.axis_names import axis_names
from handcraft.weights.emit import check_sharpness, emit, sharpness_for
from handcraft.weights.explained import Weight, Weights, named_rule, served_by
from handcraft.weights.layers import Layer, SpreadError, build_layers
from handcraft.weights.layout import Layout, Sizes, allocate_layout
from handcraft.weights.place_circuits import place_circuits
from handcraft.weights.placement import PlacedTensor, Placement
from handcraft.weights.plan import PADDING, Plan, plan_model
from handcraft.weights.stored import read_stored, stored_values, written_at

__all__ = [
    "PADDING",
    "Layer",
    "Layout",
    "PlacedTensor",
    "Placement",
    "Plan",
    "Sizes",
    "SpreadError",
    "Weight",
    "Weights",
    "allocate_layout",
    "axis_names",
    "build_layers",
    "check_sharpness",
    "emit",
    "named_rule",
    "place_circuits",
    "plan_model",
    "read_stored",
    "served_by",
    "sharpness_for",
    "stored_values",
    "written_at",
]
