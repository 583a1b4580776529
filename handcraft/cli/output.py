"""What commands print: notes for a person, and JSON."""

from __future__ import annotations

import json
import sys

from handcraft.errors import HandcraftError


def note(text: str | None) -> None:
    """Tell the user something beside the result, on stderr; nothing where there is nothing."""
    if text is not None:
        print(f"note: {text}", file=sys.stderr)


def print_json(data: object) -> None:
    """Data as JSON, on stdout."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def count(number: int, noun: str) -> str:
    """So many of something.

    >>> count(1, "block"), count(2000, "rule")
    ('1 block', '2,000 rules')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def error_data(error: HandcraftError) -> dict[str, object]:
    """An error as data, and each of several."""
    data: dict[str, object] = {
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
    }
    problems = getattr(error, "problems", ())
    return {**data, "problems": [error_data(problem) for problem in problems]} if problems else data
