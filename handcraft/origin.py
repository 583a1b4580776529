"""Origins: the piece of the program that a circuit or weight serves, and where it was written."""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.shown_file}:{self.line}:{self.column}"

    @property
    def shown_file(self) -> str:
        """The file as seen from the working directory, where that is shorter."""
        if not os.path.isabs(self.file):
            return self.file
        relative = os.path.relpath(self.file)
        return relative if not relative.startswith("..") else self.file

    @property
    def short(self) -> str:
        """The place without its folder: the same wherever the file is."""
        return f"{os.path.basename(self.file)}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Origin:
    """The piece of a program that a circuit or a weight serves.

    Args:
        what: the piece in the words of the language, such as ``predict b after aa``.
        place: where it was written; None for parts that the compiler adds.
    """

    what: str
    place: Place | None = None

    def __str__(self) -> str:
        return self.what if self.place is None else f"{self.what} ({self.place.short})"


class Code:
    """A code object as a key: equal to itself alone. Hashing a code object takes as long as it is."""

    __slots__ = ("code",)

    def __init__(self, code: CodeType) -> None:
        self.code = code

    def __hash__(self) -> int:
        return id(self.code)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and self.code is other.code


@lru_cache(maxsize=256)
def _instruction_places(key: Code) -> tuple[tuple[int | None, int | None], ...]:
    """The line and column of every instruction of some code."""
    return tuple((line, column) for line, _, column, _ in key.code.co_positions())


def caller_place(levels_up: int) -> Place:
    """The place of a call in a source file, `levels_up` frames above the caller."""
    frame: FrameType = sys._getframe(levels_up + 1)
    code = frame.f_code
    line, column = _instruction_places(Code(code))[frame.f_lasti // 2]
    where = line or frame.f_lineno
    return Place(code.co_filename, where, _characters(code.co_filename, where, column or 0) + 1)


def _characters(file: str, line: int, column: int) -> int:
    """How many characters the first `column` bytes of a line are."""
    text = linecache.getline(file, line)
    return column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))
