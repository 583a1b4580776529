"""Values as lanes from top to bottom, and beside them the parts that read and write them.

A part is a box at the right. From it one line goes left along the lanes that it reads, with a mark on
each of them, and another one, with arrowheads, along the lanes that it writes. So a picture is a grid,
however many parts and lanes there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from handcraft.draw.canvas.fit import wrapped
from handcraft.draw.canvas.font import text_width
from handcraft.draw.canvas.scene import LINE, MARGIN, SMALL, TEXT, WIDTH, Scene, check_height
from handcraft.draw.canvas.style import INK, QUIET, Kind, lane_colour, node_colours
from handcraft.draw.graphs.label import some

MOST_LANES = 12
"""The most lanes side by side: more would leave boxes too little room for text."""

Lane = Hashable

PITCH = 30
"""Pixels from one lane to the next."""

_WIDEST_MARK = 29
"""Room for a mark of three letters."""

_INSIDE = 8  # pixels between a box and its text
_FIRST = 12  # pixels from the margin to the first lane
_GAP = 10  # pixels between two boxes
_MOST_NAMES = 4


@dataclass(frozen=True)
class Part:
    """One box, and the lanes that it reads and writes.

    Args:
        kind: decides its colours.
        title: what it is; the first line is larger.
        details: what it does, in smaller lines.
        reads: lanes, each with its mark: letters, or nothing for a dot.
        writes: lanes.
        place: where it was written, beside the title.
    """

    kind: Kind
    title: str
    details: Sequence[str] = ()
    reads: Mapping[Lane, str] = field(default_factory=dict)
    writes: Sequence[Lane] = ()
    place: str = ""

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes that it touches, each once."""
        return tuple(dict.fromkeys((*self.reads, *self.writes)))


def draw_panel(scene: Scene, heading: str, parts: Sequence[Part], names: Mapping[Lane, str]) -> None:
    """Parts beside the lanes that they touch, under the names of the lanes.

    Where they touch more lanes than fit, they are drawn as several panels.

    Args:
        scene: where to draw, from its `y` on.
        heading: the text above.
        parts: from top to bottom.
        names: of the lanes, in the order from left to right.
    """
    order = {lane: i for i, lane in enumerate(names)}
    for number, (together, lanes) in enumerate(_split(parts, order)):
        scene.text(
            MARGIN, scene.y + TEXT, heading if not number else f"{heading}, continued", fill=QUIET
        )
        scene.y += LINE + 6
        x_of = {lane: MARGIN + _FIRST + i * PITCH for i, lane in enumerate(lanes)}
        right = MARGIN + _FIRST + len(lanes) * PITCH
        tops = {}
        for lane, x in x_of.items():
            for i, line in enumerate(wrapped(names[lane], WIDTH - MARGIN - x - 14, SMALL)):
                if not i:
                    tops[lane] = scene.y + 7
                    colour = lane_colour(order[lane])
                    scene.path(f"M{x} {tops[lane]:g}h9", colour, width=2)
                scene.text(x + 12, scene.y + SMALL, line, size=SMALL)
                scene.y += LINE
        scene.y += 8
        at = scene.y
        heights = [_height(part, right, names, x_of) for part in together]
        foot = at + sum(heights) + _GAP * len(heights)
        check_height(foot)
        for lane, x in x_of.items():
            scene.path(f"M{x} {tops[lane]:g}V{foot:g}", lane_colour(order[lane]), width=2)
        for part, height in zip(together, heights, strict=True):
            _draw_part(scene, part, right, height, x_of, names)
            scene.y += height + _GAP
        scene.y += 10


def draw_listing(scene: Scene, parts: Sequence[Part], names: Mapping[Lane, str]) -> None:
    """Parts of which each begins a lane, which goes down to the last part that reads it.

    A lane that finds no room beside the others is named in the boxes that read it.
    """
    last = {lane: i for i, part in enumerate(parts) for lane in part.lanes}
    order = {lane: i for i, lane in enumerate(names)}
    column_of: dict[Lane, int] = {}
    free = list(range(MOST_LANES))
    ends: list[list[int]] = [[] for _ in parts]
    for i, part in enumerate(parts):
        for lane in part.writes:
            if last[lane] > i and free:
                column_of[lane] = free.pop(0)
                ends[last[lane]].append(column_of[lane])
        free = sorted([*free, *ends[i]])
    x_of = {lane: MARGIN + _FIRST + column * PITCH for lane, column in column_of.items()}
    right = MARGIN + _FIRST + (1 + max(column_of.values(), default=-1)) * PITCH
    heights = [_height(part, right, names, x_of) for part in parts]
    check_height(scene.y + sum(heights) + _GAP * len(heights))
    tops, y = [], scene.y
    for height in heights:
        tops.append(y)
        y += height + _GAP
    begins = {lane: i for i, part in enumerate(parts) for lane in part.writes}
    for lane, x in x_of.items():
        start = tops[begins[lane]] + heights[begins[lane]] - 12
        stop = tops[last[lane]] + 14
        scene.path(f"M{x} {start:g}V{stop:g}", lane_colour(order[lane]), width=2)
    for part, height in zip(parts, heights, strict=True):
        _draw_part(scene, part, right, height, x_of, names)
        scene.y += height + _GAP


def _split(parts: Sequence[Part], order: Mapping[Lane, int]) -> Iterable[tuple[list[Part], list[Lane]]]:
    """Parts that fit beside one another's lanes, in order, with these lanes from left to right."""
    together: list[Part] = []
    lanes: dict[Lane, None] = {}
    for part in parts:
        more = {**lanes, **dict.fromkeys(part.lanes)}
        if together and len(more) > MOST_LANES:
            yield together, sorted(lanes, key=lambda lane: order[lane])[:MOST_LANES]
            together, more = [], dict.fromkeys(part.lanes)
        together.append(part)
        lanes = more
    if together:
        yield together, sorted(lanes, key=lambda lane: order[lane])[:MOST_LANES]


def _texts(
    part: Part, right: float, names: Mapping[Lane, str], x_of: Mapping[Lane, float]
) -> tuple[list[str], list[str]]:
    """The lines of a box: its title, and its details."""
    width = WIDTH - MARGIN - right - 2 * _INSIDE
    details = list(part.details)
    for verb, lanes in (("reads", part.reads), ("writes", part.writes)):
        # A part that begins a lane says nothing of it: the lane would have its title as its name.
        named = [names[lane] for lane in lanes if lane not in x_of and names[lane] != part.title]
        if named:
            details.append(f"also {verb}: {', '.join(some(named, _MOST_NAMES))}")
    beside = text_width(part.place, SMALL) + 10 if part.place else 0
    return (
        wrapped(part.title, width - beside, TEXT),
        [line for detail in details for line in wrapped(detail, width, SMALL)],
    )


def _height(part: Part, right: float, names: Mapping[Lane, str], x_of: Mapping[Lane, float]) -> float:
    titles, details = _texts(part, right, names, x_of)
    has_both = any(lane in x_of for lane in part.reads) and any(lane in x_of for lane in part.writes)
    return max(LINE * (len(titles) + len(details)) + 10, 46 if has_both else 28)


def _draw_part(
    scene: Scene,
    part: Part,
    right: float,
    height: float,
    x_of: Mapping[Lane, float],
    names: Mapping[Lane, str],
) -> None:
    """A box with its text, and its two lines to the lanes."""
    fill, line = node_colours(part.kind)
    top = scene.y
    reads = {x_of[lane]: mark for lane, mark in part.reads.items() if lane in x_of}
    writes = [x_of[lane] for lane in part.writes if lane in x_of]
    if reads:
        y = top + 14
        dash = "5 3" if any(reads.values()) else ""
        scene.path(f"M{min(reads):g} {y:g}H{right:g}", line, width=1.5, dash=dash)
        for x, mark in reads.items():
            _draw_mark(scene, x, y, mark, fill, line)
    if writes:
        y = top + height - 12
        scene.path(f"M{min(writes):g} {y:g}H{right:g}", line, width=1.5)
        for x in writes:
            scene.path(f"M{x + 1:g} {y:g}l8 -5v10z", line, fill=line)
    scene.box(right, top, WIDTH - MARGIN - right, height, fill=fill, line=line)
    if part.place:
        x = WIDTH - MARGIN - _INSIDE
        scene.text(x, top + 5 + TEXT, part.place, size=SMALL, fill=QUIET, anchor="end")
    titles, details = _texts(part, right, names, x_of)
    y = top + 5
    for text, size, colour in (
        *((text, TEXT, INK) for text in titles),
        *((text, SMALL, QUIET) for text in details),
    ):
        scene.text(right + _INSIDE, y + TEXT, text, size=size, fill=colour)
        y += LINE


def _draw_mark(scene: Scene, x: float, y: float, mark: str, fill: str, line: str) -> None:
    """A dot, or letters in a box, on a lane."""
    if not mark:
        scene.dot(x, y, 4, fill=line)
        return
    width = max(16.0, min(_WIDEST_MARK, text_width(mark, SMALL) + 5))
    scene.box(x - width / 2, y - 8, width, 16, fill=fill, line=line, radius=8)
    scene.text(x, y + 4, mark, size=SMALL, anchor="middle")
