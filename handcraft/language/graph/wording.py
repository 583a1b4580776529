"""The texts of expressions, which are made on demand and kept short.

A wording consists of words and the wordings of parts. Its size does not depend on the length of its
text: for `x = x + x`, repeated 26 times, the text has 300 million characters and the wording 26 parts.
In a text longer than `LONGEST`, the deepest parts are replaced by an ellipsis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeAlias

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
    """

    parts: tuple[str | Wording, ...]
    binding: int = 9
    size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size = sum(len(part) if isinstance(part, str) else part.size for part in self.parts)
        object.__setattr__(self, "size", min(size, LONGEST_SIZE))

    def __str__(self) -> str:
        return self._shown

    @cached_property
    def _shown(self) -> str:
        return _written(self, LONGEST)

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
        if isinstance(part, str) or size == 0:
            written.append(_shortened(part, room) if isinstance(part, str) else "")
        elif size <= room:
            waiting += [(each, _size(each)) for each in reversed(part.parts)]
        elif room < 4 * len(ELLIPSIS):
            written.append(ELLIPSIS[:room])
        else:
            waiting += reversed(_fitted(part, room))
    return "".join(written)


def _fitted(wording: Wording, room: int) -> list[tuple[str | Wording, int]]:
    """Parts of a wording that is too long, each with its room.

    A part that is nearly all of it is followed down to where it is short, or where several parts are
    long: what is around that is written as far as there is room, with ellipses for what is left out.
    """
    before: list[str | Wording] = []
    after: list[str | Wording] = []
    inner: str | Wording = wording
    around = 0
    while isinstance(inner, Wording) and inner.size > room // 3:
        place = _one_long(inner, room // 3)
        if place is None:
            break
        around += sum(_size(part) for i, part in enumerate(inner.parts) if i != place)
        if around <= room // 2:
            before += inner.parts[:place]
            after += reversed(inner.parts[place + 1 :])
        inner = inner.parts[place]
    if inner is wording:
        return _shared(wording.parts, room)
    shown = sum(map(_size, before)) + sum(map(_size, after))
    core: list[tuple[str | Wording, int]] = [(inner, room - shown - 2 * len(ELLIPSIS))]
    if around > room // 2:
        ellipsis = (ELLIPSIS, len(ELLIPSIS))
        core = [*([ellipsis] if before else []), *core, *([ellipsis] if after else [])]
    return [(p, _size(p)) for p in before] + core + [(p, _size(p)) for p in reversed(after)]


def _one_long(wording: Wording, room: int) -> int | None:
    """The place of the one part that does not fit; None where several do not, or none does."""
    long = [i for i, part in enumerate(wording.parts) if _size(part) > room]
    if len(long) != 1:
        return None
    others = sum(_size(part) for i, part in enumerate(wording.parts) if i != long[0])
    return long[0] if others <= room else None


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
