"""A table of coloured cells under named columns, as wide as a page and no wider.

Columns come in groups, each with a name. Where they do not fit beside one another, the table goes on
below, with the names of its rows again; rows that are blank there are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handcraft.draw.canvas.fit import shortened
from handcraft.draw.canvas.font import text_width
from handcraft.draw.canvas.scene import LINE, MARGIN, SMALL, WIDTH, Scene, check_height
from handcraft.draw.canvas.style import INK, QUIET

ROW = 18
"""Pixels from one row to the next."""

_NARROWEST, _WIDEST = 18, 64  # pixels of a cell
_LONGEST_ROW, _LONGEST_COLUMN, _LONGEST_GROUP = 230, 150, 260  # pixels of a name
_GAP = 12  # pixels between two groups
_FRAME = "#e2e8f0"


@dataclass(frozen=True)
class Cell:
    """One cell: its number or word, its colour, and the colour of its text."""

    text: str
    fill: str
    ink: str = INK
    tip: str = ""


@dataclass(frozen=True)
class Group:
    """Columns with a name: the first of them, and the first that is not one of them."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Table:
    """What is in a table.

    Args:
        rows: their names.
        columns: their names.
        cells: by row and column; blank where there is none.
        groups: all columns, in order; one group without a name if left out.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[int, int], Cell]
    groups: Sequence[Group] = ()


@dataclass(frozen=True)
class _Strip:
    """Columns that are drawn beside one another: the left edge of each, and the names of groups."""

    left: Mapping[int, float]
    names: Sequence[tuple[float, str]]


def draw_table(scene: Scene, table: Table) -> None:
    """The table, from the scene's `y` on."""
    row_names = shortened(table.rows, _LONGEST_ROW, SMALL)
    start = MARGIN + max((text_width(name, SMALL) for name in row_names), default=0) + 8
    texts = [cell.text for cell in table.cells.values()]
    widest = max((text_width(text, SMALL) for text in texts), default=0)
    across = min(_WIDEST, max(_NARROWEST, widest + 6))
    fits = all(text_width(name, SMALL) <= across - 4 for name in table.columns)
    column_names = list(table.columns) if fits else shortened(table.columns, _LONGEST_COLUMN, SMALL)
    tall = SMALL if fits else max(text_width(name, SMALL) for name in column_names)
    groups = table.groups or [Group("", 0, len(table.columns))]
    strips = list(_strips(groups, start, across))
    check_height(scene.y + len(strips) * (tall + 2 * LINE))
    by_column: dict[int, list[tuple[int, Cell]]] = {}
    for (row, column), cell in table.cells.items():
        by_column.setdefault(column, []).append((row, cell))
    for strip in strips:
        for x, name in strip.names:
            scene.text(x, scene.y + SMALL, name, size=SMALL, fill=QUIET)
        scene.y += LINE if any(name for _, name in strip.names) else 0
        foot = scene.y + tall + 4
        for column, x in strip.left.items():
            name = column_names[column]
            if fits:
                scene.text(x + across / 2, foot - 3, name, size=SMALL, anchor="middle", fill=QUIET)
            else:
                scene.text(x + across / 2 + 4, foot - 3, name, size=SMALL, turned=True, fill=QUIET)
        scene.y = foot
        rows = sorted({row for column in strip.left for row, _ in by_column.get(column, ())})
        check_height(scene.y + ROW * len(rows))
        y_of = {row: scene.y + i * ROW for i, row in enumerate(rows)}
        for row, y in y_of.items():
            scene.text(start - 8, y + 13, row_names[row], size=SMALL, anchor="end")
        scene.path(_grid(sorted(strip.left.values()), across, scene.y, len(rows)), _FRAME)
        for column, x in strip.left.items():
            for row, cell in by_column.get(column, ()):
                y = y_of[row]
                scene.box(x + 0.5, y + 0.5, across - 1, ROW - 1, fill=cell.fill, radius=0, tip=cell.tip)
                if text_width(cell.text, SMALL) <= across - 2:
                    middle = x + across / 2
                    scene.text(middle, y + 13, cell.text, size=SMALL, anchor="middle", fill=cell.ink)
        scene.y += ROW * len(rows) + 12


def _grid(left: Sequence[float], across: float, top: float, rows: int) -> str:
    """The lines around the cells of some columns, as a path."""
    foot = top + rows * ROW
    lines = []
    for i, x in enumerate(left):
        if not i or x > left[i - 1] + across + 1:  # the first of its group
            last = next(
                (j for j in range(i, len(left) - 1) if left[j + 1] > left[j] + across + 1),
                len(left) - 1,
            )
            right = left[last] + across
            lines += [f"M{x:g} {top + ROW * k:g}H{right:g}" for k in range(rows + 1)]
            lines.append(f"M{x:g} {top:g}V{foot:g}")
        lines.append(f"M{x + across:g} {top:g}V{foot:g}")
    return "".join(lines)


def _strips(groups: Sequence[Group], start: float, across: float) -> list[_Strip]:
    """Where the columns are: as many beside one another as there is room for."""
    right = WIDTH - MARGIN
    names = shortened([group.name for group in groups], min(_LONGEST_GROUP, right - start), SMALL)
    strips: list[_Strip] = []
    left: dict[int, float] = {}
    named: list[tuple[float, str]] = []
    x = start
    for group, name in zip(groups, names, strict=True):
        column = group.start
        whole = across * (group.stop - group.start)
        if left and x + whole > right >= start + whole:  # rather whole on the next strip than in two
            strips.append(_Strip(left, named))
            left, named, x = {}, [], start
        while column < group.stop:
            wide = max(across, text_width(name, SMALL))
            if left and x + wide > right:
                strips.append(_Strip(left, named))
                left, named, x = {}, [], start
            named.append((x, name))
            first, begun = column, x
            while column < group.stop and (x + across <= right or column == first):
                left[column] = x
                x += across
                column += 1
            x = max(x, begun + text_width(name, SMALL)) + _GAP
    return [*strips, _Strip(left, named)] if left else strips
