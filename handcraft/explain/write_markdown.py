"""An explanation as Markdown, with GitHub's tables."""

from __future__ import annotations

from collections.abc import Iterator

from handcraft.explain.explanation import Explanation
from handcraft.explain.sections import More, Table, sections

SPECIAL = "\\`*_{}[]<>#|~"
"""Characters that mean something in Markdown."""


def write_markdown(explanation: Explanation) -> str:
    """The explanation as Markdown: a heading of the second level for each section."""
    lines: list[str] = []
    for section in sections(explanation):
        lines += [f"## {section.title}", ""]
        for each in section.content:
            text = each.text if isinstance(each, More) else each
            lines += [*(_table(text) if isinstance(text, Table) else [escaped(text)]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    yield "|" + " --- |" * len(table.columns)
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"


def escaped(text: str) -> str:
    r"""A text that Markdown shows as it is.

    >>> print(escaped("a_b | c"))
    a\_b \| c
    """
    return "".join(f"\\{c}" if c in SPECIAL else c for c in text)
