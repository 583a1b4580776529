"""`handcraft ground-truth`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json

import pytest


def test_it_says_what_it_wrote(run):
    ran = run("ground-truth", "induction", "-o", "out", "--what", "values")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines() == [
        "wrote out/: ground_truth.json, values.json, model/",
        "7 values located, 7 of them with codewords",
    ]
    said = json.loads(run("ground-truth", "out/model", "-o", "again", "--what", "values", "--json").out)
    assert said["files"] == ["ground_truth.json", "values.json"]


def test_the_model_in_it_is_one_that_other_commands_read(run):
    run("ground-truth", "aab", "-o", "out", "--what", "values", "--examples", "8")
    assert run("run", "out/model", "aab", "-n", "1").out == "aab :: a\n"


WRONG = {
    "aab -o out --what circus": "there is no ground truth called 'circus'",
    "aab -o out --what ,": "nothing is asked for",
    "nowhere -o out": "there is no file and no shipped program 'nowhere'",
    "aab -o file": "file is a file",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_a_wrong_command_line_writes_nothing(run, tmp_path, arguments):
    (tmp_path / "file").write_text("")
    ran = run("ground-truth", *arguments.split())
    assert ran.status == 2
    what, where, fix = ran.err.splitlines()[:3]
    assert WRONG[arguments] in what
    assert where.startswith("  where: ")
    assert fix.startswith("  fix:   ")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_origins_is_refused(run, tmp_path):
    run("compile", "aab", "-o", "model")
    (tmp_path / "model" / "handcraft.json").unlink()
    ran = run("ground-truth", "model", "-o", "out")
    assert ran.status == 2
    assert "has no handcraft.json, which says what its weights are for" in ran.err
    assert not (tmp_path / "out").exists()
