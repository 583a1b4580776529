"""`handcraft new`: the first program works as it is, and nothing is ever overwritten."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from itertools import product

import pytest


def test_the_first_program_compiles_is_right_and_has_all_three_kinds_of_rules(run, tmp_path):
    made = run("new", "mine")
    assert (made.status, made.out) == (0, "wrote mine.py; try: handcraft run mine.py abca -n 4\n")
    assert run(*shlex.split(made.out.partition("try: handcraft ")[2])).out == "abca :: bcab\n"
    verified = run("verify", "mine.py")
    assert verified.status == 0
    assert "failures: 0" in verified.out
    defined = runpy.run_path(str(tmp_path / "mine.py"))
    program = defined["program"]
    kinds = [(rule.pattern is not None, rule.flag is not None) for rule in program.rules]
    assert kinds == [(True, False), (False, True), (False, False)]
    texts = ["".join(text) for n in range(1, 6) for text in product("abc", repeat=n)]
    for text in texts:
        assert program.meaning(text) == defined["meaning"](text)
    fired = {program.judged(text).outcomes[k].state for text in texts for k in range(3)}
    assert fired >= {"fires", "comes later", "nearly"}


def test_every_command_that_it_names_runs(run, tmp_path):
    run("new", "mine")
    text = (tmp_path / "mine.py").read_text(encoding="utf-8")
    commands = re.findall(r"^    handcraft (.*?)  ", text, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == [
        "run", "verify", "explain", "draw", "watch", "compile",
    ]  # fmt: skip
    for command in commands:
        if not command.startswith("watch"):
            assert run(*shlex.split(command)).status == 0, command
    assert (tmp_path / "mine.svg").exists()
    assert "followed where" not in run("explain", "mine.py", "--prompt", "abca").out
    assert "again" in run("explain", "mine.py", "--prompt", "abca").out


def test_a_file_in_a_folder_is_named_as_commands_name_it(run, tmp_path):
    (tmp_path / "my programs").mkdir()
    made = run("new", "my programs/first.py", "--json")
    assert json.loads(made.out) == {"file": "my programs/first.py"}
    text = (tmp_path / "my programs" / "first.py").read_text()
    assert "handcraft run 'my programs/first.py' abca" in text


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("mine", "mine.py exists already", "name another: mine2.py"),
        ("a b", "'a b' is not a valid program name", "use letters, digits"),
        ("nowhere/x", "nowhere/x.py cannot be written: there is no folder nowhere", "mkdir -p nowhere"),
    ],
)
def test_what_cannot_be_written_is_refused(run, tmp_path, name, what, fix):
    (tmp_path / "mine.py").write_text("kept")
    ran = run("new", name)
    assert ran.status == 2
    assert what in ran.err
    assert f"fix:   {fix}" in ran.err
    assert (tmp_path / "mine.py").read_text() == "kept"
