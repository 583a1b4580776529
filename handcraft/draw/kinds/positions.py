"""The picture of a position embedding: positions by dimensions."""

from __future__ import annotations

import numpy as np

from handcraft.draw.canvas.scene import Picture
from handcraft.draw.heatmap import heatmap_svg
from handcraft.errors import DrawError
from handcraft.model import AxisNames, Model
from handcraft.model.layers.attention import Flags

MOST_DIMENSIONS, MOST_POSITIONS = 340, 4_096
"""The most columns and rows of the picture: more do not fit a page, or no page shows them."""

BALLAST = ("+ballast", "-ballast")
"""The names of the two dimensions whose only purpose is a constant variance for LayerNorm."""


def positions_picture(
    model: Model,
    names: AxisNames | None = None,
    *,
    context: int | None = None,
    title: str = "Position embedding",
) -> Picture:
    """The matrix wpe as a heatmap; dimensions that are 0 at every position are left out.

    Ballast is left out too, where names tell which dimensions have it: it is the same everywhere, and
    so large that everything else would be pale beside it. The title says what is left out.

    Args:
        model: whose positions to draw.
        names: what dimensions stand for; None where that is not known.
        context: how many positions the program has; None for all positions of the model.
        title: the text above.

    Raises:
        DrawError: there is no such matrix, it is too large for a picture, or all 0.
    """
    if model.architecture.is_rotary:
        raise DrawError(
            "the model embeds no positions: it rotates queries and keys by them",
            fix="draw circuit, or draw attention on a prompt",
        )
    table = np.asarray(model.tensors["wpe.weight"], dtype=np.float64)
    every = len(table)
    table = table[:context]
    if len(table) < every:
        title += f", the first {len(table):,} of {every:,} positions"
    is_used: Flags = np.asarray(table.any(axis=0))
    ballast = [] if names is None else [i for i, n in enumerate(names.stream) if n in BALLAST]
    if is_used[ballast].any():
        title += ", without ballast"
        is_used[ballast] = False
    used = table[:, is_used]
    if not used.size:
        raise DrawError("the position embedding is all 0", where="wpe.weight", fix="draw weights")
    positions, dimensions = used.shape
    if dimensions > MOST_DIMENSIONS or positions > MOST_POSITIONS:
        raise DrawError(
            f"{positions:,} positions by {dimensions:,} dimensions; the limit of a picture is "
            f"{MOST_POSITIONS:,} by {MOST_DIMENSIONS}",
            where="wpe.weight",
            fix="draw a part of it with handcraft.draw.heatmap_svg",
        )
    return Picture(heatmap_svg(used, title=title, x_label="dimension that is used"))
