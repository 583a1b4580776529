"""`handcraft list`, every `--help`, and `python -m handcraft`."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from handcraft import compile_program
from handcraft.cli.input.shipped import shipped_programs
from handcraft.cli.input.sources import find

COMMANDS = [
    "new",
    "run",
    "compile",
    "verify",
    "prove",
    "plant",
    "draw",
    "page",
    "explain",
    "ground-truth",
    "dataset",
    "write-tests",
    "list",
]


@pytest.fixture
def wide(run, monkeypatch):
    """`run`, in a terminal in which every line of the list has room."""
    monkeypatch.setenv("COLUMNS", "250")
    return run


@pytest.mark.parametrize("columns", [80, 120])
def test_list_fits_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run("list").out.splitlines()
    assert max(map(len, lines)) <= columns
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert names == [*shipped_programs()]
    assert "  Predict b after aa, otherwise a." in lines


def test_where_there_is_no_terminal_a_program_is_one_line(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "handcraft", "list"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(ran.stdout.splitlines()) == len(shipped_programs())


def test_prove_fits_the_terminal_and_says_the_same(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("prove", "aab").out
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "2000")
    wide = run("prove", "aab").out
    assert narrow.replace("\n  ", " ") == wide
    assert len(narrow.splitlines()) > len(wide.splitlines()) == 3


def test_list_shows_each_program_with_its_first_line(wide):
    ran = wide("list")
    assert (ran.status, ran.err) == (0, "")
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in ran.out.splitlines())
    assert set(lines) == set(shipped_programs())
    assert lines["aab"].endswith("Predict b after aa, otherwise a.")
    assert "The worked example, laid out by hand" in lines["by_hand"]


def test_list_shows_how_large_each_program_is(run):
    (line,) = [line for line in run("list").out.splitlines() if line.startswith("induction ")]
    compiled = compile_program(find("induction").source)
    shape = compiled.model.shape
    assert f"{shape.n_layer} blocks" in line
    assert f"width {shape.n_embd}" in line
    assert f"{compiled.model.parameters:,} parameters" in line
    assert "2 heads" in line


def test_list_says_which_answers_are_proved(wide):
    lines = wide("list").out.splitlines()
    said = {name: line for line in lines for name in ("aab", "subleq") if line.startswith(f"{name} ")}
    assert " parameters  proved   Predict b after aa" in said["aab"]
    assert " parameters  sampled  " in said["subleq"]


def test_list_lines_its_columns_up(wide):
    starts = {re.match(r"\S+\s+", line).end() for line in wide("list").out.splitlines()}
    assert len(starts) == 1


def test_list_as_json_has_the_same_contents(run):
    rows = json.loads(run("list", "--json").out)
    assert {row["name"] for row in rows} == set(shipped_programs())
    (row,) = [row for row in rows if row["name"] == "aab"]
    assert row["summary"] == "Predict b after aa, otherwise a."
    assert set(row) == {"name", "summary", "blocks", "width", "heads", "parameters", "proof"}
    assert row["proof"]["verdict"] == "proved"


def test_list_runs_no_program(run, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text('"""Does harm."""\nraise SystemExit("sprung")\n')
    shown = {"trap": tmp_path / "trap.py"}
    monkeypatch.setattr("handcraft.cli.commands.list.shipped_programs", lambda: shown)
    assert run("list").out == "trap  Does harm.\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command(run, option):
    ran = run(option)
    assert ran.status == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", ran.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example(run, command):
    ran = run(command, "--help")
    assert ran.status == 0
    assert "Example" in ran.out
    assert f"handcraft {command}" in ran.out.split("Example")[1]


def examples(text):
    """The command lines after the word Examples, each with its words."""
    shown = text.split("Example")[1]
    return [
        shlex.split(line)[1:] for line in shown.splitlines() if line.strip().startswith("handcraft")
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_works_as_it_stands(run, command, tmp_path):
    programs = Path(__file__).parents[4] / "programs"
    (tmp_path / "programs").symlink_to(programs)
    assert run("compile", "aab", "-o", "aab/").status == 0
    (tmp_path / "prompts.txt").write_text("aab\nb\n")
    found = examples(run(command, "--help").out)
    assert found
    for words in found:
        ran = run(*words)
        assert (ran.status, words) == (0, words), ran.err


def test_examples_of_explain_show_weights_that_serve_something(run, tmp_path):
    run("compile", "aab", "-o", "aab/")
    for words in examples(run("explain", "--help").out):
        assert "nothing: it is 0" not in run(*words).out, words


def test_without_a_command_the_help_is_shown(run):
    assert "Usage: handcraft" in run().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("run", "aab", "aab", "--nonsense"),
        ("run", "aab", "aab", "-n", "many"),
        ("run", "aab", "aab", "-n", "-1"),
        ("run", "aab", "aab", "--top-k", "0"),
        ("run", "aab", "aab", "--temperature", "-1"),
        ("run", "aab", "aab", "--seed", "-1"),
        ("compile", "aab"),
        ("verify",),
        ("verify", "aab", "--sample", "0"),
        ("draw", "aab"),
        ("page", "aab"),
        ("explain",),
        ("explain", "aab", "--nonzero"),
        ("explain", "aab", "--rule", "3"),
        ("explain", "aab", "wte.weight", "0", "0", "--rule", "1"),
        ("explain", "aab", "wte.weight", "one", "two"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_exits_with_2(run, arguments):
    ran = run(*arguments)
    assert ran.status == 2
    assert "Traceback" not in ran.err


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "handcraft", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_python_m_handcraft_is_the_command(tmp_path):
    ran = command("run", "aab", "aab", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "aab :: aabaabaaba\n", "")


def test_a_wrong_input_exits_with_2_from_the_shell_too(tmp_path):
    ran = command("run", "aab", "xyz", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "VocabularyError: 'x' is not in the vocabulary\n"
        "  where: token 1 of 'xyz'\n"
        "  fix:   use one of its 2 tokens: a b\n"
    )


def test_a_reader_that_has_enough_is_no_error(tmp_path):
    line = shlex.join([sys.executable, "-m", "handcraft", "list"])
    ran = subprocess.run(
        ["bash", "-c", f"{line} | true"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.stderr == ""


def test_an_interrupted_program_leaves_no_traceback(tmp_path):
    (tmp_path / "stop.py").write_text("raise KeyboardInterrupt\n")
    ran = command("run", "stop.py", "a", cwd=tmp_path)
    assert ran.returncode not in (0, 1, 2)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", [*COMMANDS, "disguise", "watch"])
def test_the_lines_of_a_description_are_filled(run, monkeypatch, command):
    """A line ends where the next word has no room, or a paragraph ends."""
    monkeypatch.setenv("COLUMNS", "80")
    described = run(command, "--help").out.partition("\u256d")[0].splitlines()
    for line, following in itertools.pairwise(each.strip() for each in described):
        if line and following:
            assert len(line) + 1 + len(following.split()[0]) > 78, (line, following)
