"""An explanation for a terminal, of 80 columns or as wide as it is."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from handcraft.explain.breaking import Breaking
from handcraft.explain.explanation import Explanation
from handcraft.explain.sections import More, Section, Table, sections

WIDTH = 80
"""How wide a text is that is not written to a terminal, in characters."""

GAP = 3
"""How many characters are between two columns."""

COLORS = {"fires": "bold green", "nearly": "yellow", "comes later": "cyan"}
"""The colors of what becomes of a rule."""


def write_text(explanation: Explanation, width: int = WIDTH) -> str:
    """The explanation as plain text."""
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False)
    print_explanation(explanation, console)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Print the explanation on a terminal."""
    for number, section in enumerate(sections(explanation)):
        if number:
            console.print()
        _print_section(section, console)


def _print_section(section: Section, console: Console) -> None:
    console.print(Text(section.title, style="bold"))
    after_table = False
    for each in section.content:
        if after_table and not isinstance(each, More):
            console.print()
        after_table = isinstance(each, Table)
        if isinstance(each, Table):
            for part in _parts(each, console.width - 2):
                console.print(Padding(_grid(part), (0, 0, 0, 2)))
        else:
            text = each.text if isinstance(each, More) else each
            console.print(Padding(Breaking(text), (0, 0, 0, 2)))


def _grid(table: Table) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    numeric = table.by_position or (not table.columns[0] and "where" not in table.columns)
    for i, name in enumerate(table.columns):
        grid.add_column(
            Text(name), overflow="fold", justify="right" if numeric and i else "left", no_wrap=False
        )
    for row in table.rows:
        grid.add_row(*(Breaking(cell, style=COLORS.get(cell, "")) for cell in row))
    return grid


def _parts(table: Table, width: int) -> Iterator[Table]:
    """The table, in as few parts as fit where its columns are positions."""
    if not table.by_position:
        yield table
        return
    columns = list(zip(table.columns, *table.rows, strict=True))
    sizes = [max(map(cell_len, column)) + GAP for column in columns]
    first, kept = columns[0], [columns[0]]
    label = min(sizes[0], width // 2)
    used = label - GAP
    for column, size in zip(columns[1:], sizes[1:], strict=True):
        if len(kept) > 1 and used + size > width:
            yield _of_columns(kept)
            kept, used = [first], label - GAP
        kept.append(column)
        used += size
    yield _of_columns(kept)


def _of_columns(columns: list[tuple[str, ...]]) -> Table:
    head, *rows = zip(*columns, strict=True)
    return Table(head, tuple(rows), by_position=True)
