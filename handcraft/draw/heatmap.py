"""A table of numbers as a heatmap: positions by dimensions, or destinations by sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from itertools import groupby
from math import ceil

import numpy as np
import numpy.typing as npt

from handcraft.draw.canvas.font import text_width
from handcraft.draw.graphs.label import FONT
from handcraft.errors import DrawError

Floats = npt.NDArray[np.float64]


def heatmap_svg(
    table: npt.ArrayLike,
    *,
    title: str,
    x_label: str = "dimension",
    y_label: str = "position",
    limit: float | None = None,
) -> str:
    """A table as a picture: a coloured cell for each number, axes, and a bar that explains the colours.

    Blue is positive and amber negative; the nearer to 0, the paler, in 32 shades on each side. If no
    number is negative, the bar has no amber. The same table always gives the same text.

    Args:
        table: [row, column].
        title: the text above the picture.
        x_label: what the columns are.
        y_label: what the rows are.
        limit: numbers of this size and beyond have the full colour; by default the largest absolute
            value in the table.

    Returns:
        The text of an SVG file.

    Raises:
        DrawError: the table is empty, has another number of axes, or contains a number that is not
            finite; or the limit is not positive.
    """
    numbers = np.asarray(table, dtype=np.float64)
    if numbers.ndim != 2 or not numbers.size:
        raise DrawError(
            f"a table of shape {numbers.shape}", fix="give it as [row, column], with one cell or more"
        )
    if not np.isfinite(numbers).all():
        raise DrawError(
            f"{int((~np.isfinite(numbers)).sum())} cells of the table are not finite numbers",
            fix="a masked score has no colour: draw the pattern after softmax",
        )
    top = (float(np.abs(numbers).max()) or 1.0) if limit is None else float(limit)
    if not 0 < top < np.inf:
        raise DrawError(f"a limit of {limit}", fix="use a positive number, or leave it out")
    return "\n".join(_picture(numbers, title, x_label, y_label, top)) + "\n"


_INK, _QUIET, _FRAME = "#1f2937", "#64748b", "#94a3b8"
_ZERO, _POSITIVE, _NEGATIVE = (248, 250, 252), (58, 104, 158), (216, 166, 92)
_SHADES = 32
"""Shades from 0 to the limit, on each side."""

_SIDE = 384  # pixels of the longer side of the cells, where they come out between the next two
_SMALLEST_CELL, _LARGEST_CELL = 2, 28
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 44, 84, 52  # margins: labels, title, colour bar
_BAR_GAP, _BAR_WIDTH = 20, 12
_SIZE, _TITLE = 11, 14  # pixels of texts
_TICKS = 9


def _picture(numbers: Floats, title: str, x_label: str, y_label: str, top: float) -> list[str]:
    """The lines of the SVG."""
    rows, columns = numbers.shape
    across, down = _cell(columns), _cell(rows)
    width, height = across * columns, down * rows
    bar_height = max(height, 96)
    shown = max(text_width(_number(n), _SIZE) for n in (top, top / 2, -top))
    right = max(_RIGHT, ceil(_BAR_GAP + _BAR_WIDTH + 9 + shown + 6))
    full_width = max(_LEFT + width + right, ceil(_LEFT + text_width(title, _TITLE) + 8))
    full_height = _TOP + bar_height + _BOTTOM
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full_width}" height="{full_height}" '
        f'viewBox="0 0 {full_width} {full_height}" role="img" '
        f'font-family="{FONT}" font-size="{_SIZE}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{full_width}" height="{full_height}" fill="#ffffff"/>',
        _text(_LEFT, 26, title, fill=_INK, extra=f' font-size="{_TITLE}"'),
        *_cells(numbers, across, down, top),
        *_axes(rows, columns, across, down, x_label, y_label),
        *_bar(_LEFT + width + _BAR_GAP, bar_height, top, has_negative=bool((numbers < 0).any())),
        "</svg>",
    ]


def _cell(count: int) -> int:
    """Pixels of a cell along an axis with `count` of them."""
    return min(_LARGEST_CELL, max(_SMALLEST_CELL, _SIDE // count))


def _cells(numbers: Floats, across: int, down: int, top: float) -> list[str]:
    """The cells, one path for each shade, neighbours of one shade in a row drawn as one."""
    rows, columns = numbers.shape
    shades = np.rint(np.clip(numbers / top, -1, 1) * _SHADES).astype(int)
    strokes: dict[int, list[str]] = defaultdict(list)
    for row in range(rows):
        column = 0
        for shade, run in groupby(shades[row].tolist()):
            length = len(list(run))
            if shade:
                strokes[shade].append(f"M{column} {row}h{length}v1h-{length}z")
            column += length
    frame = f'width="{across * columns}" height="{down * rows}"'
    return [
        f'<rect x="{_LEFT}" y="{_TOP}" {frame} fill="{_colour(0)}"/>',
        f'<g transform="translate({_LEFT} {_TOP}) scale({across} {down})" '
        'shape-rendering="crispEdges">',
        *(
            f'<path fill="{_colour(shade)}" d="{"".join(strokes[shade])}"/>'
            for shade in sorted(strokes)
        ),
        "</g>",
        f'<rect x="{_LEFT - 0.5}" y="{_TOP - 0.5}" width="{across * columns + 1}" '
        f'height="{down * rows + 1}" fill="none" stroke="{_FRAME}"/>',
    ]


def _axes(rows: int, columns: int, across: int, down: int, x_label: str, y_label: str) -> list[str]:
    """Numbers along both axes, at the middle of their cells, and the labels."""
    width, height = across * columns, down * rows
    lines = []
    for column in _ticks(columns):
        x = _LEFT + (column + 0.5) * across
        lines.append(_line(x, _TOP + height + 1, x, _TOP + height + 5))
        lines.append(_text(x, _TOP + height + 17, str(column), anchor="middle"))
    for row in _ticks(rows):
        y = _TOP + (row + 0.5) * down
        lines.append(_line(_LEFT - 5, y, _LEFT - 1, y))
        lines.append(_text(_LEFT - 9, y + 4, str(row), anchor="end"))
    lines.append(_text(_LEFT + width / 2, _TOP + height + 38, x_label, fill=_INK, anchor="middle"))
    middle = _TOP + height / 2
    turned = f' transform="rotate(-90 16 {middle:g})"'
    lines.append(_text(16, middle, y_label, fill=_INK, anchor="middle", extra=turned))
    return lines


def _bar(x: float, height: int, top: float, *, has_negative: bool) -> list[str]:
    """The colours from the limit down, with the numbers that they stand for."""
    shades = range(_SHADES, -_SHADES - 1 if has_negative else -1, -1)
    edges = np.linspace(0, height, len(shades) + 1)
    lines = [
        f'<rect x="{x:g}" y="{_TOP + start:.2f}" width="{_BAR_WIDTH}" height="{height - start:.2f}" '
        f'fill="{_colour(shade)}"/>'  # down to the foot, so that no seam shows between two shades
        for shade, start in zip(shades, edges[:-1], strict=True)
    ]
    lines.append(
        f'<rect x="{x - 0.5:g}" y="{_TOP - 0.5}" width="{_BAR_WIDTH + 1}" height="{height + 1}" '
        f'fill="none" stroke="{_FRAME}"/>'
    )
    numbers = (top, 0.0, -top) if has_negative else (top, top / 2, 0.0)
    for share, number in zip((0.0, 0.5, 1.0), numbers, strict=True):
        y = _TOP + share * height
        lines.append(_line(x + _BAR_WIDTH + 1, y, x + _BAR_WIDTH + 5, y))
        lines.append(_text(x + _BAR_WIDTH + 9, y + 4, _number(number)))
    return lines


def _ticks(count: int) -> Sequence[int]:
    """Every first, second, fourth, eighth ... index, so that there are not too many."""
    step = 1
    while count > step * _TICKS:
        step *= 2
    return range(0, count, step)


def _colour(shade: int) -> str:
    """The colour of a shade from -_SHADES to _SHADES."""
    end = _POSITIVE if shade > 0 else _NEGATIVE
    share = abs(shade) / _SHADES
    mixed = (round(zero + (full - zero) * share) for zero, full in zip(_ZERO, end, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _number(number: float) -> str:
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{_FRAME}"/>'


def _text(
    x: float, y: float, text: str, *, fill: str = _QUIET, anchor: str = "start", extra: str = ""
) -> str:
    at = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}"'
    return f"<text {at}{extra}>{escape(text)}</text>"
