"""Pictures: the data flow of circuits, and tables of numbers as heatmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handcraft.draw.curves import curves_svg
from handcraft.draw.dataflow import circuits_graph
from handcraft.draw.heatmap import heatmap_svg
from handcraft.draw.render import format_of, render

if TYPE_CHECKING:
    from handcraft.circuits import Circuits

__all__ = ["circuits_graph", "circuits_svg", "curves_svg", "format_of", "heatmap_svg", "render"]


def circuits_svg(circuits: Circuits) -> str:
    """The data flow of `circuits` as one SVG element, for notebooks."""
    svg = render(circuits_graph(circuits).source, "svg").decode()
    return svg[svg.index("<svg") :]
