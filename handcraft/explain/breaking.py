"""Texts in a terminal's tables, in which a long word is broken where a reader would break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.containers import Lines
from rich.text import Text

PIECE = re.compile(r"\.\.\.|[^\s_.,:;(){}\[\]=+*/&|-]*(?:\.\.\.|[\s_.,:;(){}\[\]=+*/&|-])|.+")
"""A piece of a word: up to a mark after which a line may end."""


class Breaking(Text):
    """A text that breaks words longer than its column after a mark, such as ``_`` or ``(``."""

    def wrap(self, console: Console, width: int, **options: Any) -> Lines:
        """The lines of the text in a column."""
        broken = Text("\n".join(broken_lines(self.plain, width)), style=self.style)
        return broken.wrap(console, width, **options)


def broken_lines(text: str, width: int) -> list[str]:
    """A text as lines: broken at spaces, and within longer words after a mark, if there is one.

    Args:
        text: the text.
        width: of the lines, in cells of a terminal.

    >>> broken_lines("predict the_letter_before(token) otherwise", 16)
    ['predict', 'the_letter_', 'before(token)', 'otherwise']
    >>> broken_lines("is_a == 'b'", 16)
    ["is_a == 'b'"]
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            spaced = f"{line} {word}" if line else word
            if cell_len(spaced) <= width:
                line = spaced
                continue
            lines += [line] if line else []
            *full, line = _broken(word, width)
            lines += full
        lines.append(line)
    return lines


def _broken(word: str, width: int) -> Iterator[str]:
    """A word as the fewest lines that end after its marks; only what has none is cut anywhere."""
    line = ""
    for piece in PIECE.findall(word):
        if cell_len(line + piece) <= width:
            line += piece
            continue
        if line:
            yield line
        *full, line = chop_cells(piece, width) or [""]
        yield from full
    yield line
