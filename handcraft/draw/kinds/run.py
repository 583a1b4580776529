"""The picture of one run: tokens across, blocks down, values in cells, and attention as arcs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from handcraft.draw.canvas.fit import shortened
from handcraft.draw.canvas.font import text_width
from handcraft.draw.canvas.lanes import PITCH
from handcraft.draw.canvas.scene import LINE, MARGIN, SMALL, TEXT, WIDTH, Picture, Scene, check_height
from handcraft.draw.canvas.style import INK, QUIET, ink_on, lane_colour, node_colours, shade
from handcraft.draw.graphs.label import visible
from handcraft.draw.kinds.trace_parts import (
    MOST_UNNAMED,
    SMALLEST,
    block_count,
    heads_of,
    stages_of,
    stored_in,
)
from handcraft.draw.kinds.weights import shown_number
from handcraft.model import Stored, Trace
from handcraft.model.layers.attention import Array

FAINTEST = 0.01
"""Attention weights below this are not drawn as arcs."""

MOST_LOGITS = 12
"""Up to so many tokens have a row of logits; of more, those that are largest somewhere."""

_ABOUT = (
    "Columns are positions. An arc leads from a position to the one that a head attends to, marked by "
    "a dot; a ring marks attention to the position itself. Below are the numbers that are written, "
    "which stand for values up to a scale and an offset."
)

_LONGEST_NAME = 200
_NARROWEST, _WIDEST = 24, 64
_ROW = 20
_PLAIN, _MEANT = "#ffffff", "#e6f5ec"
_ARCS = 44  # pixels that the arcs of one head take


Meant = Sequence[tuple[str, Sequence[str]]]
"""The names of values of the program, each with its text at every position."""


def run_picture(trace: Trace, *, meant: Meant = (), title: str = "Run") -> Picture:
    """One run: tokens from left to right, blocks from top to bottom, attention as arcs.

    Below the arcs of its heads, each block shows the values that its heads write, then those that its
    neurons write, at every position. A value that reads dimensions in which another was stored before
    appears where it is written.

    Args:
        trace: the run; where it does not know which values are stored, every dimension is one.
        meant: what the values of the program are, by its meaning in plain Python.
        title: the text above.
    """
    scene = Scene(title, _ABOUT)
    return _Run(scene, trace, stored_in(trace), meant).draw()


@dataclass
class _Run:
    """A run while it is drawn."""

    scene: Scene
    trace: Trace
    stored: Sequence[Stored]
    meant: Meant

    def draw(self) -> Picture:
        scene, trace = self.scene, self.trace
        stages = list(stages_of(trace))
        is_unnamed = not trace.stored and len(self.stored) > MOST_UNNAMED
        if is_unnamed:
            scene.paragraph(f"{len(self.stored):,} dimensions without a name are left out.")
            self.stored = ()
        changed = [self._written(i, stages) for i in range(len(stages))]
        texts = [text for rows in changed for _, row in rows for text, _ in row]
        texts += [visible(token) for token in trace.tokens]
        texts += [text for _, row in self.meant for text in row]
        logits = self._logits()
        texts += [shown_number(round(n, 2)) for _, numbers in logits for n in numbers.tolist()]
        widest = max(text_width(text, SMALL) for text in texts)
        self.across = min(_WIDEST, max(_NARROWEST, widest + 8))
        names = [value.name for rows in changed for value, _ in rows]
        names += [name for b in range(block_count(trace)) for _, name in heads_of(trace, b)]
        names += [name for name, _ in logits] + ["next token"]
        names += [name for name, _ in self.meant]
        cut = dict(zip(names, shortened(names, _LONGEST_NAME, SMALL), strict=True))
        self.left = MARGIN + max(text_width(name, SMALL) for name in cut.values()) + 18
        self.cut = cut
        room = int((WIDTH - MARGIN - self.left) // self.across)
        self.first = max(0, len(trace.tokens) - room)
        if self.first:
            scene.paragraph(f"The last {room} positions; {self.first} before them are left out.")
        self._axis()
        if self.meant:
            self._heading("the program's values")
            for name, values in self.meant:
                self._row(cut[name], [(value, _MEANT) for value in values])
        for i, (name, _) in enumerate(stages):
            block, half = divmod(i - 1, 2)
            heads = list(heads_of(self.trace, block)) if i and not half else []
            if not (heads or changed[i]):
                continue
            self._heading(name)
            for number, head in heads:
                self._arcs(head, trace[f"h.{block}.attn.pattern"][number], number)
            for value, row in changed[i]:
                self._row(cut[value.name], row)
            check_height(scene.y)
        if logits:
            self._answers(logits)
        return scene.picture()

    def _heading(self, text: str) -> None:
        self.scene.y += 6
        self.scene.text(MARGIN, self.scene.y + TEXT, text, fill=QUIET)
        self.scene.y += LINE + 4

    def _x(self, position: int) -> float:
        """The middle of a position's column."""
        return self.left + (position - self.first + 0.5) * self.across

    def _positions(self) -> range:
        return range(self.first, len(self.trace.tokens))

    def _axis(self) -> None:
        fill, line = node_colours("input")
        for position in self._positions():
            x = self._x(position)
            self.scene.text(
                x,
                self.scene.y + SMALL,
                self.trace.position_names[position],
                size=SMALL,
                anchor="middle",
                fill=QUIET,
            )
            self.scene.box(
                x - self.across / 2 + 1,
                self.scene.y + LINE,
                self.across - 2,
                _ROW,
                fill=fill,
                line=line,
            )
            shown = self._fitting(visible(self.trace.tokens[position]))
            self.scene.text(x, self.scene.y + LINE + 14, shown, size=SMALL, anchor="middle")
        self.scene.text(self.left - 10, self.scene.y + LINE + 14, "token", size=SMALL, anchor="end")
        self.scene.y += LINE + _ROW + 4

    def _row(self, name: str, row: Sequence[tuple[str, str]]) -> None:
        scene = self.scene
        scene.text(self.left - 10, scene.y + 13, name, size=SMALL, anchor="end")
        for position in self._positions():
            text, fill = row[position]
            x = self._x(position) - self.across / 2
            scene.box(
                x + 1, scene.y, self.across - 2, _ROW - 2, fill=fill, line="#e2e8f0", radius=3, tip=text
            )
            ink = INK if fill == _PLAIN else ink_on(fill)
            fitted = self._fitting(text)
            if fitted:
                scene.text(
                    self._x(position), scene.y + 13, fitted, size=SMALL, anchor="middle", fill=ink
                )
        scene.y += _ROW

    def _fitting(self, text: str) -> str:
        """A text where it fits its cell; else its beginning."""
        return shortened([text], self.across - 4, SMALL)[0] if text else ""

    def _arcs(self, name: str, pattern: Array, number: int) -> None:
        """The attention of one head: from each position to those that it attends to."""
        scene = self.scene
        colour = lane_colour(number)
        foot = scene.y + _ARCS - 6
        scene.text(self.left - 10, foot - 6, self.cut[name], size=SMALL, anchor="end")
        scene.path(
            f"M{self.left:g} {foot:g}H{self._x(len(self.trace.tokens) - 1) + PITCH / 2:g}", "#e2e8f0"
        )
        longest = max(1, len(self._positions()) - 1)
        for here, there in np.argwhere(pattern >= FAINTEST).tolist():
            if here < self.first:
                continue
            weight = float(pattern[here, there])
            width = 0.6 + 1.6 * weight
            x, to = self._x(here), self._x(there) if there >= self.first else self.left
            if here == there:
                scene.dot(x, foot, 2 + 2 * weight, fill="none", line=colour)
                continue
            lift = 8 + (_ARCS - 18) * min(1.0, abs(here - there) / longest)
            middle = (x + to) / 2
            # a quadratic curve reaches half of the height of its control point
            scene.path(
                f"M{x:g} {foot:g}Q{middle:g} {foot - 2 * lift:g} {to:g} {foot:g}", colour, width=width
            )
            scene.dot(to, foot, 2.5, fill=colour)
        scene.y += _ARCS + 2

    def _written(
        self, stage: int, stages: Sequence[tuple[str, Array]]
    ) -> list[tuple[Stored, list[tuple[str, str]]]]:
        """The values that are written at a stage, with a text and a colour for each position."""
        found = []
        stream = stages[stage][1]
        before = stages[stage - 1][1] if stage else np.zeros_like(stream)
        for value in self.stored:
            numbers = value.numbers(stream)
            if value.written is None:
                is_new = not np.array_equal(numbers, value.numbers(before))
            else:
                is_new = stage in value.written
            if is_new and not (value.is_answer or value.is_position):
                found.append((value, _shown(value, numbers)))
        return found

    def _logits(self) -> list[tuple[str, Array]]:
        stored = self.trace.stored
        if "logits" not in self.trace or (stored and not any(each.is_answer for each in stored)):
            return []  # a model of values has no unembedding
        logits = self.trace["logits"]
        kept: Iterable[int] = range(logits.shape[1])
        if logits.shape[1] > MOST_LOGITS:
            top = np.argsort(-logits, axis=1)[:, :2]
            kept = sorted(set(top.ravel().tolist()))[:MOST_LOGITS]
        answers = self.trace.answers
        kept = [i for i in kept if logits[:, i].any()] or list(kept)  # without padding
        return [(f"logit of {visible(answers[i])}", logits[:, i]) for i in kept]

    def _answers(self, logits: Sequence[tuple[str, Array]]) -> None:
        self._heading("unembedding")
        limit = max(float(np.abs(numbers).max()) for _, numbers in logits) or 1.0
        for name, numbers in logits:
            row = [(shown_number(round(n, 2)), shade(n / limit * 0.6)[0]) for n in numbers.tolist()]
            self._row(self.cut[name], row)
        best = self.trace["logits"].argmax(axis=1)
        fill, _ = node_colours("output")
        self._row("next token", [(visible(self.trace.answers[i]), fill) for i in best.tolist()])


def _shown(value: Stored, numbers: Array) -> list[tuple[str, str]]:
    """A text and a colour for each position of a value: [position, width]."""
    if value.values:
        places = numbers.argmax(axis=1).tolist()
        known = numbers.max(axis=1) > 0.5
        return [
            (visible(value.values[i]) if k else "", _PLAIN) for i, k in zip(places, known, strict=True)
        ]
    numbers = np.where(np.abs(numbers) >= SMALLEST, numbers, 0)
    texts = [" ".join(shown_number(round(n, 3)) for n in row) for row in numbers.tolist()]
    if numbers.shape[1] > 1:
        return [(text, _PLAIN) for text in texts]
    limit = float(np.abs(numbers).max()) or 1.0
    return [(t, shade(row[0] / limit * 0.6)[0]) for t, row in zip(texts, numbers.tolist(), strict=True)]
