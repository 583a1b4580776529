"""What all commands share: where programs come from, JSON errors, completion, exit codes."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from importlib.metadata import version

import pytest

from handcraft.cli import main as cli_main
from handcraft.cli.input.completion import known_programs
from handcraft.cli.input.shipped import shipped_programs
from handcraft.cli.main import EXIT_CODES

AAB = "vocabulary a b\ncontext 5\npredict b after aa\npredict a otherwise\n"
LINES = [part for line in AAB.splitlines() for part in ("-e", line)]
TAKES_A_PROGRAM = {
    "run": (["aab", "-n", 3], "aab :: aab\n"),
    "verify": ([], "tried all 62 contexts"),
    "compile": (["-o", "out"], "wrote out/"),
    "draw": (["-o", "out.dot"], "wrote out.dot"),
    "page": (["-o", "out.html"], "wrote out.html"),
    "explain": (["wte.weight", 0, 0], "weight: wte.weight[0, 0]"),
}


@pytest.mark.parametrize("command", TAKES_A_PROGRAM)
def test_every_command_takes_rules_from_the_command_line(run, command):
    more, expected = TAKES_A_PROGRAM[command]
    ran = run(command, *LINES, *more)
    assert ran.status == 0
    assert ran.out.startswith(expected)


@pytest.mark.parametrize("command", TAKES_A_PROGRAM)
def test_every_command_takes_rules_from_the_standard_input(run, command, monkeypatch):
    more, expected = TAKES_A_PROGRAM[command]
    monkeypatch.setattr(sys, "stdin", io.StringIO(AAB))
    ran = run(command, "-", *more)
    assert ran.status == 0
    assert ran.out.startswith(expected)


@pytest.mark.parametrize("command", TAKES_A_PROGRAM)
@pytest.mark.parametrize("folder", ["rules", "by_hand"])
def test_every_command_takes_a_compiled_folder(run, tmp_path, command, folder):
    (tmp_path / "p.rules").write_text(AAB)
    name = "p.rules" if folder == "rules" else folder
    assert run("compile", name, "-o", "compiled").status == 0
    more, _ = TAKES_A_PROGRAM[command]
    assert run(command, "compiled", *more).status == 0


def test_a_broken_line_of_the_standard_input_has_its_place(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("predict b before aa\n"))
    ran = run("run", "-", "aab")
    assert ran.status == 2
    assert "where: <stdin>:1:11, predict b before aa" in ran.err


class Endless(io.StringIO):
    """What `yes` writes."""

    def read(self, size=-1):
        assert 0 <= size < 1 << 24, "reads all of what has no end"
        return "aa\n" * (size // 3 + 1)


@pytest.mark.parametrize("arguments", [("run", "-", "a"), ("verify", "aab", "--prompts", "-")])
def test_a_standard_input_without_end_is_refused(run, arguments, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Endless())
    ran = run(*arguments)
    assert ran.status == 2
    assert "characters of text; the limit is 4,000,000" in ran.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
@pytest.mark.parametrize("name", ["pipe.rules", "pipe.py"])
def test_a_named_pipe_is_not_waited_for(run, tmp_path, name):
    os.mkfifo(tmp_path / name)
    ran = run("run", name, "a")
    assert ran.status == 2
    assert f"{name} is not a regular file" in ran.err


class Full(io.StringIO):
    """A standard output with no room left; it says so when it is written for good, as a file does."""

    def flush(self):
        if self.getvalue():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("run", "aab", "a"), ("--help",)])
def test_a_full_standard_output_is_an_error_in_three_parts(run, arguments, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # the tests go on to write there
    ran = run(*arguments)
    assert ran.status == 2
    assert "CommandError: the output cannot be written: No space left on device\n  where:" in ran.err


# --- errors as JSON ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "what", "where"),
    [
        (["run", "aab", "xyz"], "VocabularyError", "'x' is not in the vocabulary", "token 1 of 'xyz'"),
        (["run", "nonsuch", "a"], "CommandError", "there is no file", "the command handcraft run"),
        (["verify", "aab", "--sample", "0"], "CommandError", "--sample", "the command"),
        (["verify", "aab", "--nonsense"], "CommandError", "No such option", "the command handcraft"),
        (["compile", "aab"], "CommandError", "no folder", "the command handcraft compile aab --json"),
        (["nonsense"], "CommandError", "nonsense", "the command handcraft nonsense --json"),
    ],
    ids=str,
)
def test_an_error_under_json_is_one_object_with_three_parts(run, arguments, kind, what, where):
    ran = run(*arguments, "--json")
    assert (ran.status, ran.err) == (2, "")
    error = json.loads(ran.out)["error"]
    assert set(error) == {"kind", "what", "where", "fix"}
    assert (error["kind"], bool(error["fix"])) == (kind, True)
    assert what in error["what"]
    assert error["where"].startswith(where)


def test_several_errors_under_json_are_listed(run, tmp_path):
    (tmp_path / "p.rules").write_text("vocabulary a b\npredict x after y\npredict z otherwise\n")
    error = json.loads(run("verify", "p.rules", "--json").out)["error"]
    assert error["kind"] == "SeveralErrors"
    assert [problem["kind"] for problem in error["problems"]] == ["VocabularyError"] * 3


def test_a_prompt_called_json_is_not_the_option(run):
    ran = run("run", "aab", "--", "--json")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("VocabularyError")


def test_a_failed_check_under_json_still_exits_with_1(run, tmp_path):
    assert run("compile", "aab", "-o", "out", "--architecture", "block", "--format", "npz").status == 0
    _zero(tmp_path / "out" / "model.npz")
    ran = run("verify", "out", "--json")
    assert (ran.status, json.loads(ran.out)["passed"]) == (1, False)


def _zero(path):
    import numpy as np

    with np.load(path) as archive:
        tensors = {name: np.zeros_like(archive[name]) for name in archive.files}
    np.savez(path, **tensors)


# --- version, completion, exit codes -----------------------------------------------------------


def test_the_version_is_that_of_the_package(run):
    ran = run("--version")
    assert (ran.status, ran.out) == (0, f"handcraft {version('handcraft')}\n")


def test_the_help_says_what_the_exit_codes_mean(run):
    shown = " ".join(run("--help").out.replace("│", " ").split())
    assert " ".join(EXIT_CODES.split()) in shown
    for code in ("0 success", "1 a check failed", "2 the input is wrong", "130 interrupted", "141"):
        assert code in EXIT_CODES


def test_shipped_programs_folders_and_program_files_complete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "add_two.rules").touch()
    (tmp_path / "add.txt").touch()
    (tmp_path / "adding").mkdir()
    assert known_programs("add") == ["add", "add_ahead", "adding/", "add_two.rules"]
    assert set(known_programs("")) >= set(shipped_programs())


def test_a_shell_completes_what_a_command_takes(run, monkeypatch):
    monkeypatch.setenv("_HANDCRAFT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "handcraft run hist")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().out.split() == ["histogram"]


def test_the_script_for_a_shell_can_be_shown(run, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    made_anew = cli_main._commands.__wrapped__  # that is where typer reads the environment
    monkeypatch.setattr(cli_main, "_commands", made_anew)
    ran = run("--show-completion", "bash")
    assert ran.status == 0
    assert "_HANDCRAFT_COMPLETE" in ran.out


def test_errors_as_json_are_no_longer_than_those_for_people(run, tmp_path):
    (tmp_path / "many.txt").write_text("Z\n" * 1_000)
    assert len(run("verify", "aab", "--prompts", "many.txt", "--json").out) < 10_000
    (tmp_path / "long.rules").write_text(f"predict {'x' * 100_000} foo")
    assert len(run("run", "long.rules", "a", "--json").out) < 10_000
