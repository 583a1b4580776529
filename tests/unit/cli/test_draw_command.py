"""`handcraft draw`: a picture file of the kind its name asks for."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest


@pytest.mark.parametrize("program", ["aab", "by_hand"])
def test_an_svg_is_xml_that_names_tokens_and_rules(run, program, tmp_path):
    ran = run("draw", program, "-o", "picture.svg")
    assert (ran.status, ran.err) == (0, "")
    root = ElementTree.parse(tmp_path / "picture.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = " ".join("".join(root.itertext()).split())
    assert "token" in text
    assert "position" in text
    if program == "aab":
        assert "predict b after aa" in text


def test_a_png_is_a_png(run, tmp_path):
    assert run("draw", "aab", "-o", "picture.png").status == 0
    data = (tmp_path / "picture.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) > 1000


def test_a_dot_file_is_a_graph(run, tmp_path):
    assert run("draw", "aab", "-o", "picture.dot").status == 0
    text = (tmp_path / "picture.dot").read_text(encoding="utf-8")
    assert text.lstrip().startswith(("digraph", "//", "strict digraph"))
    assert "->" in text


def test_an_ending_in_capitals_is_an_ending_too(run, tmp_path):
    assert run("draw", "aab", "-o", "picture.SVG").status == 0
    assert (tmp_path / "picture.SVG").read_bytes().lstrip().startswith(b"<")


def test_it_says_what_it_wrote(run, tmp_path):
    out = run("draw", "aab", "-o", "picture.dot").out
    size = (tmp_path / "picture.dot").stat().st_size
    assert out == f"wrote picture.dot ({size:,} bytes)\n"


def test_json_has_the_same_contents(run, tmp_path):
    report = json.loads(run("draw", "aab", "-o", "picture.dot", "--json").out)
    size = (tmp_path / "picture.dot").stat().st_size
    assert report == {"file": "picture.dot", "what": "circuit", "format": "dot", "bytes": size}


@pytest.mark.parametrize("ending", ["svg", "dot"])
def test_the_same_program_gives_the_same_picture(run, tmp_path, ending):
    run("draw", "aab", "-o", f"one.{ending}")
    run("draw", "aab", "-o", f"two.{ending}")
    assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


def test_a_rules_file_and_binary_positions_can_be_drawn(run, tmp_path):
    (tmp_path / "a.rules").write_text(
        "vocabulary a b c\ncontext 4\npredict b after start ab\npredict b after c.a\n"
        "predict c after [ab]b\npredict a otherwise\n"
    )
    assert run("draw", "a.rules", "-o", "a.svg", "--positions", "binary").status == 0
    text = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert "predict c after [ab]b" in text


def test_tokens_that_xml_and_graphviz_would_misread_are_drawn(run, tmp_path):
    (tmp_path / "odd.rules").write_text(
        'vocabulary < > & " \\\\ { } | é\ncontext 3\npredict & after <>\npredict " after &{\n'
        "predict < otherwise\n"
    )
    ran = run("draw", "odd.rules", "-o", "odd.svg")
    assert (ran.status, ran.err) == (0, "")
    text = "".join(ElementTree.parse(tmp_path / "odd.svg").getroot().itertext())
    assert "predict & after <>" in text
    assert 'predict " after &{' in text


def test_an_earlier_picture_is_replaced(run, tmp_path):
    (tmp_path / "picture.dot").write_text("old")
    assert run("draw", "aab", "-o", "picture.dot").status == 0
    assert "->" in (tmp_path / "picture.dot").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.dot"]
