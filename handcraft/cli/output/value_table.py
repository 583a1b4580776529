"""Values at every position of a text, as a table for a person and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from handcraft.language.graph.domain import Value
from handcraft.language.graph.labels import distinct

WIDTH = 80
"""How wide a table may be, in characters."""

LABELS = (24, 36, 48, 60)
"""How many characters of a name are shown: the fewest that tell it from the others."""


def value_table(tokens: Sequence[str], values: Mapping[str, Sequence[Value]]) -> str:
    """A column for each token, with a row for each output; long texts go on below.

    >>> print(value_table("aab", {"seen": (1, 2, 1), "first": (True, False, True)}))
    token     a      a     b
    seen      1      2     1
    first  True  False  True
    """
    rows = [("token", tokens), *values.items()]
    labels = labels_of([name for name, _ in rows])
    first = max(map(len, labels))
    most = WIDTH - first - 2
    cells = [[shortened(cell(value), most) for value in line] for _, line in rows]
    parts = []
    for part in _fitting([list(column) for column in zip(*cells, strict=True)], most):
        widths = [max(map(len, column)) for column in part]
        lines = []
        for i, label in enumerate(labels):
            line = "  ".join(f"{c[i]:>{w}}" for c, w in zip(part, widths, strict=True))
            lines.append(f"{label:<{first}}  {line}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def labels_of(names: Sequence[str]) -> list[str]:
    """A short label for each of some names: different where the names are.

    >>> labels_of(["seen", "the_letters_before_this_one_are_a", "the_letters_before_this_one_are_b"])
    ['seen', 'the_letters..._one_are_a', 'the_letters..._one_are_b']
    """
    shown = list(map(cell, names))
    known = distinct(shown, widths=LABELS)
    return [known[name] for name in shown]


def _fitting(columns: Sequence[list[str]], most: int) -> Iterator[list[list[str]]]:
    """The columns in as few parts as fit, in order."""
    part: list[list[str]] = []
    used = -2
    for column in columns:
        width = max(map(len, column)) + 2
        if part and used + width > most:
            yield part
            part, used = [], -2
        part.append(column)
        used += width
    yield part


def cell(value: Value) -> str:
    """A value as text that can be seen."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


def shortened(text: str, most: int) -> str:
    """A text, or the beginning of one that is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
