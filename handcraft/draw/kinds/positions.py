"""The picture of a position embedding: positions by dimensions."""

from __future__ import annotations

import numpy as np

from handcraft.draw.canvas.scene import Picture
from handcraft.draw.heatmap import heatmap_svg
from handcraft.errors import DrawError
from handcraft.model import Model

MOST_DIMENSIONS, MOST_POSITIONS = 340, 4_096
"""The most columns and rows of the picture: more do not fit a page, or no page shows them."""


def positions_picture(model: Model, *, title: str = "Position embedding") -> Picture:
    """The matrix wpe as a heatmap; dimensions that are 0 at every position are left out.

    Args:
        model: whose positions to draw.
        title: the text above.

    Raises:
        DrawError: the matrix is too large for a picture, or all 0.
    """
    table = np.asarray(model.tensors["wpe.weight"], dtype=np.float64)
    used = table[:, table.any(axis=0)]
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
