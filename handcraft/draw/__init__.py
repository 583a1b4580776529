"""Pictures: of programs, circuits, runs and weights; and tables of numbers as heatmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handcraft.draw.canvas.scene import Picture
from handcraft.draw.choices import chosen_kind
from handcraft.draw.curves import curves_svg
from handcraft.draw.draw_picture import OF_A_RUN, WHATS, What, draw_picture, draw_trace
from handcraft.draw.graphs.dataflow import circuits_graph
from handcraft.draw.graphs.render import format_of, render
from handcraft.draw.heatmap import heatmap_svg
from handcraft.draw.kinds.circuit import DETAILS, Detail, circuit_picture
from handcraft.draw.kinds.program import program_picture

if TYPE_CHECKING:
    from handcraft.circuits import Circuits

__all__ = [
    "DETAILS",
    "OF_A_RUN",
    "WHATS",
    "Detail",
    "Picture",
    "What",
    "chosen_kind",
    "circuit_picture",
    "circuits_graph",
    "circuits_svg",
    "curves_svg",
    "draw_picture",
    "draw_trace",
    "format_of",
    "heatmap_svg",
    "program_picture",
    "render",
]


def circuits_svg(circuits: Circuits) -> str:
    """The picture of `circuits` as the text of an SVG file."""
    return circuit_picture(circuits).svg
