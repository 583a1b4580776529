"""The style of pictures: colours and shapes by kind."""

from __future__ import annotations

from typing import Literal

from handcraft.draw.graphs.label import FONT, FONT_SIZE

Kind = Literal["input", "subspace", "idle", "head", "neurons", "bias", "output"]
Flow = Literal["embed", "stream", "attend", "move", "write"]

INK = "#1f2937"
QUIET = "#64748b"

GRAPH = {
    "bgcolor": "white",
    "rankdir": "TB",
    "nodesep": "0.3",
    "ranksep": "0.45",
    "pad": "0.2",
    "fontname": FONT,
    "fontsize": str(FONT_SIZE),
    "fontcolor": QUIET,
    "labeljust": "l",
}

LEGEND = (
    "dashed: decides where the head attends (Q, K)",
    "solid, V: what the head moves from there",
    "broad: a subspace's value, carried on",
)
"""What the lines mean."""

NODE = {
    "shape": "Mrecord",
    "style": "filled",
    "height": "0.3",
    "penwidth": "1.2",
    "fontname": FONT,
    "fontsize": str(FONT_SIZE),
    "fontcolor": INK,
}

EDGE = {
    "arrowsize": "0.6",
    "fontname": FONT,
    "fontsize": "9",
    "fontcolor": QUIET,
}

BLOCK = {
    "style": "rounded,filled",
    "color": "#cbd5e1",
    "fillcolor": "#f8fafc",
    "labeljust": "l",
    "labelloc": "b",  # fewer lines leave a block than enter it, so that none crosses its title
    "margin": "14",
}

_NODES: dict[Kind, tuple[str, str]] = {
    "input": ("#f1f5f9", "#94a3b8"),
    "subspace": ("#e8f1fd", "#6d9bd1"),
    "idle": ("#ffffff", "#cbd5e1"),
    "head": ("#fef3dc", "#d9a13c"),
    "neurons": ("#e6f5ec", "#5fa97f"),
    "bias": ("#f7ecec", "#c48b8b"),
    "output": ("#efe9fb", "#9379c9"),
}

_EDGES: dict[Flow, dict[str, str]] = {
    "embed": {"color": "#94a3b8"},
    "stream": {"color": "#b9d1ee", "penwidth": "4", "arrowhead": "none"},
    "attend": {"color": "#b98a2f", "style": "dashed", "fontcolor": "#8a641b"},
    "move": {"color": "#4b7bb5", "penwidth": "1.3", "fontcolor": "#3a6293"},
    "write": {"color": "#6b7280", "penwidth": "1.3"},
}


def node_style(kind: Kind) -> dict[str, str]:
    """The attributes of a node, by its kind."""
    fill, line = _NODES[kind]
    return {"fillcolor": fill, "color": line, "class": kind}


def edge_style(flow: Flow) -> dict[str, str]:
    """The attributes of an edge, by what flows along it."""
    return {**_EDGES[flow], "class": flow}


def node_colours(kind: Kind) -> tuple[str, str]:
    """The colour of the inside of a box and of its line, by its kind."""
    return _NODES[kind]


_LANES = ("#7fa8d6", "#c9a25a", "#74b08d", "#a88fd0", "#d08f8f", "#6fb3bd", "#a3a3a3")


def lane_colour(number: int) -> str:
    """The colour of a lane; neighbours differ."""
    return _LANES[number % len(_LANES)]


RULES = ("#bfdbfe", "#fde68a", "#bbf7d0", "#ddd6fe", "#fecaca", "#a5f3fc", "#fed7aa", "#fbcfe8")
"""Colours of rules; beyond these they come again."""

SEVERAL, NO_RULE = "#e5e7eb", "#f1f5f9"
"""What several rules share, and what serves all of them or none."""

_ZERO, _POSITIVE, _NEGATIVE = (248, 250, 252), (58, 104, 158), (216, 166, 92)


def shade(share: float) -> tuple[str, str]:
    """The colour for a number from -1 to 1, and that of text on it: blue above 0, amber below."""
    end = _POSITIVE if share > 0 else _NEGATIVE
    mixed = (round(zero + (full - zero) * abs(share)) for zero, full in zip(_ZERO, end, strict=True))
    fill = "#" + "".join(f"{part:02x}" for part in mixed)
    return fill, ink_on(fill)


def ink_on(fill: str) -> str:
    """Dark or white ink: the one with the higher contrast, as WCAG 2 defines it."""
    light = _luminance(fill) + 0.05
    return INK if light / (_luminance(INK) + 0.05) >= 1.05 / light else "#ffffff"


def _luminance(colour: str) -> float:
    """The relative luminance of WCAG 2, from 0 for black to 1 for white."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
