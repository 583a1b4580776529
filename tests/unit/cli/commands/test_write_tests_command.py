"""`handcraft write-tests`: what it writes runs as it is, reads well, fails where it should."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from handcraft import Program, Prompts, compile_program, compile_sequences, predict, save
from handcraft.circuits import Circuits
from handcraft.cli.input.sources import find

WORDS = """
from handcraft import Program, predict
rules = Program("the cat sat", 3, [
    predict("cat").after("the"),
    predict({"the": 0.25, "sat": 0.75}).after("cat"),
    predict("the").otherwise(),
])
"""


def pytest_on(file, *arguments):
    """Run a file with pytest as a stranger would, in its folder, with our plugin."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "handcraft.testing.plugin",
    ]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HANDCRAFT_PROFILE": "dev"}
    environment["CI"] = "1"  # so that Hypothesis does not mind a slow machine
    return subprocess.run(
        [*command, "-W", "error", "-v", file.name, *arguments],
        cwd=file.parent, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def assert_reads_well(file):
    """As ruff formats it where a project says nothing else, and without anything unused."""
    for command in (["format", "--check"], ["check", "--select", "E,F,I,W,B,UP"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--isolated", file], check=True)


@pytest.fixture
def files(tmp_path):
    """A program file of each kind, and folders."""
    (tmp_path / "words.py").write_text(WORDS, encoding="utf-8")
    (tmp_path / "aab.rules").write_text(
        "vocabulary a b\ncontext 4\npredict b after aa\npredict a otherwise\n", encoding="utf-8"
    )
    prompts = Prompts("ab", context=3)
    again = Program(prompts=prompts, rules=[predict(prompts.token.at(-1, default="b")).otherwise()])
    save(compile_program(again), tmp_path / "again", format="huggingface")  # as circuits
    save(compile_program(find("aab").source), tmp_path / "aab", format="huggingface")
    shutil.copytree(tmp_path / "aab", tmp_path / "foreign")
    for name in ("handcraft.json", "certificate.json"):
        (tmp_path / "foreign" / name).unlink()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "written", "passed"),
    [
        ("aab", "test_aab.py", 9),
        ("by_hand", "test_by_hand.py", 9),
        ("words.py", "test_words.py", 8),
        ("words.py:rules", "test_words.py", 8),
        ("aab.rules", "test_aab.py", 9),
        ("again/", "test_again.py", 4),
    ],
)
def test_what_is_written_passes_as_it_is(run, files, name, written, passed):
    ran = run("write-tests", name)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"wrote {written}, ")
    assert_reads_well(files / written)
    tested = pytest_on(files / written)
    assert f"{passed} passed" in tested.stdout, tested.stdout


def test_a_first_program_is_also_compared_with_its_own_function(run, files):
    run("new", "mine")
    assert run("write-tests", "mine.py", "-o", "test_first.py").status == 0
    text = (files / "test_first.py").read_text()
    assert 'meaning = defined["meaning"]' in text
    assert_reads_well(files / "test_first.py")
    (files / "mine.py").write_text((files / "mine.py").read_text().replace('return "c"', 'return "a"'))
    tested = pytest_on(files / "test_first.py", "-k", "function_says")
    assert "after 'bb' the model answers 'c', and 'a' is meant" in tested.stdout
    assert "where:  mine.py:" in tested.stdout


def test_a_rule_that_is_changed_afterwards_is_noticed(run, files):
    run("write-tests", "aab.rules")
    rules = (files / "aab.rules").read_text()
    (files / "aab.rules").write_text(rules.replace("predict b after aa", "predict b after ab"))
    tested = pytest_on(files / "test_aab.py", "-k", "was_read")
    assert "1 failed, 1 passed" in tested.stdout
    assert "after 'aa' the model answers 'a', and 'b' is meant" in tested.stdout


def test_a_model_in_a_folder_is_tested_from_another_folder(run, files):
    (files / "tests").mkdir()
    assert run("write-tests", "aab/", "-o", "tests/test_folder.py").status == 0
    file = files / "tests" / "test_folder.py"
    assert 'FOLDER = Path(__file__).parent / "../aab"' in file.read_text()
    assert_reads_well(file)
    assert "9 passed" in pytest_on(file).stdout


def test_a_foreign_model_fails_clearly_until_its_meaning_is_filled_in(run, files):
    assert run("write-tests", "foreign").status == 0
    file = files / "test_foreign.py"
    assert_reads_well(file)
    tested = pytest_on(file)
    assert "2 failed, 2 passed" in tested.stdout
    assert "say in `meaning` what should follow a prompt" in tested.stdout
    text = file.read_text()
    head, _, rest = text.partition("    pytest.fail(")
    filled = head + '    return "b" if prompt.endswith("aa") else "a"\n' + rest.partition("\n")[2]
    file.write_text(filled)
    assert "4 passed" in pytest_on(file).stdout


def test_nothing_is_overwritten_unless_it_is_asked_for(run, files):
    (files / "test_aab.py").write_text("kept")
    ran = run("write-tests", "aab.rules")
    assert ran.status == 2
    assert "test_aab.py exists already" in ran.err
    assert "--overwrite" in ran.err
    assert (files / "test_aab.py").read_text() == "kept"
    assert run("write-tests", "aab.rules", "--overwrite").status == 0
    assert (files / "test_aab.py").read_text() != "kept"
    assert run("write-tests", "aab.rules", "-o", "aab", "--overwrite").status == 2
    assert (files / "aab" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.py"], "there is no file and no shipped program 'none.py'"),
        (["aab", "-o", "none/test.py"], "cannot be written"),
        (["values.py"], "has expressions without rules"),
        (["values"], "has expressions without rules"),
        (["-"], "standard input can be read once"),
        (["empty"], "empty"),
    ],
)
def test_what_cannot_be_tested_or_written_is_refused(run, files, arguments, says):
    values = """
from handcraft import Prompts
prompts = Prompts("ab", context=3)
outputs = {"token": prompts.token}
"""
    (files / "values.py").write_text(values, encoding="utf-8")
    (files / "empty").mkdir()
    save(compile_sequences({"token": Prompts("ab", context=3).token}), files / "values")
    ran = run("write-tests", *arguments)
    assert ran.status == 2
    assert says in ran.err
    assert "fix:" in ran.err


def test_the_command_reports_as_json(run, files):
    assert json.loads(run("write-tests", "aab.rules", "--json").out) == {
        "file": "test_aab.py",
        "tests": 7,
    }


def test_the_folder_of_expressions_has_circuits(files):
    from handcraft import read_checkpoint

    assert isinstance(read_checkpoint(files / "again").source, Circuits)
