"""Text in boxes: made visible, escaped for DOT, and given enough space in any sans-serif font."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

FONT = "Helvetica,Arial,sans-serif"
FONT_SIZE = 11

LONGEST_LINE = 72
"""Lines longer than this many characters are cut."""

POINTS_PER_INCH = 72
_SIDE_MARGIN = 9  # points that Graphviz leaves on each side of a field of a record

_NARROWEST_BOX = 1.4  # inches; a line down from the middle of it passes the title of its block

_NARROW = frozenset("iIjl.,:;|!'()[]{}/\\frt-\" ")
_WIDE = frozenset("mMW@%")


def visible(text: str) -> str:
    r"""`text` with everything in it to be seen: a lone blank quoted, control characters escaped.

    >>> print(visible("a"), visible(" "), visible(chr(10)))
    a ' ' '\n'
    """
    if text.isspace() or not text:
        return repr(text)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def cut(text: str) -> str:
    """`text`, or its beginning and a mark where it is too long for a line."""
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"


def some(lines: Sequence[str], most: int) -> list[str]:
    """The first lines of many, and how many more there are.

    >>> some(["a", "b", "c", "d"], most=2)
    ['a', 'b', 'and 2 more']
    """
    if len(lines) <= most + 1:  # one more line takes no more space than "and 1 more"
        return list(lines)
    return [*lines[:most], f"and {len(lines) - most:,} more"]


def box(*fields: Iterable[str]) -> dict[str, str]:
    """The label of a box with one field below the other, each of some lines; and the width it needs.

    Without font files Graphviz knows only the widths of Helvetica, for ASCII. The width given here is
    enough for the widest of the common sans-serif fonts, and for every script.

    Returns:
        The attributes `label` and `width` of a node whose shape is a record.
    """
    shown = [[cut(visible(line)) for line in field] for field in fields]
    filled = [lines for lines in shown if lines]
    widest = max(width_in_points(line) for lines in filled for line in lines)
    inches = max(_NARROWEST_BOX, (widest + 2 * _SIDE_MARGIN) / POINTS_PER_INCH)
    label = "|".join("".join(f"{_escape(line)}\\l" for line in lines) for lines in filled)
    return {"label": f"{{{label}}}", "width": f"{inches:.2f}"}


def caption(*lines: str) -> str:
    """The label of a graph: some lines, a little below what is above them."""
    shown = [cut(visible(line)).replace("\\", "\\\\").replace("&", "&amp;") for line in lines]
    # The first line is a blank, since Graphviz for WebAssembly fails where a label begins empty.
    return "".join(f"{line}\\l" for line in (" ", *shown))


def width_in_points(line: str) -> float:
    """At least the width of a line of text in the common sans-serif fonts, DejaVu Sans among them."""
    return FONT_SIZE * sum(map(_width_in_ems, line))


def _width_in_ems(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.25  # an emoji font may be wider than 1
    if not character.isascii():
        return 1.0
    if character in _NARROW:
        return 0.46
    if character in _WIDE:
        return 1.0
    return 0.84 if character.isupper() or character in "w&#~^+=<>" else 0.64


def _escape(line: str) -> str:
    """`line` with everything escaped that means something in the label of a record."""
    escaped = line.replace("\\", "\\\\").replace("&", "&amp;")
    for character in "{}|<> ":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped
