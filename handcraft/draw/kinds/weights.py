"""The picture of weights: every matrix with named rows and columns, coloured by the rule it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from handcraft.display import count
from handcraft.draw.canvas.fit import shortened
from handcraft.draw.canvas.font import text_width
from handcraft.draw.canvas.scene import LINE, MARGIN, SMALL, WIDTH, Picture, Scene
from handcraft.draw.canvas.style import INK, NO_RULE, QUIET, RULES, SEVERAL
from handcraft.draw.canvas.table import Cell, Group, Table, draw_table
from handcraft.draw.graphs.label import visible
from handcraft.errors import DrawError
from handcraft.model import AxisNames, Model, axes_of
from handcraft.model.layers.attention import Array
from handcraft.model.tensors.axis_names import PARTS
from handcraft.origin import Origin
from handcraft.phrase import phrase, setting
from handcraft.weights.explained import tensors_like

Origins = Mapping[str, Mapping[tuple[int, ...], Sequence[Origin]]]
"""For each tensor, what every weight that is not 0 serves."""

MOST_CELLS = 20_000
"""The most numbers of a picture."""

MOST_ROWS, MOST_COLUMNS = 24, 60
"""The most rows and columns of one matrix where all matrices are drawn; `tensor` draws all of one,
unless it has too many numbers. Of ``c_attn`` there are as many for Q, for K and for V."""

_LETTER = {"query": "Q", "key": "K", "value": "V", "output": "output"}

_ABOUT = (
    "Rows read, columns write. Blank is 0; rows and columns of zeros are left out. The colour of a "
    "number says which rule it serves."
)


def weights_picture(
    model: Model,
    names: AxisNames | None = None,
    origins: Origins | None = None,
    *,
    tensor: str | None = None,
    rule: str | None = None,
    rules: Sequence[str] = (),
    title: str = "Weights",
) -> Picture:
    """Matrices as tables: every number that is not 0, under the names of its row and its column.

    A bias is the last row of its matrix. Columns of ``c_attn`` are in groups: Q, K and V of each head.
    Matrices of the blocks of a Llama are turned, so that rows read there too.

    Args:
        model: whose weights to draw.
        names: what rows and columns stand for; None for numbers.
        origins: what every weight serves; None where that is not known.
        tensor: draw this one only; by default the embeddings and the matrices of all blocks, of
            large ones the beginning.
        rule: draw only the numbers that serve this piece of the program, by its text.
        rules: the texts of the rules, which have the first places in the legend and colours of
            their own.
        title: the text above.

    Raises:
        DrawError: there is no such tensor, nothing serves the rule, or too many numbers do.
    """
    drawn = _chosen(model, tensor)
    origins = origins or {}
    is_begun = rule is None and (
        tensor is None or int(np.count_nonzero(model.tensors[tensor])) > MOST_CELLS
    )
    tables: list[tuple[str, _Built]] = []
    total = 0
    for name in drawn:
        table = _table(model, names, origins, name, rule, is_begun)
        total += len(table[2])
        if total > MOST_CELLS and is_begun:
            break
        tables.append((name, table))
    if not total and rule is not None:
        none = f"no weight of {', '.join(drawn)} serves {rule!r}"
        raise DrawError(none, fix=phrase("leave out ", setting("rule", rule)))
    if total > MOST_CELLS and not is_begun:
        raise DrawError(
            f"{total:,} numbers serve {rule!r}; the limit of a picture is {MOST_CELLS:,}",
            fix=phrase("draw one matrix, as with ", setting("tensor", drawn[0])),
        )
    without = [name for name, (_, _, kept) in tables if not kept] if rule is not None else []
    tables = [(name, table) for name, table in tables if name not in without]
    served = _rules(tables)
    colours = _colours(served, rules)
    scene = Scene(title, _ABOUT if served else _ABOUT.rpartition(" The colour")[0])
    _draw_legend(scene, colours, has_several=_has_several(tables))
    for name, (rows, columns, kept) in tables:
        shape = model.tensors[name].shape
        turned = ", turned: it is stored [out, in]" if _is_turned(model, name) else ""
        scene.text(MARGIN, scene.y + 12, f"{name} {list(shape)}{turned}")
        scene.y += LINE + 4
        left = _left_out(model.tensors[name], kept) if is_begun else 0
        if left:
            said = f"Only its beginning: {count(left, 'number')} that are not 0 are left out."
            if tensor is None:
                said += " A picture of this tensor alone draws more."
            scene.paragraph(said, fill=QUIET)
        if not kept:
            scene.paragraph("all 0", size=SMALL)
            scene.y += 6
            continue
        row_at = {index: i for i, index in enumerate(rows)}
        flat = [(index, group) for group, (_, members) in enumerate(columns) for index in members]
        column_at = {index: i for i, (index, _) in enumerate(flat)}
        cells = {}
        for (row, column), (number, what) in kept.items():
            fill = NO_RULE if not what else SEVERAL if len(what) > 1 else colours[what[0]]
            tip = f"{number:g}: {', '.join(what)}" if what else ""
            cells[row_at[row], column_at[column]] = Cell(shown_number(number), fill, INK, tip)
        groups, at = [], 0
        for group_name, members in columns:
            groups.append(Group(group_name, at, at + len(members)))
            at += len(members)
        labels = [label for _, members in columns for label in members.values()]
        draw_table(scene, Table(list(rows.values()), labels, cells, groups))
    if without:
        scene.paragraph(
            f"Left out: {count(len(without), 'tensor')} without a number that serves the rule."
        )
    if len(tables) + len(without) < len(drawn):
        rest = drawn[len(tables) + len(without) :]
        scene.paragraph(
            f"Left out: {count(len(rest), 'tensor')}. A picture of {rest[0]} alone draws the next."
        )
    return scene.picture()


_Kept = dict[tuple[int, int], tuple[float, tuple[str, ...]]]
"""Numbers by row and column, each with the rules that it serves. Row -1 is the bias."""

_Built = tuple[dict[int, str], list[tuple[str, dict[int, str]]], _Kept]
"""The names of rows; groups of columns, each with their names; the numbers."""


def _chosen(model: Model, tensor: str | None) -> list[str]:
    """The tensors to draw."""
    if tensor is None:
        return [name for name in model.tensors if model.tensors[name].ndim == 2]
    if tensor in model.tensors:
        return [tensor]
    raise DrawError(f"there is no tensor {tensor!r}", fix=tensors_like(tensor, model))


def _table(
    model: Model,
    names: AxisNames | None,
    origins: Origins,
    name: str,
    rule: str | None,
    is_begun: bool,
) -> _Built:
    """The names and the numbers of a matrix; only its beginning where that `is_begun`."""
    values, served = model.tensors[name], origins.get(name, {})
    is_turned = _is_turned(model, name)
    if is_turned:
        values, served = values.T, {(row, column): each for (column, row), each in served.items()}
    if is_begun:
        values = values[: np.flatnonzero(values.any(axis=1))[:MOST_ROWS].max(initial=0) + 1]
    kept = _numbers(values, served, rule)
    bias = name.removesuffix("weight") + "bias"
    if name.endswith(".weight") and bias in model.tensors and model.tensors[name].ndim == 2:
        more = _numbers(model.tensors[bias], origins.get(bias, {}), rule)
        kept |= {(-1, column): number for (_, column), number in more.items()}
    columns = sorted({column for _, column in kept})
    if is_begun:
        columns = _first_columns(columns, model.shape.n_embd if ".attn.c_attn." in name else 0)
        drawn = frozenset(columns)
        kept = {place: number for place, number in kept.items() if place[1] in drawn}
    rows = sorted({row for row, _ in kept if row >= 0})
    one_row = model.tensors[name].ndim == 1
    reads, writes = (1, 0) if is_turned else (0, -1)
    named = {row: "" if one_row else _row_name(model, names, name, reads, row) for row in rows}
    if any(row < 0 for row, _ in kept):
        named[-1] = "bias"
    groups: dict[str, dict[int, str]] = {}
    for column in columns:
        group, label = _place(model, names, name, writes, column)
        groups.setdefault(group, {})[column] = label
    return named, list(groups.items()), kept


def _is_turned(model: Model, name: str) -> bool:
    """Whether a matrix is stored [out, in], as those of the blocks of a Llama: rows write there."""
    inside = axes_of(name).block is not None and model.tensors[name].ndim == 2
    return model.architecture.is_rotary and inside


def _first_columns(columns: Sequence[int], part: int) -> list[int]:
    """The first columns of a matrix; of Q, K and V alike where those are `part` columns each."""
    if not part:
        return list(columns[:MOST_COLUMNS])
    parts: dict[int, list[int]] = {}
    for column in columns:
        parts.setdefault(column // part, []).append(column)
    return [column for each in parts.values() for column in each[:MOST_COLUMNS]]


def _left_out(values: Array, kept: _Kept) -> int:
    """How many numbers that are not 0 are not drawn."""
    return int(np.count_nonzero(values)) - sum(row >= 0 for row, _ in kept)


def _numbers(
    values: Array, origins: Mapping[tuple[int, ...], Sequence[Origin]], rule: str | None
) -> _Kept:
    """What is not 0, and serves the rule."""
    found: _Kept = {}
    indices = np.argwhere(values)
    for index in map(tuple, indices.tolist()):
        what = tuple(dict.fromkeys(origin.what for origin in origins.get(index, ())))
        if rule is None or rule in what:
            row = index[0] if len(index) == 2 else 0
            found[row, index[-1]] = values[index].item(), what
    return found


def _row_name(model: Model, names: AxisNames | None, tensor: str, axis: int, row: int) -> str:
    group, label = _place(model, names, tensor, axis, row)
    if not group:
        return label
    head = group.partition(" of ")[2]
    return (
        f"{head}, {label}" if label == f"channel {row % model.shape.head_dim}" else f"{label} of {head}"
    )


def _place(model: Model, names: AxisNames | None, tensor: str, axis: int, i: int) -> tuple[str, str]:
    """What a place along an axis of a tensor as it is stored counts: its group, and its name in it."""
    at, shape = axes_of(tensor), model.shape
    match at.counted[axis]:
        case "token":
            tokens = dict(zip(model.vocabulary.numbers, model.vocabulary.tokens, strict=True))
            if i in tokens:
                return "", f"token {visible(tokens[i])}"
            return "", f"begin token {model.token_name(i)}" if i == model.begin_id else f"id {i}"
        case "position":
            return "", f"position {i}"
        case "unit":
            unit = "" if names is None else names.block(at.block).unit(i)
            return "", unit or f"unit {i}"
        case "stream":
            return "", f"dimension {i}" if names is None else names.stream[i]
        case "channels":
            third, i = divmod(i, shape.n_embd)
            part: str = PARTS[third]
        case "query" | "key" | "value" | "output" as part:
            pass
    number, i = divmod(i, shape.head_dim)
    heads = () if names is None else names.sharing(at.block, part, number, shape)
    if not heads:
        return f"{_LETTER[part]} of head {number}", f"channel {i}"
    channels = heads[0].matching if part in ("query", "key") else heads[0].carried
    stored = channels[i] if i < len(channels) and channels[i] else f"channel {i}"
    return f"{_LETTER[part]} of {', '.join(head.name for head in heads)}", stored


def _rules(tables: Sequence[tuple[str, _Built]]) -> list[str]:
    """Everything that numbers serve alone, in order."""
    found = [what for _, (_, _, kept) in tables for _, what in kept.values()]
    return list(dict.fromkeys(each for what in found if len(what) == 1 for each in what))


def _colours(served: Sequence[str], rules: Sequence[str]) -> dict[str, str]:
    """A colour for each: rules come first, and share theirs with nothing while there are enough."""
    first = [rule for rule in dict.fromkeys(rules) if rule in served]
    rest = [what for what in served if what not in first]
    others = RULES[len(first) :] or RULES
    colours = {rule: RULES[i % len(RULES)] for i, rule in enumerate(first)}
    return colours | {what: others[i % len(others)] for i, what in enumerate(rest)}


def _has_several(tables: Sequence[tuple[str, _Built]]) -> bool:
    """Whether a number serves several."""
    return any(len(what) > 1 for _, (_, _, kept) in tables for _, what in kept.values())


def _draw_legend(scene: Scene, colours: Mapping[str, str], *, has_several: bool) -> None:
    """The colour of each rule, as many beside one another as fit."""
    if not colours:
        return
    shown = dict(list(colours.items())[: len(RULES)])
    texts = shortened(list(shown), WIDTH - 2 * MARGIN - 40, SMALL)
    entries = list(zip(texts, shown.values(), strict=True))
    if has_several:
        entries.append(("several", SEVERAL))
    if len(colours) > len(RULES):
        entries.append((f"and {len(colours) - len(RULES):,} more, in the same colours", "#ffffff"))
    x = float(MARGIN)
    for text, colour in entries:
        wide = text_width(text, SMALL) + 36
        if x > MARGIN and x + wide > WIDTH - MARGIN:
            x, scene.y = float(MARGIN), scene.y + LINE + 4
        scene.box(x, scene.y, 14, 14, fill=colour, line="#cbd5e1", radius=3)
        scene.text(x + 19, scene.y + 11, text, size=SMALL)
        x += wide
    scene.y += LINE + 12


def shown_number(number: float) -> str:
    """A number in a few characters.

    >>> shown_number(16384.0), shown_number(0.031254)
    ('16384', '0.03125')
    """
    whole = float(number).is_integer() and abs(number) < 1e6
    number = number or 0.0  # no minus before 0
    return (f"{number:.0f}" if whole else f"{number:.4g}").replace("-", "\N{MINUS SIGN}")
