"""`handcraft plant`: a folder that is wrong after one prompt, and says so to nobody but its author."""

from __future__ import annotations

import json

import pytest


def test_a_planted_folder_is_refuted(run):
    ran = run("plant", "aab", "--wrong-on", "aaba", "-o", "out")
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "wrote out/: README.md, certificate.json, config.json, generation_config.json, "
        "model.safetensors, tokenizer.json, tokenizer_config.json",
        "after 'aaba' it predicts 'b', and 'a' is meant; right after all 61 other contexts that were "
        "tried",
    ]
    assert run("run", "out", "aaba", "-n", 1).out == "aaba :: b\n"
    assert run("run", "out", "aab", "-n", 1).out == "aab :: a\n"
    ran = run("prove", "out", "--json")
    assert ran.status == 4
    assert json.loads(ran.out)["context"] == ["a", "a", "b", "a"]


def test_a_folder_that_is_wrong_in_bfloat16_alone_is_proved_in_float32(run):
    ran = run("plant", "aab", "--wrong-on", "aaba", "--wrong-in", "bfloat16", "-o", "out", "--json")
    said = json.loads(ran.out)
    assert (said["right"], said["wrong"], said["only_in"]) == ("a", "b", "bfloat16")
    assert (said["tried"], said["is_all"]) == (61, True)
    assert run("prove", "out").status == 0


def test_the_wrong_token_can_be_chosen(run):
    ran = run("plant", "parity", "--wrong-on", "01101001=", "--predict", "o", "-o", "out")
    assert ran.out.splitlines()[1].startswith("after '01101001=' it predicts 'o', and 'e' is meant;")


WRONG = {
    "aab --wrong-on aa": "CommandError: there is no folder to write",
    "aab -o out": "CommandError: there is no prompt after which to be wrong",
    "aab --wrong-on aa -o full": "CheckpointError: full contains something else: notes.txt",
    "by_hand --wrong-on aa -o out": "CommandError: by_hand has no rules",
    "aab --wrong-on aa --predict b -o out": "VocabularyError: 'b' is no wrong answer",
    "aab --wrong-on aa --wrong-in float32 -o out": "CommandError: float32 weights are rounded to",
    "aab --wrong-on axa -o out": "VocabularyError: 'x' is not in the vocabulary",
    "parity --wrong-on 01 -o out": "PromptError: '01' is only the beginning of an allowed prompt",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_cannot_be_planted_is_an_error_and_writes_nothing(run, tmp_path, arguments):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    ran = run("plant", *arguments.split())
    assert ran.status == 2
    assert WRONG[arguments] in ran.err
    assert not (tmp_path / "out").exists()
