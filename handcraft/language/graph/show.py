"""How the user's values, functions and tables are shown in the text of an expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from handcraft.language.graph.domain import plain_value, show_value


def show(value: object) -> str:
    """A value of a user as it is written in a program."""
    return show_value(plain_value(value))


def show_function(function: object) -> str:
    """A function by its name, a table by its rows."""
    if isinstance(function, Mapping):
        return _show_table(function)
    name = getattr(function, "__name__", type(function).__name__)
    return "lambda ..." if name == "<lambda>" else name


def show_list(values: Sequence[object]) -> str:
    """The first of some values, and how many more there are."""
    return f"[{_some([show(value) for value in values])}]"


def _show_table(table: Mapping[Any, object]) -> str:
    return f"{{{_some([f'{show(key)}: {show(value)}' for key, value in table.items()])}}}"


def _some(words: Sequence[str]) -> str:
    return ", ".join(words if len(words) <= 6 else [*words[:5], f"{len(words) - 5} more"])
