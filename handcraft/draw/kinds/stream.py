"""Pictures of a whole run as tables: attention patterns, and the residual stream."""

from __future__ import annotations

import numpy as np

from handcraft.draw.canvas.scene import Picture, Scene
from handcraft.draw.canvas.style import shade
from handcraft.draw.canvas.table import Cell, Group, Table, draw_table
from handcraft.draw.graphs.label import visible
from handcraft.draw.kinds.trace_parts import SMALLEST, block_count, heads_of, stages_of, stored_in
from handcraft.draw.kinds.weights import shown_number
from handcraft.model import Trace


def attention_picture(trace: Trace, *, title: str = "Attention") -> Picture:
    """The attention pattern of every head: rows attend, columns are attended to.

    Args:
        trace: the run.
        title: the text above.
    """
    scene = Scene(title, "Each row is a position, and each column a position that it attends to.")
    tokens = [visible(token) for token in trace.tokens]
    cells: dict[tuple[int, int], Cell] = {}
    groups: list[Group] = []
    for block in range(block_count(trace)):
        for number, name in heads_of(trace, block):
            start = len(groups) * len(tokens)
            groups.append(Group(f"block {block}, {name}", start, start + len(tokens)))
            pattern = trace[f"h.{block}.attn.pattern"][number]
            for row, column in np.argwhere(pattern >= SMALLEST).tolist():
                cells[row, start + column] = _shaded(pattern[row, column].item(), 1.0)
    if not groups:
        scene.paragraph("No block has a head.")
        return scene.picture()
    rows = [f"{i} {token}".lstrip() for i, token in zip(trace.position_names, tokens, strict=True)]
    draw_table(scene, Table(rows, tokens * len(groups), cells, groups))
    return scene.picture()


def stream_picture(trace: Trace, *, title: str = "Stream") -> Picture:
    """The residual stream: a row for each value, and a column for each position at each stage.

    Args:
        trace: the run; where it does not know which values are stored, every dimension is one.
        title: the text above.
    """
    scene = Scene(
        title,
        "Columns are positions, after the embedding and after each half of a block. A value is shown "
        f"from where it is written to where it is cleared; numbers below {SMALLEST} are blank.",
    )
    values = stored_in(trace)
    stages = list(stages_of(trace))
    positions = [visible(token) for token in trace.tokens]
    rows: list[str] = []
    cells: dict[tuple[int, int], Cell] = {}
    for value in values:
        numbers = [value.numbers(stream) for _, stream in stages]
        there = [value.is_there(stage) for stage in range(len(stages))]
        limit = max(float(np.abs(each).max()) for each in numbers)
        for i, name in enumerate(value.dimensions):
            of = [each[:, i] for each in numbers]
            seen = [
                np.where(there[k] & (np.abs(each) >= SMALLEST), each, 0) for k, each in enumerate(of)
            ]
            if not any(each.any() for each in seen):
                continue
            for stage, column in enumerate(seen):
                for position in np.flatnonzero(column).tolist():
                    place = len(rows), stage * len(positions) + position
                    cells[place] = _shaded(column[position].item(), limit)
            rows.append(name)
    groups = [
        Group(name, i * len(positions), (i + 1) * len(positions)) for i, (name, _) in enumerate(stages)
    ]
    draw_table(scene, Table(rows, positions * len(stages), cells, groups))
    return scene.picture()


def _shaded(number: float, limit: float) -> Cell:
    fill, ink = shade(number / limit)
    return Cell(
        shown_number(round(number, 3) if abs(number) < 1000 else number), fill, ink, f"{number:g}"
    )
