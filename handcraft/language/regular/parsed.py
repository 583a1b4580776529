"""What Python's parser makes of a regular expression: its parts, and the letters that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from re import _constants as ops
from typing import Any

CATEGORIES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}

Parsed = Any
"""A part of what Python's parser returns: pairs of an operation and its argument."""


def referred_groups(parsed: Parsed) -> dict[int, bool]:
    """The groups that an expression refers to, and whether it needs their text."""
    found: dict[int, bool] = {}
    waiting = [parsed]
    while waiting:
        for operation, value in waiting.pop():
            if operation is ops.GROUPREF:
                found[value] = True
            elif operation is ops.GROUPREF_EXISTS:
                found.setdefault(value[0], False)
            waiting += _inside(operation, value)
    return found


def _inside(operation: Any, value: Any) -> list[Parsed]:
    """The sequences inside of a part."""
    if operation is ops.BRANCH:
        return list(value[1])
    if operation is ops.GROUPREF_EXISTS:
        return [each for each in value[1:] if each]
    if operation in (ops.SUBPATTERN, ops.MAX_REPEAT, ops.MIN_REPEAT, ops.ASSERT, ops.ASSERT_NOT):
        return [value[-1]]
    return []


def one_letter(operation: Any, value: Any) -> str | None:
    """The source of a part that stands for one letter; None for any other."""
    if operation is ops.ANY:
        return "."
    if operation is ops.LITERAL:
        return _spelled(value)
    if operation is ops.NOT_LITERAL:
        return f"[^{_spelled(value)}]"
    if operation is not ops.IN:
        return None
    return f"[{''.join(_in_class(*each) for each in value)}]"


def _in_class(operation: Any, value: Any) -> str:
    if operation is ops.NEGATE:
        return "^"
    if operation is ops.LITERAL:
        return _spelled(value)
    if operation is ops.RANGE:
        return f"{_spelled(value[0])}-{_spelled(value[1])}"
    return CATEGORIES[value]


def _spelled(code: int) -> str:
    return f"\\U{code:08x}"


def names_in(parsed: Sequence[tuple[Any, Any]], flags: int) -> Iterator[tuple[str, Any, int]]:
    """Every class and every letter of an expression, with the flags there."""
    waiting: list[tuple[Any, int]] = [(parsed, flags)]
    while waiting:
        part, flags = waiting.pop()
        for operation, value in part:
            source = one_letter(operation, value)
            if source is not None:
                yield source, (operation, value), flags
            here = flags
            if operation is ops.SUBPATTERN:
                here = (flags | value[1]) & ~value[2]
            waiting += [(each, here) for each in _inside(operation, value)]
