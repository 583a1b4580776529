"""Columns of a table as curves over its rows."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import ceil

import numpy as np
import numpy.typing as npt

from handcraft.draw.canvas.font import text_width
from handcraft.errors import DrawError

_WIDTH, _HEIGHT = 560, 240  # pixels of the frame
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 44, 130, 52  # margins: labels, title, names of the curves
_INK, _QUIET, _FRAME = "#1f2937", "#475569", "#94a3b8"
_COLOURS = ("#3a689e", "#c2410c", "#15803d", "#7e22ce", "#0f766e", "#b91c1c")
"""Readable on white, and different in lightness too; also how many curves fit."""
_DASHES = ("", "6 3", "2 2", "8 2 2 2", "4 4", "1 3")
_SIZE = 13
_NAMES_APART = 18
_NAMES_AT = 42  # pixels right of the frame, behind a piece of the curve


def curves_svg(curves: Mapping[str, npt.ArrayLike], *, title: str, x_label: str = "position") -> str:
    """Curves over a common axis 0, 1, 2 ..., each with its name at the right, as an SVG file's text.

    The same numbers always give the same text.

    Args:
        curves: for each name its numbers, [point]; all of one length.
        title: the text above the picture.
        x_label: what the points are.

    Raises:
        DrawError: there are no curves or too many, their lengths differ, or a number is not finite.
    """
    numbers = {name: np.asarray(curve, dtype=np.float64) for name, curve in curves.items()}
    shapes = {curve.shape for curve in numbers.values()}
    if not 0 < len(numbers) <= len(_COLOURS):
        raise DrawError(f"{len(numbers)} curves in one picture", fix=f"draw from 1 to {len(_COLOURS)}")
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or next(iter(shapes))[0] < 2:
        raise DrawError(
            f"curves of the shapes {', '.join(map(str, sorted(shapes)))}",
            fix="give each as [point], all with the same two or more points",
        )
    if not all(np.isfinite(curve).all() for curve in numbers.values()):
        raise DrawError("a curve has a number that is not finite", fix="leave out what is masked")
    low = min(float(curve.min()) for curve in numbers.values())
    high = max(float(curve.max()) for curve in numbers.values())
    low, high = (low, high) if low < high else (low - 1, high + 1)
    names = max(_RIGHT, _NAMES_AT + ceil(max(text_width(name, _SIZE) for name in numbers)) + 8)
    width, height = _LEFT + _WIDTH + names, _TOP + _HEIGHT + _BOTTOM
    return (
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" role="img" '
                f'font-family="Helvetica,Arial,sans-serif" font-size="{_SIZE}">',
                f"<title>{escape(title)}</title>",
                f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
                _text(_LEFT, 26, title, extra=' font-size="15"'),
                *_axes(next(iter(shapes))[0], low, high, x_label),
                *_drawn(numbers, low, high),
                "</svg>",
            ]
        )
        + "\n"
    )


def _axes(points: int, low: float, high: float, x_label: str) -> list[str]:
    """The frame, numbers along both axes, and the label of the lower one."""
    lines = [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'fill="none" stroke="{_FRAME}"/>'
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + _HEIGHT * (1 - share)
        value = low + (high - low) * share
        number = f"{0.0 if abs(value) < 1e-3 * (high - low) else value:.3g}"
        lines.append(f'<path d="M{_LEFT} {y:g}h{_WIDTH}" stroke="#e2e8f0"/>')
        lines.append(
            _text(_LEFT - 8, y + 4, number.replace("-", "\N{MINUS SIGN}"), anchor="end", fill=_QUIET)
        )
    step = 1
    while points > 12 * step:
        step *= 2 if step % 10 else 5
    for point in range(0, points, step):
        x = _LEFT + _WIDTH * point / (points - 1)
        lines.append(f'<path d="M{x:g} {_TOP + _HEIGHT}v5" stroke="{_FRAME}"/>')
        lines.append(_text(x, _TOP + _HEIGHT + 20, str(point), anchor="middle", fill=_QUIET))
    lines.append(_text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 42, x_label, anchor="middle"))
    return lines


def _drawn(curves: Mapping[str, npt.NDArray[np.float64]], low: float, high: float) -> list[str]:
    """The curves, and their names beside them, from top to bottom."""
    lines = []
    styles = zip(curves.items(), _COLOURS, _DASHES, strict=False)
    for number, ((name, curve), colour, dash) in enumerate(styles):
        x = _LEFT + _WIDTH * np.arange(len(curve)) / (len(curve) - 1)
        y = _TOP + _HEIGHT * (high - curve) / (high - low)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        style = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        lines.append(f'<polyline points="{points}" {style}/>')
        across, down = _LEFT + _WIDTH + 12, _TOP + 8 + _NAMES_APART * number
        lines.append(f'<path d="M{across} {down}h24" {style}/>')
        lines.append(_text(_LEFT + _WIDTH + _NAMES_AT, down + 4, name))
    return lines


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", fill: str = _INK, extra: str = ""
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}"{extra}>{escape(text)}</text>'
    )
