"""Where commands may write: one error for all of them, before any work, and no folder is made."""

import shlex

import pytest

COMMANDS = {
    "page": (["page", "aab", "-o", "{}/out.html"], "{}/out.html"),
    "draw": (["draw", "aab", "-o", "{}/out.svg"], "{}/out.svg"),
    "draw circuit": (["draw", "aab", "--what", "circuit", "-o", "{}/out.dot"], "{}/out.dot"),
    "compile": (["compile", "aab", "-o", "{}/out"], "{}/out"),
    "plant": (["plant", "aab", "--wrong-on", "abab", "-o", "{}/out"], "{}/out"),
    "watch": (["watch", "mine.py", "-o", "{}/out.svg"], "{}/out.svg"),
    "new": (["new", "{}/out"], "{}/out.py"),
    "ground-truth": (["ground-truth", "aab", "-o", "{}/out", "--what", "values"], "{}/out"),
    "dataset": (["dataset", "-o", "{}/out", "--programs", "1", "--sample", "16"], "{}/out"),
    "write-tests": (["write-tests", "aab", "-o", "{}/test_aab.py"], "{}/test_aab.py"),
    "prove": (["prove", "aab", "--results", "{}/out.jsonl"], "{}/out.jsonl"),
}
"""Each command that writes where it is told to, with what it is to write."""


@pytest.mark.parametrize("folder", ["no/such", "it's/here"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_does_not_exist_is_not_made(run, tmp_path, command, folder):
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')")
    arguments, place = COMMANDS[command]
    ran = run(*(each.format(folder) for each in arguments))
    assert ran.status == 2
    place = place.format(folder)
    lines = ran.err.splitlines()
    assert lines[0] == f"CheckpointError: {place} cannot be written: there is no folder {folder}"
    assert lines[1] == f"  where: {place}"
    advised = f"  fix:   mkdir -p {shlex.quote(folder)}; or name a place in a folder that exists"
    assert lines[2:] == [advised]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_in_the_place_of_a_folder_is_named(run, tmp_path, command):
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')")
    arguments, place = COMMANDS[command]
    ran = run(*(each.format("mine.py") for each in arguments))
    assert ran.status == 2
    place = place.format("mine.py")
    assert f"CheckpointError: {place} cannot be written: mine.py is not a folder" in ran.err
    assert f"  where: {place}" in ran.err
    assert (tmp_path / "mine.py").read_text() == "raise SystemExit('it ran')"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "watch"])
def test_the_advice_helps(run, tmp_path, command):
    arguments, place = COMMANDS[command]
    (tmp_path / "no" / "such").mkdir(parents=True)
    assert run(*(each.format("no/such") for each in arguments)).status == 0
    assert (tmp_path / place.format("no/such")).exists()
