"""`handcraft dataset`: programs with their weights, and how well scripts are recovered."""

from __future__ import annotations

import json

import pytest

SMALL = ("--programs", 3, "--architecture", "block")


def test_a_data_set_is_written_and_judged(run):
    ran = run("dataset", "-o", "out", *SMALL)
    assert ran.status == 0, ran.err
    first, kinds, left_out = ran.out.splitlines()
    assert first.startswith("wrote out/: 3 programs with ")
    assert kinds == "1 of expressions, 2 of patterns"
    assert left_out.startswith("left out: 0 repeated")
    ran = run("dataset", "out", "--score", "baseline", "--json")
    assert [found["programs"] for found in json.loads(ran.out)] == [2, 1]
    ran = run("dataset", "out", "--score", "baseline")
    assert ran.out.startswith("patterns: 2 of 2 scripts, 100.00% of the answers right; 2 answer as the")


def test_the_result_can_be_had_as_json(run):
    said = json.loads(run("dataset", "-o", "out", *SMALL, "--json").out)
    assert said["kinds"] == {"expressions": 1, "patterns": 2}


WRONG = {
    "": "CommandError: a data set is either written or judged",
    "out": "CommandError: a data set is either written or judged",
    "out -o out --score baseline": "CommandError: a data set is either written or judged",
    "-o out --architecture bert": "CommandError: there is no target 'bert'",
    "missing --score baseline": "dataset.json cannot be read",
    "-o full": "CheckpointError: full contains something else: notes.txt",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_makes_no_sense_is_an_error_and_writes_nothing(run, tmp_path, arguments):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    ran = run("dataset", *arguments.split())
    assert ran.status == 2
    assert WRONG[arguments] in ran.err
    assert not (tmp_path / "out").exists()
