"""A picture of fixed width, written as SVG: shapes, and texts whose widths are known.

Every picture is `WIDTH` pixels wide, which is the width of a page, and no text is smaller than
`SMALL` pixels. So a picture is readable wherever it is shown at its own size. What draws a picture asks
here how wide a text is, and breaks it or leaves it out where it does not fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from handcraft.draw.canvas.fit import wrapped
from handcraft.draw.canvas.style import INK
from handcraft.draw.graphs.label import FONT, visible
from handcraft.errors import DrawError
from handcraft.phrase import listed, phrase, setting

if TYPE_CHECKING:
    import graphviz

WIDTH = 830
"""Pixels across every picture: the width of a page."""

MARGIN = 16

TEXT, SMALL, TITLE = 12, 11, 15
"""Sizes of text in pixels."""

LINE = 16
"""Pixels from one line of text to the next."""

TALLEST = 30_000
"""Pixels of the tallest picture, about forty pages: nobody reads on beyond them."""

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Picture:
    """A picture, which notebooks show.

    Args:
        svg: the text of an SVG file.
        graph: the same as a graph for Graphviz; None for pictures that are not graphs.
    """

    svg: str
    graph: graphviz.Digraph | None = None

    def __repr__(self) -> str:
        return f"Picture({len(self.svg):,} characters of SVG)"

    def _repr_svg_(self) -> str:
        return self.svg

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG, with two pixels for each of the SVG, in the bundled font."""
        from handcraft.draw.graphs.render import png_of

        height = int(re.search(r'height="(\d+)"', self.svg)[1])  # type: ignore[index]
        return png_of(self.svg, height)

    def contents(self, file: Path) -> bytes:
        """The picture in the format that the name of a file asks for.

        Raises:
            DrawError: the format is unknown, or this picture has no graph and cannot be a .dot file.
        """
        from handcraft.draw.graphs.render import format_of

        format = format_of(file)
        if format == "svg":
            return self.svg.encode()
        if format == "png":
            return self.png
        if self.graph is None:
            raise DrawError(
                "only the picture of a circuit is also a graph",
                where=file,
                fix="end its name in .svg or .png, or draw what=circuit",
            )
        return str(self.graph.source).encode()


class Scene:
    """A picture while it is drawn, from top to bottom.

    Args:
        title: the text at the top; it is broken where it is long.
        about: a line below it, smaller.
    """

    def __init__(self, title: str, about: str = "") -> None:
        self._parts: list[str] = []
        self._title = visible(title)
        self.y = float(MARGIN)
        for line in wrapped(title, WIDTH - 2 * MARGIN, TITLE):
            self.text(MARGIN, self.y + TITLE, line, size=TITLE)
            self.y += TITLE + 6
        if about:
            self.paragraph(about)
        self.y += 8

    def paragraph(self, text: str, *, x: float = MARGIN, size: float = SMALL, fill: str = "") -> None:
        """Lines of text across the picture; what follows is below them."""
        for line in wrapped(text, WIDTH - MARGIN - x, size):
            self.text(x, self.y + size, line, size=size, fill=fill)
            self.y += LINE

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = TEXT,
        fill: str = "",
        anchor: Anchor = "start",
        turned: bool = False,
    ) -> None:
        """A line of text, whose baseline begins at a point.

        Args:
            x: of the point, in pixels from the left.
            y: of the point, in pixels from the top.
            text: one line.
            size: in pixels.
            fill: its colour.
            anchor: which part of the text is at the point.
            turned: whether it runs upwards.
        """
        if not text:
            return
        turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" '
            f'fill="{fill or INK}"{turn}>{escape(visible(text), quote=False)}</text>'
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str,
        line: str = "none",
        radius: float = 5,
        tip: str = "",
        dashed: bool = False,
    ) -> None:
        """A rectangle; `tip` is shown where a mouse rests on it."""
        inner = f"<title>{escape(visible(tip), quote=False)}</title>" if tip else ""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
            f'fill="{fill}" stroke="{line}"{dash}' + (f">{inner}</rect>" if inner else "/>")
        )

    def path(
        self, d: str, colour: str, *, width: float = 1, fill: str = "none", dash: str = ""
    ) -> None:
        """A line along a path, as SVG writes it."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<path d="{d}" stroke="{colour}" stroke-width="{width:g}" fill="{fill}"{dashes}/>'
        )

    def dot(self, x: float, y: float, radius: float, *, fill: str, line: str = "none") -> None:
        """A circle around a point."""
        self._parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{line}"/>'
        )

    def picture(self, graph: graphviz.Digraph | None = None) -> Picture:
        """The finished picture.

        Raises:
            DrawError: it is too tall to be shown.
        """
        height = round(self.y + MARGIN)
        check_height(height)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="{FONT}" role="img">'
        )
        title = f"<title>{escape(self._title, quote=False)}</title>"
        back = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
        return Picture("\n".join([head, title, back, *self._parts, "</svg>"]) + "\n", graph)


def check_height(height: float) -> None:
    """Raise where a picture would be taller than can be shown.

    Raises:
        DrawError: it would.
    """
    if height > TALLEST:
        raise DrawError(
            f"the picture would be more than {TALLEST:,} pixels tall, which is the limit",
            fix=phrase(
                "draw less of it, with ",
                listed([setting("rule"), setting("tensor")]),
                " or a coarser ",
                setting("detail"),
            ),
        )
