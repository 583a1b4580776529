r"""The font of PNG pictures: a bundled DejaVu Sans, so that every machine draws the same.

`fonts/DejaVuSans.ttf` is DejaVu Sans 2.37 without hints and without what labels hardly need, cut by
fontTools; its licence is beside it:

    pyftsubset DejaVuSans.ttf --no-hinting --layout-features=kern,mark,mkmk,ccmp,locl --notdef-outline \
        --name-IDs=* --unicodes=0-24F,250-2AF,2B0-36F,370-3FF,400-52F,1D00-1DBF,1E00-1FFF,2000-2BFF,\
        2C60-2C7F,A720-A7FF,FB00-FB06,FFFD,1D400-1D7FF
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from handcraft.draw.graphs.label import POINTS_PER_INCH, width_in_points

FAMILY = "DejaVu Sans"
FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WIDTH = re.compile(rf"{_QUOTED.pattern}|\bwidth=([0-9.]+)")  # none in a text that says width=3


def characters() -> frozenset[str]:
    """The characters that the font can draw."""
    return frozenset(_advances())


def text_width(text: str, size: float) -> float:
    """The width of a line of text in this font, in the unit of `size`.

    The common sans-serif fonts are narrower. A character that the font lacks counts as the wider of its
    escape, which a PNG has, and a square.

    >>> text_width("ab", 10) == text_width("a", 10) + text_width("b", 10)
    True
    """
    known = _advances()
    return size * sum(known[c] if c in known else _missing(c) for c in text)


def _missing(character: str) -> float:
    if character.isascii() or unicodedata.combining(character):
        return 0.0
    return max(1.25, sum(_advances()[c] for c in _escape(character)))


@lru_cache(maxsize=1)
def _advances() -> Mapping[str, float]:
    """The width of every character in ems, from `cmap` in format 12 and `hmtx` (OpenType 1.9)."""
    font = FILE.read_bytes()
    (tables,) = struct.unpack_from(">H", font, 4)
    records = [struct.unpack_from(">4s4xI", font, 12 + 16 * i) for i in range(tables)]
    starts = dict(records)
    (units,) = struct.unpack_from(">H", font, starts[b"head"] + 18)
    (metrics,) = struct.unpack_from(">H", font, starts[b"hhea"] + 34)
    widths = [struct.unpack_from(">H", font, starts[b"hmtx"] + 4 * i)[0] for i in range(metrics)]
    cmap = starts[b"cmap"]
    (encodings,) = struct.unpack_from(">H", font, cmap + 2)
    found: dict[str, float] = {}
    for i in range(encodings):
        (offset,) = struct.unpack_from(">I", font, cmap + 4 + 8 * i + 4)
        form, groups = struct.unpack_from(">H10xI", font, cmap + offset)
        if form != 12:
            continue
        for group in range(groups):
            first, last, glyph = struct.unpack_from(">III", font, cmap + offset + 16 + 12 * group)
            for i in range(first, last + 1):
                found[chr(i)] = widths[min(glyph + i - first, metrics - 1)] / units
    return found


def drawable(graph_source: str) -> str:
    r"""A graph in which what the font lacks is written as an escape, in labels and in names alike.

    A width on the same line grows by what the escapes take.

    >>> print(drawable('digraph { a [label="→ 中"] }'))
    digraph { a [label="→ \\u4e2d"] }
    """
    if graph_source.isascii():
        return graph_source
    return "\n".join(line if line.isascii() else _escaped(line) for line in graph_source.split("\n"))


def _escaped(line: str) -> str:
    known = characters()
    grown = 0.0  # points, of the line of text that grows most

    def escape(quoted: re.Match[str]) -> str:
        nonlocal grown
        before = quoted.group().split("\\l")
        after = [
            "".join(c if c.isascii() or c in known else _escape(c) for c in text) for text in before
        ]
        each = (
            width_in_points(new) - width_in_points(old) for old, new in zip(before, after, strict=True)
        )
        grown = max(grown, *each)
        return "\\l".join(after)

    def wider(width: re.Match[str]) -> str:
        if width[1] is None:
            return width.group()
        return f"width={float(width[1]) + grown / POINTS_PER_INCH:.2f}"

    line = _QUOTED.sub(escape, line)
    return _WIDTH.sub(wider, line)


def drawable_text(svg: str) -> str:
    r"""An SVG in which characters that the font lacks are written as escapes.

    >>> print(drawable_text("<text>→ 中</text>"))
    <text>→ \\u4e2d</text>
    """
    if svg.isascii():
        return svg
    known = characters()
    return "".join(c if c.isascii() or c in known else _escape(c) for c in svg)


def _escape(character: str) -> str:
    return "\\" + ascii(character)[1:-1]
