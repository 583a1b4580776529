"""Where everything sits: circuits placed in the arrays of one architecture."""

from handcraft.weights.emit import DTYPES, check_dtype, check_sharpness, emit, sharpness_for
from handcraft.weights.layout import Layout, allocate_layout
from handcraft.weights.place_circuits import place_circuits, shape_of
from handcraft.weights.placement import PlacedTensor, Placement

__all__ = [
    "DTYPES",
    "Layout",
    "PlacedTensor",
    "Placement",
    "allocate_layout",
    "check_dtype",
    "check_sharpness",
    "emit",
    "place_circuits",
    "shape_of",
    "sharpness_for",
]
