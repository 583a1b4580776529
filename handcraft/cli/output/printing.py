"""What commands print: notes for a person, lines that fit the terminal, and JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap

from handcraft.errors import SHOWN, HandcraftError, within


def note(text: str | None) -> None:
    """Tell the user something beside the result, on stderr; nothing where there is nothing."""
    if text is not None:
        print(f"note: {text}", file=sys.stderr)


def terminal_width() -> int | None:
    """How many characters a line may have; None where the output is a file or another program."""
    return shutil.get_terminal_size(fallback=(0, 0)).columns or None


def fitted(text: str, *, indent: str = "  ") -> str:
    """A text whose lines fit the terminal: a longer one goes on in the next, indented.

    Where there is no terminal each line stays whole, for programs that read it.
    """
    width = terminal_width()
    if width is None:
        return text
    return "\n".join(_wrapped(line, max(width, 40), indent) for line in text.split("\n"))


def _wrapped(line: str, width: int, indent: str) -> str:
    if len(line) <= width:
        return line
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def print_json(data: object) -> None:
    """Data as JSON, on stdout."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def error_data(error: HandcraftError) -> dict[str, object]:
    """An error as data, and each of several; no more and no longer ones than a person is shown."""
    parts = {"what": error.what, "where": error.where, "fix": error.fix}
    data: dict[str, object] = {"kind": type(error).__name__}
    data |= {name: None if part is None else within(part) for name, part in parts.items()}
    problems = getattr(error, "problems", ())[:SHOWN]
    return {**data, "problems": [error_data(problem) for problem in problems]} if problems else data
