"""The texts of expressions, which are made on demand and kept short.

A wording consists of words and the wordings of parts. Its size does not depend on the length of its
text: for `x = x + x`, repeated 26 times, the text has 300 million characters and the wording 26 parts.
In a text longer than `LONGEST`, the deepest parts are replaced by an ellipsis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeAlias

from handcraft.language.graph.domain import plain_value, show_value
from handcraft.language.written.lambda_source import lambda_source

LONGEST = 400
"""The most characters of a text, as tests/property/test_long_expressions.py checks."""

ELLIPSIS = "..."

LONGEST_SIZE = 1 << 62
"""Sizes are counted up to here, so that they stay small numbers."""


@dataclass(frozen=True, eq=False)
class Wording:
    """How something reads.

    Args:
        parts: words, and the wordings of what it is made of, in reading order.
        binding: how tightly the outermost operator binds; 9 for a name or a call.
        definition: how what it names reads without its name; None where it is no name.
    """

    parts: tuple[str | Wording, ...]
    binding: int = 9
    definition: Wording | None = field(default=None, repr=False)
    size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size = sum(len(part) if isinstance(part, str) else part.size for part in self.parts)
        object.__setattr__(self, "size", min(size, LONGEST_SIZE))

    def __str__(self) -> str:
        return self._shown

    @cached_property
    def _shown(self) -> str:
        return _written(self, LONGEST)

    def within(self, most: int) -> str:
        """The text in at most so many characters; the deepest parts are replaced by an ellipsis."""
        return _written(self, most)

    @property
    def defined(self) -> str:
        """The text of what it names, with the name before it; else its own text.

        >>> print(name_for("total", reads("a + b", binding=5)).defined)
        total = a + b
        """
        return str(self) if self.definition is None else f"{self} = {self.definition}"

    def __repr__(self) -> str:
        return f"Wording({str(self)!r})"


class Worded(Protocol):
    """Anything that has a wording."""

    @property
    def text(self) -> Wording:
        """How it reads."""


Part: TypeAlias = "str | Wording | Worded"
"""What a wording is made of: words, another wording, or what has one."""


def reads(*parts: Part, binding: int = 9) -> Wording:
    """The wording that is made of some parts.

    >>> print(reads("not ", enclosed(reads("a or b", binding=1), 2)))
    not (a or b)
    """
    return Wording(tuple(map(_part, parts)), binding)


def name_for(name: str, definition: Wording) -> Wording:
    """A name as a wording; what has two names is defined by what it is, not by its other name."""
    inner = definition if definition.definition is None else definition.definition
    return Wording((name,), definition=inner)


def listed_in(parts: Sequence[Part], between: str = ", ", binding: int = 9) -> Wording:
    """Parts with something between them."""
    found: list[Part] = []
    for part in parts:
        found += [between, part] if found else [part]
    return reads(*found, binding=binding)


def enclosed(part: Wording | Worded, binding: int) -> Wording:
    """The wording of an operand of an operator that binds as tightly as `binding`."""
    text = part if isinstance(part, Wording) else part.text
    return text if text.binding > binding else reads("(", text, ")")


def _part(part: Part) -> str | Wording:
    return part if isinstance(part, str | Wording) else part.text


def _written(root: Wording, most: int) -> str:
    """The text in at most so many characters."""
    written: list[str] = []
    waiting: list[tuple[str | Wording, int]] = [(root, most)]
    while waiting:
        part, room = waiting.pop()
        size = _size(part)
        if isinstance(part, str):
            written.append(_shortened(part, room))
        elif size <= room:
            waiting += [(each, _size(each)) for each in reversed(part.parts)]
        elif room < 4 * len(ELLIPSIS):
            written.append(ELLIPSIS[:room])
        else:
            waiting += reversed(_shared(part.parts, room))
    return "".join(written)


def _shared(parts: Sequence[str | Wording], room: int) -> list[tuple[str | Wording, int]]:
    """Parts with the room that each gets: the shorter ones what they need, the others the rest."""
    if len(parts) > room // len(ELLIPSIS):
        ends = room // (4 * len(ELLIPSIS))
        parts = [*parts[:ends], ELLIPSIS, *parts[-ends:]] if ends else [ELLIPSIS]
    rooms = [0] * len(parts)
    left = room
    for done, i in enumerate(sorted(range(len(parts)), key=lambda i: _size(parts[i]))):
        rooms[i] = min(_size(parts[i]), left // (len(parts) - done))
        left -= rooms[i]
    return list(zip(parts, rooms, strict=True))


def _shortened(words: str, room: int) -> str:
    """Words, without their middle where there is no room for it."""
    if len(words) <= room:
        return words
    kept = max(room - len(ELLIPSIS), 0)
    return words[: kept - kept // 2] + ELLIPSIS[:room] + words[len(words) - kept // 2 :]


def _size(part: str | Wording) -> int:
    return len(part) if isinstance(part, str) else part.size


def show(value: object) -> str:
    """A value of a user as it is written in a program."""
    return show_value(plain_value(value))


def show_function(function: object) -> str:
    """A function by its name, a table by its rows."""
    if isinstance(function, Mapping):
        return f"{{{show_some([f'{show(key)}: {show(value)}' for key, value in function.items()])}}}"
    name = getattr(function, "__name__", type(function).__name__)
    return lambda_source(function) if callable(function) and name == "<lambda>" else name


def show_list(values: Sequence[object]) -> str:
    """The first of some values, and how many more there are."""
    return f"[{show_some([show(value) for value in values])}]"


def show_some(words: Sequence[str]) -> str:
    """The first of some words, and how many more there are."""
    return ", ".join(words if len(words) <= 6 else [*words[:5], f"{len(words) - 5} more"])
