"""`handcraft disguise`: a folder that answers as another, and says where everything went."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def compiled(run):
    assert run("compile", "aab", "-o", "aab").status == 0


ALL = "--split 2 --distractors 4 --fill --permute --rotate --match 1 --seed 1"


def test_a_disguise_is_written_and_verified(run, compiled):
    ran = run("disguise", "aab", "-o", "out", *ALL.split())
    assert ran.status == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("wrote out/: README.md, certificate.json, config.json, disguise.json, ")
    assert lines[1].startswith("proved: right after every one of 62 prompts, with a logit margin of at")
    assert lines[2].startswith("tried: ")
    assert "| `mlp.c_fc.weight` | " in ran.out
    assert run("verify", "out").status == 0
    assert run("prove", "out").status == 0
    assert run("run", "out", "aab", "-n", 4).out == "aab :: aaba\n"
    assert run("explain", "out", "h.0.mlp.c_fc.weight", 0, 0).status == 0
    assert run("explain", "out", "--prompt", "aab").status == 0
    assert run("page", "out", "-o", "out.html").status == 0
    assert run("draw", "out", "-o", "out.svg").status == 0


def test_json_says_what_was_done_and_how_it_was_judged(run, compiled):
    ran = run("disguise", "aab", "-o", "out", "--superpose", 20, "--rotate", "--json")
    found = json.loads(ran.out)
    assert found["steps"] == ["superpose", "rotate"]
    assert (found["by"], found["proof"]) == ("meaning", "proved")
    assert found["measured"]["interference"] < 1e-3
    assert found["margin_after"] > 29
    assert found["unexercised"] == []


def test_a_model_is_padded_to_other_sizes(run, tmp_path):
    assert run("compile", "aab", "-o", "small").status == 0
    ran = run("disguise", "small", "-o", "out", "--n-layer", 3, "--n-embd", 96, "--n-head", 8, "--json")
    assert ran.status == 0, ran.err
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["n_layer"], config["n_embd"], config["n_head"]) == (3, 96, 8)


def test_what_an_error_advises_holds(run, compiled):
    ran = run("disguise", "aab", "-o", "out", "--superpose", 10, "--permute")
    assert ran.status == 2
    advice = re.search(r"fix: +use (--superpose \d+): ", ran.err)
    assert run("disguise", "aab", "-o", "out", *advice[1].split(), "--permute").status == 0


WRONG = {
    "aab -o out": "CommandError: no transform is named",
    "aab -o out --radius 0.1 --rotate": "CommandError: --radius is about noise",
    "aab -o out --like gpt2-small --n-layer 3": "CommandError: --like names all sizes",
    "aab -o out --like tinyllama": "LayoutError: tinyllama is a Llama",
    "aab -o out --like gpt3": "LayoutError: there is no published model",
    "aab -o out --split 9": "LayoutError: Split(heads=9)",
    "aab -o out --noise 2": "LayoutError: Noise(strength=2.0)",
    "aab -o out --superpose 10": "PrecisionError: superpose breaks",
    "aab -o out --n-embd 50 --n-head 7": "LayoutError: n_embd=50 dimensions do not make n_head=7",
    "aab -o out --rotate --dtype bfloat16": "PrecisionError: rotate breaks",
    "aab -o out --distractors 3 --distractors-write pairs": "LayoutError: Distract(units=3",
    "aab -o out --rotate --distractors-write pairs": "CommandError: --distractors-write is about",
    "aab -o aab/ --rotate": "CommandError: the disguise would replace aab, which it is made from",
    "aab -o full --rotate": "CheckpointError: full contains something else: notes.txt",
    "nowhere -o out --rotate": "CheckpointError: there is no folder nowhere",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_cannot_be_disguised_is_an_error_and_writes_nothing(run, compiled, tmp_path, arguments):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    ran = run("disguise", *arguments.split())
    assert ran.status == 2
    assert WRONG[arguments] in ran.err
    assert not (tmp_path / "out").exists()
