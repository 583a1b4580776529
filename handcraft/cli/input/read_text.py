"""The text of a file that a command line names."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from handcraft.errors import CommandError
from handcraft.limits import RULES_TEXT

STDIN = "-"
"""The file name that means standard input."""


def read_text(name: str | Path) -> str:
    """The text of a file, or of standard input where it is called `STDIN`.

    Raises:
        CommandError: it cannot be read, or is no text.
        LimitError: it is longer than `RULES_TEXT`; no more than that is read, since a pipe or a device
            may have no end.
    """
    what = "standard input" if name == STDIN else str(name)
    try:
        with nullcontext(sys.stdin) if name == STDIN else open(name, encoding="utf-8") as file:
            text = file.read(RULES_TEXT.most + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"{what} cannot be read: {error}", where=what, fix="name a text file"
        ) from error
    RULES_TEXT.check(len(text), where=what)
    return text.removeprefix("\ufeff")
