"""Texts that fit a width: broken into lines, or shortened so that they stay distinct."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from handcraft.draw.canvas.font import text_width
from handcraft.draw.graphs.label import visible


def wrapped(text: str, width: float, size: float) -> list[str]:
    """A text as lines that are at most so wide, broken after blanks and else anywhere.

    >>> wrapped("predict b after aa", 60, 12)
    ['predict b', 'after aa']
    """
    lines: list[str] = []
    line = ""
    for word in _words(visible(text)):
        if text_width((line + word).rstrip(), size) <= width:
            line += word
            continue
        if line.strip():
            lines.append(line.rstrip())
            line = ""
        for character in word:
            if line and text_width(line + character, size) > width:
                lines.append(line)
                line = ""
            line += character
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _words(text: str) -> list[str]:
    """The text in pieces, each ending where a line may end."""
    words = [""]
    for character in text:
        words[-1] += character
        if character == " ":
            words.append("")
    return words


def shortened(labels: Sequence[str], width: float, size: float) -> list[str]:
    """Labels cut to a width, so that two that differ still do.

    A label that is too long loses its middle. Where that makes it equal to another, what is kept of it
    is around the first place where the two differ; in the last resort it gets a number.

    >>> shortened(["where token.at(-1) is aaaaaaaaaa", "where token.at(-2) is aaaaaaaaaa"], 80, 11)
    ['…at(-1) is a…', '…at(-2) is a…']
    """
    shown = list(dict.fromkeys(visible(label) if label else "" for label in labels))
    cuts = {label: _cut(label, width, size) for label in shown}
    used = {label for label in shown if cuts[label] == label}
    by_cut: dict[str, list[str]] = {}
    for label in shown:
        if label not in used:
            by_cut.setdefault(cuts[label], []).append(label)
    for cut, alike in by_cut.items():
        if len(alike) == 1 and cut not in used:
            used.add(cut)
            continue
        first = _first_difference(min(alike), max(alike))
        for label in alike:
            around = "…" + label[max(0, first - _KEPT) :]
            candidate = _cut(around, width, size, end=True)
            number = 1
            while candidate in used:
                number += 1
                mark = f" #{number}"
                candidate = _cut(around, width - text_width(mark, size), size, end=True) + mark
            cuts[label] = candidate
            used.add(candidate)
    return [cuts[visible(label) if label else ""] for label in labels]


_KEPT = 4
"""Characters that are kept before the first one that differs."""


def _first_difference(one: str, other: str) -> int:
    """The first place at which two texts differ; 0 where they do not."""
    pairs = zip(one, other, strict=False)
    return next(
        (i for i, (a, b) in enumerate(pairs) if a != b),
        min(len(one), len(other)) if one != other else 0,
    )


def _cut(text: str, width: float, size: float, *, end: bool = False) -> str:
    """A text without its middle, or without its end, where it is too wide."""
    before = [0.0, *accumulate(text_width(character, size) for character in text)]
    if before[-1] <= width:
        return text
    room = width - text_width("…", size)
    for kept in range(len(text) - 1, 1, -1):
        head = kept if end else kept - kept // 3
        tail = kept - head
        if before[head] + before[-1] - before[len(text) - tail] <= room:
            return f"{text[:head]}…{text[len(text) - tail :]}"
    return f"{text[:1]}…" if before[1] <= room else "…"
