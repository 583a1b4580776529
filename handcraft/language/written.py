"""Where a user wrote what this package is reading: the place of every expression and of its errors."""

from __future__ import annotations

import sys
from types import FrameType

from handcraft.origin import Place, caller_place

PACKAGE = __name__.partition(".")[0]


def written_place() -> Place:
    """The place of the innermost call that stands outside this package."""
    levels = 0
    frame: FrameType = sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
        levels += 1
    return caller_place(levels)


def written(text: object) -> str:
    """The place and what is written there, as errors name it."""
    return f"{written_place()}, {text}"


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__"))
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")
