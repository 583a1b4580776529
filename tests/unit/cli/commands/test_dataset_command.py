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


def test_an_earlier_data_set_is_replaced_and_a_model_is_not(run, tmp_path):
    assert run("dataset", "-o", "out", *SMALL, "--shard", 1).status == 0
    assert (tmp_path / "out" / "shard-00002.jsonl").exists()
    assert run("dataset", "-o", "out", *SMALL).status == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "dataset.json", "shard-00000.jsonl", "shard-00000.safetensors"}
    (tmp_path / "out" / "shard-notes.jsonl").write_text("mine")
    assert "contains something else: shard-notes.jsonl" in run("dataset", "-o", "out", *SMALL).err
    assert run("compile", "aab", "-o", "model").status == 0
    ran = run("dataset", "-o", "model", *SMALL)
    assert ran.status == 2
    assert "model contains something else" in ran.err


def test_a_script_of_no_program_is_named(run, tmp_path):
    run("dataset", "-o", "out", *SMALL)
    lines = [json.dumps({"number": number, "text": "vocabulary a"}) for number in (0, 7000, 8000)]
    (tmp_path / "scripts.jsonl").write_text("\n".join(lines))
    ran = run("dataset", "out", "--score", "scripts.jsonl")
    assert ran.status == 2
    assert "2 scripts of a program that is not in the data set: number 7000, 8000" in ran.err
    assert "such as 0" in ran.err


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
