"""Every command with a Llama: it works with a program and with a folder, or says what would do."""

from __future__ import annotations

import json

import pytest

from handcraft.cli.main import COMMANDS

LLAMA = ("--architecture", "llama")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("llama") / "aab"


@pytest.fixture
def folder(place, run, aab):
    """aab as a Llama, compiled once."""
    if not place.exists():
        ran = run("compile", aab, *LLAMA, "-o", place)
        assert ran.status == 0, ran.err
    return place


def test_the_report_counts_every_parameter_by_part(run, aab):
    ran = run("compile", aab, *LLAMA, "-o", "x", "--report")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "token embedding 24 3 tokens x 8; also the head" in lines
    assert "RMSNorm 24 3 of 8" in lines
    assert not any("position embedding" in line for line in lines)


def test_a_folder_explains_a_prompt_as_its_program_does(run, aab, folder, tmp_path):
    texts = []
    for source, more in ((aab, LLAMA), (folder, ())):
        ran = run("explain", source, *more, "--prompt", "a")
        assert ran.status == 0, ran.err
        texts.append(ran.out)
    assert texts[0] == texts[1]
    assert "0 a   <s> (1)" in texts[0]
    assert "root mean square" in texts[0]


def test_json_of_an_explanation_has_the_begin_token_before_position_0(run, aab, folder, tmp_path):
    ran = run("explain", folder, "--prompt", "aa", "--json")
    found = json.loads(ran.out)
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
def test_weights_are_explained_alike_from_a_program_and_a_folder(
    run, aab, folder, tmp_path, arguments, says
):
    found = []
    for source, more in ((aab, LLAMA), (folder, ())):
        ran = run("explain", source, *arguments, *more)
        found.append(ran.out or ran.err)
    assert says in found[0]
    assert says in found[1]


@pytest.mark.parametrize("what", ["circuit", "run", "attention", "stream", "weights"])
def test_every_picture_is_drawn_of_a_program_and_of_a_folder(run, aab, folder, tmp_path, what):
    prompt = ("--prompt", "aab") if what in ("run", "attention", "stream") else ()
    pictures = []
    for source, more in ((aab, LLAMA), (folder, ())):
        ran = run("draw", source, "--what", what, *prompt, *more, "-o", "x.svg")
        assert ran.status == 0, ran.err
        pictures.append((tmp_path / "x.svg").read_text(encoding="utf-8"))
    assert pictures[0] == pictures[1]
    assert "&lt;s&gt;" in pictures[0]


WORKS = [
    (["run", "FOLDER", "aab", "-n", "2"], "aab :: aa"),
    (["verify", "FOLDER"], "tried all 62 contexts"),
    (["prove", "FOLDER"], "architecture: llama, with a begin token in front of every text"),
    (["plant", "FOLDER/", "--wrong-on", "ab", "-o", "x"], "after 'ab' it predicts 'b'"),
    (["write-tests", "FOLDER", "-o", "test_x.py"], "wrote test_x.py, 7 tests"),
    (["page", "FOLDER", "-o", "x.html"], "wrote x.html"),
    (["page", "PROGRAM", *LLAMA, "-o", "x.html"], "wrote x.html"),
    (["draw", "PROGRAM", *LLAMA, "--what", "program", "-o", "x.svg"], "wrote x.svg"),
    (["dataset", *LLAMA, "--programs", "2", "-o", "x"], "wrote x/: 2 programs"),
    (["ground-truth", "FOLDER", "--what", "values", "-o", "x"], "3 values located"),
    (["explain", "FOLDER"], "norm.weight"),
]
"""What works; the tests above try compile, draw and explain."""

WITHOUT = {
    "conformance": "writes Llamas of its own",
    "list": "takes no model",
    "new": "takes no model",
    "watch": "runs until it is stopped: test_watch_command.py",
}
"""The commands that are not given a Llama here."""


def test_every_command_is_tried_with_a_llama():
    tried = {arguments[0] for arguments, *_ in (*WORKS, *REFUSED)} | {"compile"}
    assert tried.isdisjoint(WITHOUT)
    assert tried | WITHOUT.keys() == {*COMMANDS}


@pytest.mark.parametrize(("arguments", "says"), WORKS, ids=[" ".join(w[0][:1]) for w in WORKS])
def test_every_other_command_works(run, aab, folder, arguments, says):
    names = {"FOLDER": folder, "FOLDER/": f"{folder}/", "PROGRAM": aab}
    ran = run(*(names.get(each, each) for each in arguments))
    assert ran.status == 0, ran.err
    assert says in ran.out


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
    (["explain", "FOLDER", "--prompt", "a", *LLAMA], "is already compiled", "leave out the options"),
    (["compile", "PROGRAM", *LLAMA, "--theta", "0", "-o", "x"], "theta=0.0", "above 1"),
    (["compile", "PROGRAM", *LLAMA, "--epsilon", "0.9", "-o", "x"], "epsilon=0.9", "below 0.5|0.5"),
    (
        ["compile", "PROGRAM", *LLAMA, "--window", "1", "-o", "x"],
        "window of 1 position no",
        "--window 2 is",
    ),
    (["compile", "PROGRAM", *LLAMA, "--n-kv-head", "3", "-o", "x"], "n_kv_head=3", "use --n-kv-head 2"),
    (
        ["compile", "PROGRAM", *LLAMA, "--head-dim", "2", "-o", "x"],
        "less than the 104 that are",
        "use --head-dim 4 (tried)",
    ),
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
    run, aab, folder, tmp_path, arguments, what, fix
):
    names = {"FOLDER": folder, "PROGRAM": aab}
    ran = run(*(names.get(each, each) for each in arguments))
    assert ran.status == 2
    assert ran.out == ""
    assert what in ran.err
    assert "where:" in ran.err
    advice = ran.err.partition("fix:")[2]
    assert any(each in advice for each in fix.split("|"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more",
    [
        ["--window", "2"],
        ["--n-kv-head", "2"],
        ["--head-dim", "4"],
        ["--n-embd", "10"],
        ["--untied"],
        ["--tokens", "one-hot"],
        ["--tokens", "binary"],
        ["--dtype", "float16"],
        ["--dtype", "bfloat16"],
    ],
    ids=" ".join,
)
def test_what_is_advised_or_allowed_makes_a_model_that_verifies_and_explains(run, aab, more):
    ran = run("compile", aab, *LLAMA, *more, "-o", "x")
    assert ran.status == 0, ran.err
    verified = run("verify", "x")
    assert verified.status == 0, verified.out
    explained = run("explain", "x", "--prompt", "aa")
    assert "answer: b" in explained.out


def test_a_llama_has_every_part_of_ground_truth(run, aab, folder, tmp_path):
    ran = run("ground-truth", folder, "-o", "truth")
    assert ran.status == 0, ran.err
    assert "512 of 512 interchange interventions right" in ran.out
    assert "8 edges: 4 that some answer depends on" in ran.out
    assert "no " not in ran.err
    stated = json.loads((tmp_path / "truth" / "ground_truth.json").read_text(encoding="utf-8"))
    parts = {"values", "circuit", "causal", "features", "components", "freeze"}
    assert set(stated["parts"]) == parts
