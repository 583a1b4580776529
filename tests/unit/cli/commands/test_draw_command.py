"""`handcraft draw`: a picture file of the kind its name asks for."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from gallery import FOLDER


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
    assert (tmp_path / "picture.dot").is_file()
    assert out == "wrote picture.dot\n"


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


def text_of(file) -> str:
    return " ".join("".join(ElementTree.parse(file).getroot().itertext()).split())


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], "rule 1: predict b after aa"),
        (["--what", "circuit"], "head: "),
        (["--detail", "weights"], "neuron: predict b after aa"),
        (["--prompt", "aab"], "logit of a"),
        (["--what", "attention", "--prompt", "aab"], "block 0, head: "),
        (["--what", "stream", "--prompt", "aab"], "block 0, MLP"),
        (["--what", "weights", "--rule", "1"], "h.0.mlp.c_proj.weight"),
        (["--tensor", "wte.weight"], "wte.weight"),
        (["--what", "positions"], "position embedding"),
    ],
)
@pytest.mark.parametrize("source", ["program", "folder"])
def test_programs_and_folders_have_every_picture(run, tmp_path, options, shown, source):
    name = "aab"
    if source == "folder":
        assert run("compile", "aab", "-o", "made").status == 0
        name = "made"
    ran = run("draw", name, "-o", "picture.svg", *options)
    assert ran.status == 0, ran.err
    assert shown in text_of(tmp_path / "picture.svg")


def test_an_architecture_asks_for_the_circuit(run, tmp_path):
    assert run("draw", "aab", "-o", "picture.svg", "--architecture", "block").status == 0
    assert "aab: circuit" in text_of(tmp_path / "picture.svg")


def test_a_line_of_rules_is_drawn(run, tmp_path):
    ran = run("draw", "-e", "predict b after aa", "-e", "predict a otherwise", "-o", "picture.svg")
    assert (ran.status, ran.err) == (0, "")
    assert "rules: program" in text_of(tmp_path / "picture.svg")


def test_a_file_of_expressions_is_drawn(run, tmp_path):
    (tmp_path / "sums.py").write_text(
        "from handcraft import Prompts\nprompts = Prompts('ab', context=4)\n"
        "outputs = {'how many': (prompts.token == 'a').map(int)}\n"
    )
    ran = run("draw", "sums.py", "-o", "picture.svg")
    assert ran.status == 0, ran.err
    assert "output: how many" in text_of(tmp_path / "picture.svg")


def test_a_program_without_a_prompt_of_its_own_takes_an_example(run, tmp_path):
    ran = run("draw", "dyck2", "-o", "picture.svg", "--what", "run")
    assert ran.status == 0
    assert ran.err.startswith("note: the prompt is '")
    assert "next token" in text_of(tmp_path / "picture.svg")


def test_a_folder_without_handcraft_json_shows_what_weights_alone_say(run, tmp_path):
    assert run("compile", "aab", "-o", "made").status == 0
    (tmp_path / "made" / "handcraft.json").unlink()
    ran = run("draw", "made", "-o", "program.svg")
    assert ran.err == "note: made has no handcraft.json, so numbers have no names\n"
    assert "rule 1: predict 'b' when" in text_of(tmp_path / "program.svg")
    (tmp_path / "made" / "certificate.json").unlink()
    ran = run("draw", "made", "-o", "weights.svg", "--tensor", "wte.weight")
    assert ran.status == 0
    assert ran.err == "note: made has no handcraft.json, so only its numbers are known\n"
    assert "dimension 0" in text_of(tmp_path / "weights.svg")
    assert run("draw", "made", "-o", "run.svg", "--prompt", "aab").status == 0
    assert "head 0" in text_of(tmp_path / "run.svg")
    refused = run("draw", "made", "-o", "circuit.svg", "--what", "circuit")
    assert refused.status == 2
    assert "the circuits of made are not known" in refused.err
    assert "fix:   draw one of: run, attention, weights, stream, positions" in refused.err


def test_a_text_beyond_the_context_of_patterns_has_their_meaning_too(run, tmp_path):
    assert run("draw", "aab", "-o", "run.svg", "--prompt", "aabbaaaab").status == 0
    assert "next token" in text_of(tmp_path / "run.svg")


def test_a_folder_without_handcraft_json_has_no_rule_to_draw(run, tmp_path):
    assert run("compile", "aab", "-o", "made").status == 0
    (tmp_path / "made" / "handcraft.json").unlink()
    (tmp_path / "made" / "certificate.json").unlink()
    refused = run("draw", "made", "-o", "z.svg", "--rule", "1")
    assert refused.status == 2
    assert "no rules are known of this model" in refused.err
    assert refused.err.endswith("  fix:   leave out the rule\n")


def test_a_picture_is_opened_in_the_browser(run, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert run("draw", "aab", "-o", "picture.svg", "--open").status == 0
    assert opened == [(tmp_path / "picture.svg").as_uri()]
    assert run("draw", "aab", "--open").status == 0
    assert opened[1].endswith(".svg")


def test_without_a_browser_it_says_which_file_to_open(run, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    ran = run("draw", "aab", "-o", "picture.svg", "--open")
    assert ran.status == 0
    assert ran.err == "note: no browser was found; open picture.svg yourself\n"


BARE = f"""
import runpy
circuits = runpy.run_path({str(FOLDER / "by_hand.py")!r})["circuits"]
"""
"""Circuits that do not say what they should mean."""


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["aab"], "no file is named for the picture", "add -o picture.svg"),
        (["aab", "-o", "a.jpg"], "a.jpg has no known picture format", "end its name in .svg, .png"),
        (
            ["aab", "-o", "a.dot", "--what", "run", "--prompt", "a"],
            "only the picture of a circuit",
            ".svg",
        ),
        (
            ["aab", "-o", "a.svg", "--what", "graph"],
            "there is no picture 'graph'",
            "use one of: program",
        ),
        (
            ["aab", "-o", "a.svg", "--what", "program", "--detail", "fine"],
            "there is no detail 'fine'",
            "program, circuit, weights",
        ),
        (
            ["aab", "-o", "a.svg", "--detail", "fine"],
            "there is no detail 'fine'",
            "use one of: program",
        ),
        (["aab", "-o", "a.svg", "--rule", "3"], "there is no rule 3", "give a number from 1 to 2"),
        (["aab", "-o", "a.svg", "--rule", "predict b after ab"], "there is no rule", "did you mean"),
        (
            ["aab", "-o", "a.svg", "--tensor", "h.0.mlp.c_fc"],
            "there is no tensor",
            "h.0.mlp.c_fc.weight",
        ),
        (["aab", "-o", "a.svg", "--prompt", "axb"], "'x' is not in the vocabulary", "use one of its 2"),
        (["aab", "-o", "a.svg", "--prompt", ""], "the prompt is empty", "give at least one token"),
        (["aab", "-o", "a.svg", "--what", "run"], "a picture of run needs a prompt", "--prompt a"),
        (
            ["bare.py", "-o", "a.svg", "--what", "program"],
            "the rules of bare are not known",
            "circuit",
        ),
        (
            ["aab", "-o", "a.svg", "--what", "program", "--tensor", "wte.weight"],
            "--what program does not use --tensor wte.weight",
            "leave out --tensor wte.weight, or use --what weights",
        ),
        (
            ["aab", "-o", "a.svg", "--what", "weights", "--detail", "weights"],
            "--what weights does not use --detail weights",
            "leave out --detail weights, or use --what program",
        ),
        (
            ["aab", "-o", "a.svg", "--what", "run", "--tensor", "wte.weight"],
            "--what run does not use --tensor wte.weight",
            "leave out --tensor wte.weight, or use --what weights",
        ),
        (
            ["aab", "-o", "a.svg", "--what", "circuit", "--prompt", "aab"],
            "--what circuit does not use --prompt aab",
            "leave out --prompt aab, or use --what run",
        ),
        (
            ["induction", "-o", "a.svg", "--prompt", "abca" * 9],
            "a prompt of 36 tokens, but the model sees 8",
            "trace what the model sees of it, the last 8: 'abcaabca'",
        ),
        (["subleq", "-o", "a.svg", "--detail", "weights"], "30,000 pixels", "--rule"),
        (["aab", "-o", "a.py/b.svg"], "cannot be written", ""),
    ],
)
def test_what_cannot_be_drawn_is_an_error_in_three_parts(run, tmp_path, arguments, what, fix):
    (tmp_path / "a.py").write_text("")
    (tmp_path / "bare.py").write_text(BARE)
    ran = run("draw", *arguments)
    assert ran.status == 2
    assert what in ran.err
    assert "  where: " in ran.err
    assert fix in ran.err.partition("  fix:   ")[2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.py", "bare.py"]
