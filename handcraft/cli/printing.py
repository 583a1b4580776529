"""What commands print: notes for a person, and JSON."""

from __future__ import annotations

import json
import sys

from handcraft.errors import SHOWN, HandcraftError, within


def note(text: str | None) -> None:
    """Tell the user something beside the result, on stderr; nothing where there is nothing."""
    if text is not None:
        print(f"note: {text}", file=sys.stderr)


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
