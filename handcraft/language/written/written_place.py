"""Where an expression was written in the user's file: its place, and that of its errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from handcraft.origin import Place, caller_place

PACKAGE = __name__.partition(".")[0]

_read_at: ContextVar[Place | None] = ContextVar("read_at", default=None)


@contextmanager
def written_at(place: Place) -> Iterator[None]:
    """A context manager in which everything counts as written at `place`, for rules read from text."""
    before = _read_at.set(place)
    try:
        yield
    finally:
        _read_at.reset(before)


def is_read_from_text() -> bool:
    """Whether what is made now is read from text, and not written in Python."""
    return _read_at.get() is not None


def written_place() -> Place:
    """The place that `written_at` gives, else that of the innermost call outside this package."""
    given = _read_at.get()
    if given is not None:
        return given
    levels = 0
    frame: FrameType = sys._getframe()
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(f"{PACKAGE}."):
        frame = frame.f_back
        levels += 1
    return caller_place(levels)


def written(text: object) -> str:
    """The place and what is written there, as errors name it."""
    return f"{written_place()}, {text}"
