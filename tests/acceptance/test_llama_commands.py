"""Every command with a Llama: it works with a program and with a folder, or says what would do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

AAB = Path(__file__).parents[2] / "programs" / "aab.py"
LLAMA = ("--architecture", "llama")


def handcraft(*arguments: object, into: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "handcraft", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=into, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """aab as a Llama, and what compiling it prints."""
    into = tmp_path_factory.mktemp("llama")
    ran = handcraft("compile", AAB, *LLAMA, "-o", "aab", "--report", into=into)
    assert ran.returncode == 0, ran.stderr
    return into / "aab", ran.stdout


def test_the_report_counts_every_parameter_by_part(folder):
    _, printed = folder
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "token embedding 24 3 tokens x 8; also the head" in lines
    assert "RMSNorm 24 3 of 8" in lines
    assert not any("position embedding" in line for line in lines)


def test_a_folder_explains_a_prompt_as_its_program_does(folder, tmp_path):
    texts = []
    for source, more in ((AAB, LLAMA), (folder[0], ())):
        ran = handcraft("explain", source, *more, "--prompt", "a", into=tmp_path)
        assert ran.returncode == 0, ran.stderr
        texts.append(ran.stdout)
    assert texts[0] == texts[1]
    assert "0 a   <s> (1)" in texts[0]
    assert "root mean square" in texts[0]


def test_json_of_an_explanation_has_the_begin_token_before_position_0(folder, tmp_path):
    ran = handcraft("explain", folder[0], "--prompt", "aa", "--json", into=tmp_path)
    found = json.loads(ran.stdout)
    assert found["tokens"] == ["a", "a"]
    assert found["norm"] == "rms"
    looks = found["heads"][0]["looks"]
    assert [(each["position"], each["sources"][0]["position"]) for each in looks] == [(0, -1), (1, 0)]
    assert looks[0]["sources"][0]["token"] == "<s>"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["embed_tokens.weight"], "row 2: begin token '<s>'"),
        (["embed_tokens.weight", "2", "2"], "row: 2, begin token '<s>'"),
        (["layers.0.self_attn.k_proj.weight", "0", "2"], "key of the head `token.at(-1)`"),
        (["layers.0.mlp.down_proj.weight", "--nonzero"], "hidden unit: writes constants"),
        (["--rule", "1"], "layers.0.mlp.gate_proj.weight[0, 1] = -256"),
        (["wte.weight"], "there are: embed_tokens.weight"),
    ],
)
def test_weights_are_explained_alike_from_a_program_and_a_folder(folder, tmp_path, arguments, says):
    found = []
    for source, more in ((AAB, LLAMA), (folder[0], ())):
        ran = handcraft("explain", source, *arguments, *more, into=tmp_path)
        found.append(ran.stdout or ran.stderr)
    assert says in found[0]
    assert says in found[1]


@pytest.mark.parametrize("what", ["circuit", "run", "attention", "stream", "weights"])
def test_every_picture_is_drawn_of_a_program_and_of_a_folder(folder, tmp_path, what):
    prompt = ("--prompt", "aab") if what in ("run", "attention", "stream") else ()
    pictures = []
    for source, more in ((AAB, LLAMA), (folder[0], ())):
        ran = handcraft("draw", source, "--what", what, *prompt, *more, "-o", "x.svg", into=tmp_path)
        assert ran.returncode == 0, ran.stderr
        pictures.append((tmp_path / "x.svg").read_text(encoding="utf-8"))
    assert pictures[0] == pictures[1]
    assert "&lt;s&gt;" in pictures[0]


REFUSED = [
    (
        ["draw", "FOLDER", "--what", "positions", "-o", "x.svg"],
        "rotates queries and keys",
        "draw circuit",
    ),
    (
        ["disguise", "FOLDER", "--rotate", "-o", "x"],
        "disguises are made for GPT-2",
        "--architecture gpt2",
    ),
    (
        ["ground-truth", "FOLDER", "--what", "circuit", "-o", "x"],
        "the part circuit is there for GPT-2",
        "ask for others with --what",
    ),
    (["explain", "FOLDER", "--prompt", "a", *LLAMA], "is already compiled", "leave out the options"),
    (["compile", "PROGRAM", *LLAMA, "--theta", "0", "-o", "x"], "theta=0.0", "above 1"),
    (["compile", "PROGRAM", *LLAMA, "--epsilon", "0.9", "-o", "x"], "epsilon=0.9", "below 0.5|0.5"),
    (
        ["compile", "PROGRAM", *LLAMA, "--window", "1", "-o", "x"],
        "window of 1 position no",
        "--window 2 is",
    ),
    (["compile", "PROGRAM", *LLAMA, "--n-kv-head", "3", "-o", "x"], "n_kv_head=3", "use --n-kv-head 2"),
    (["compile", "PROGRAM", *LLAMA, "--head-dim", "3", "-o", "x"], "form pairs", "--head-dim 4 is"),
    (["compile", "PROGRAM", *LLAMA, "--n-embd", "4", "-o", "x"], "more than 4", "leave out --n-embd 4"),
    (["compile", "PROGRAM", "--untied", "-o", "x"], "is for a Llama", "leave out --untied"),
    (
        ["compile", "PROGRAM", "--n-kv-head", "2", "-o", "x"],
        "keys and values of its own",
        "--n-kv-head 2",
    ),
    (
        ["compile", "PROGRAM", *LLAMA, "--positions", "binary", "-o", "x"],
        "nothing to encode as binary",
        "leave out --positions binary",
    ),
    (
        ["compile", "PROGRAM", *LLAMA, "--like", "gpt2-small", "-o", "x"],
        "gpt2-small",
        "--architecture gpt2",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    REFUSED,
    ids=[" ".join(each[0][:1] + each[0][2:5]) for each in REFUSED],
)
def test_what_cannot_be_done_is_refused_with_advice_and_nothing_is_written(
    folder, tmp_path, arguments, what, fix
):
    names = {"FOLDER": folder[0], "PROGRAM": AAB}
    ran = handcraft(*(names.get(each, each) for each in arguments), into=tmp_path)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert what in ran.stderr
    assert "where:" in ran.stderr
    advice = ran.stderr.partition("fix:")[2]
    assert any(each in advice for each in fix.split("|"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more",
    [
        ["--window", "2"],
        ["--n-kv-head", "2"],
        ["--head-dim", "4"],
        ["--head-dim", "2"],
        ["--n-embd", "10"],
        ["--untied"],
        ["--tokens", "one-hot"],
        ["--tokens", "binary"],
        ["--dtype", "float16"],
        ["--dtype", "bfloat16"],
    ],
    ids=" ".join,
)
def test_what_is_advised_or_allowed_makes_a_model_that_verifies_and_explains(tmp_path, more):
    ran = handcraft("compile", AAB, *LLAMA, *more, "-o", "x", into=tmp_path)
    if more == ["--head-dim", "2"] and ran.returncode:
        assert "less than the 104 that are needed" in ran.stderr
        return
    assert ran.returncode == 0, ran.stderr
    verified = handcraft("verify", "x", into=tmp_path)
    assert verified.returncode == 0, verified.stdout
    explained = handcraft("explain", "x", "--prompt", "aa", into=tmp_path)
    assert "answer: b" in explained.stdout


def test_the_parts_of_ground_truth_that_a_llama_has_are_written_with_the_rest_named(folder, tmp_path):
    ran = handcraft("ground-truth", folder[0], "-o", "truth", into=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "512 of 512 interchange interventions right" in ran.stdout
    assert "note: no circuit:" in ran.stderr
    assert "note: no freeze:" in ran.stderr
    stated = json.loads((tmp_path / "truth" / "ground_truth.json").read_text(encoding="utf-8"))
    assert set(stated["parts"]) == {"values", "causal", "features", "components"}
