"""What keeps a picture from being read: texts that overlap, are too small, or lie outside.

The texts are read from the SVG that a viewer gets, and measured in the font of PNG pictures, which is
wider than the common sans-serif fonts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from handcraft.draw.canvas.font import text_width

SVG = "{http://www.w3.org/2000/svg}"

PAGE = 830
"""Pixels of a page: a wider picture is shown smaller."""

SMALLEST = 11
"""Pixels of the smallest text that everybody reads."""

ABOVE, BELOW = 0.76, 0.24
"""How far letters reach above and below their baseline, in ems of DejaVu Sans."""

TOLERANCE = 0.75  # pixels by which boxes may touch


@dataclass(frozen=True)
class Text:
    """A text and the box that it takes."""

    words: str
    left: float
    top: float
    right: float
    bottom: float
    size: float

    def overlaps(self, other: Text) -> bool:
        """Whether two texts lie on one another."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > TOLERANCE and down > TOLERANCE


def texts_of(svg: str) -> tuple[list[Text], float, float]:
    """The texts of a picture, its width and its height."""
    root = ElementTree.fromstring(svg)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    default = root.get("font-size", "nothing")
    found = []
    for each in root.iter(f"{SVG}text"):
        words = "".join(each.itertext())
        size = float(each.get("font-size", default))
        x, y, wide = float(each.attrib["x"]), float(each.attrib["y"]), text_width(words, size)
        back = {"start": 0.0, "middle": wide / 2, "end": wide}[each.get("text-anchor", "start")]
        if (turn := each.get("transform")) is None:
            box = (x - back, y - ABOVE * size, x - back + wide, y + BELOW * size)
        else:
            assert re.match(r"rotate\(-90 ", turn), turn
            box = (x - ABOVE * size, y + back - wide, x + BELOW * size, y + back)
        found.append(Text(words, *box, size))
    return found, width, height


def unreadable(svg: str) -> list[str]:
    """Everything about its texts that keeps a picture from being read on a page."""
    texts, width, height = texts_of(svg)
    scale = min(1.0, PAGE / width)
    found = [f"{t.words!r} is {t.size * scale:.1f} px" for t in texts if t.size * scale < SMALLEST]
    for text in texts:
        if text.left < 0 or text.top < 0 or text.right > width or text.bottom > height:
            found.append(f"{text.words!r} is partly outside")
    in_order = sorted(texts, key=lambda text: text.top)
    for i, text in enumerate(in_order):
        for other in in_order[i + 1 :]:
            if other.top >= text.bottom:
                break
            if text.overlaps(other):
                found.append(f"{text.words!r} overlaps {other.words!r}")
    return found
