"""Files that are read in another way than the checker would read them are refused, never proved."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.program.meaning import BROKEN, program_hash
from handcraft_check.prove import prove

JUDGED = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "judged_folders.py"))
WTE, LM_HEAD = "transformer.wte.weight", "lm_head.weight"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A program that is proved: b behind a, and a elsewhere."""
    prompts = Prompts("ab", context=3)
    rules = [predict("b").when(prompts.token == "a"), predict("a").otherwise()]
    folder = tmp_path_factory.mktemp("original") / "model"
    compile_program(Program(prompts=prompts, rules=rules)).save(folder)
    assert prove(folder).word == "proved"
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it that may be changed."""
    return shutil.copytree(original, tmp_path / "model")


def change_tensors(folder, change):
    tensors = dict(load_file(folder / "model.safetensors"))
    save_file(change(tensors), folder / "model.safetensors")


def change_json(folder, name, **values):
    found = json.loads((folder / name).read_text("utf-8")) | values
    (folder / name).write_text(json.dumps(found), "utf-8")


def test_changed_files_need_new_hashes(folder):
    change_tensors(folder, lambda tensors: {**tensors, WTE: tensors[WTE] * np.float32(2)})
    with pytest.raises(CheckError, match=r"model.safetensors is not the file"):
        prove(folder)
    assert prove(folder, rehash=True).word in ("proved", "unproved")


CHANGES = {
    "one name without the prefix": lambda t: {**t, "wte.weight": t[WTE][::-1].copy()},
    "an unembedding of its own": lambda t: {**t, LM_HEAD: t[WTE][::-1].copy()},
    "float64, which is rounded in use": lambda t: {**t, WTE: t[WTE].astype(np.float64) * (1 + 1e-9)},
    "a tensor more": lambda t: {**t, "transformer.h.9.ln_1.bias": t["transformer.ln_f.bias"]},
    "a tensor less": lambda t: {name: each for name, each in t.items() if name != WTE},
    "no number": lambda t: {**t, WTE: t[WTE] * np.float32(np.nan)},
}


@pytest.mark.parametrize("what", CHANGES)
def test_tensors_that_are_read_in_two_ways_are_refused(what, folder):
    change_tensors(folder, CHANGES[what])
    with pytest.raises(CheckError):
        prove(folder, rehash=True)


def test_an_unembedding_that_is_the_embedding_changes_nothing(folder):
    change_tensors(folder, lambda tensors: {**tensors, LM_HEAD: tensors[WTE]})
    assert prove(folder, rehash=True).word == "proved"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 0),
        ("num_attention_heads", 1),
        ("hidden_size", 2),
        ("max_position_embeddings", 1),
        ("pruned_heads", {"0": [0]}),
        ("quantization_config", {}),
        ("activation_function", "gelu"),
        ("tie_word_embeddings", False),
        ("reorder_and_upcast_attn", True),
        ("layer_norm_epsilon", 1e-46),
        ("layer_norm_epsilon", 1.0),
    ],
)
def test_a_config_of_which_the_checker_knows_too_little_is_refused(key, value, folder):
    change_json(folder, "config.json", **{key: value})
    with pytest.raises(CheckError):
        prove(folder, rehash=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_of_the_dtype_that_is_claimed(dtype, folder):
    change_tensors(folder, lambda t: {**t, WTE: t[WTE] * np.float32(1 + 2.0**-20)})
    change_json(folder, "certificate.json", arithmetic={"weights": dtype, "steps": "float32"})
    with pytest.raises(CheckError, match=f"is not in {dtype}"):
        prove(folder, rehash=True)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_a_config_with_another_dtype_than_is_claimed_is_refused(key, folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for name in ("dtype", "torch_dtype"):
        config.pop(name, None)
    for dtype in ("bfloat16", "float16", "auto", 16):
        (folder / "config.json").write_text(json.dumps(config | {key: dtype}), "utf-8")
        with pytest.raises(CheckError, match="in which transformers loads the weights"):
            prove(folder, rehash=True)
    (folder / "config.json").write_text(json.dumps(config | {key: "bfloat16"}), "utf-8")
    assert prove(folder, rehash=True, regime="bfloat16").word == "proved"


def test_a_certificate_with_an_architecture_beside_a_config_is_refused(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    files = json.loads((folder / "certificate.json").read_text("utf-8"))["files"]
    stated = {
        "norm": "layer",
        "norm_epsilon": config["layer_norm_epsilon"],
        "activation": "gelu_tanh",
        "scales_scores": True,
        "scales_by_layer": False,
        **{name: config[name] for name in ("n_head", "n_embd", "n_positions")},
        "n_inner": [config["n_inner"]] * config["n_layer"],
        "n_vocab": config["vocab_size"],
    }
    weights = {"model.safetensors": files["model.safetensors"]}
    change_json(folder, "certificate.json", architecture=stated, files=weights)
    with pytest.raises(CheckError, match="states one too, which is the one that is run"):
        prove(folder)
    (folder / "config.json").unlink()
    assert prove(folder).word == "proved"


@pytest.mark.parametrize("steps", ["float64", "int8", "", "Float32", None, ["float32"]])
def test_steps_of_which_the_checker_knows_nothing_are_refused(steps, folder):
    change_json(folder, "certificate.json", arithmetic={"weights": "float32", "steps": steps})
    with pytest.raises(CheckError, match="are not checked"):
        prove(folder)


@pytest.mark.parametrize("steps", ["bfloat16", "float16", "tf32"])
def test_the_certificate_names_the_regime_and_who_asks_may_name_another(steps, folder):
    change_json(folder, "certificate.json", arithmetic={"weights": "float32", "steps": steps})
    found = prove(folder)
    assert found.word == "proved"
    words = {"tf32": "factors of products in TF32"}.get(steps, f"every step rounded to {steps}")
    assert words in found.arithmetic
    other = prove(folder, regime="float32")
    assert other.arithmetic == "weights in float32, every step in float32, none in TF32"
    assert found.margin < other.margin * 1.01


@pytest.mark.parametrize("size", [1e17, 1e19, 1e25, 3e38])
@pytest.mark.parametrize(
    "name", ["wte", "wpe", "h.0.attn.c_attn", "h.0.mlp.c_fc", "h.0.mlp.c_proj", "ln_f"]
)
def test_what_overflows_is_proved_only_where_it_is_right(name, size, folder):
    def grown(tensors):
        weight = f"transformer.{name}.weight"
        sign = np.sign(tensors[weight])
        return {**tensors, weight: np.where(sign == 0, 1, sign).astype(np.float32) * np.float32(size)}

    change_tensors(folder, grown)
    verdict = prove(folder, rehash=True)
    if verdict.word == "proved":
        files, claim = JUDGED["Original"].read(folder), read_claim(folder, rehash=True)
        assert JUDGED["least_margin"](files, claim) >= verdict.margin


def test_a_context_that_breaks_an_assumption_is_never_proved(folder):
    """A table has no row for b, and is read only where the token is a, so that it decides nothing."""
    certificate = json.loads((folder / "certificate.json").read_text("utf-8"))
    meaning = certificate["meaning"]
    nodes, first = meaning["nodes"], len(meaning["nodes"])
    assert nodes[0] == {"op": "token"}
    match = {"key": 0, "query": first + 1, "relation": "=="}
    nodes += [
        {"op": "table", "of": [0], "rows": [["a", True]]},
        {"op": "constant", "value": "a"},
        {"op": "aggregate", "how": "latest", "value": first, "default": True, "cases": [[match]]},
    ]
    for rule in meaning["answer"]["rules"]:
        token, rule["token"] = rule["token"], len(nodes)
        nodes.append({"op": "choice", "if": first + 2, "then": token, "else": token})
    certificate["program"] = program_hash(certificate["contexts"], meaning)
    (folder / "certificate.json").write_text(json.dumps(certificate), "utf-8")
    claim = read_claim(folder, rehash=True)
    assert claim.meaning.answers(np.array([[1, 0], [0, 0]])).token[0] == BROKEN
    assert prove(folder, rehash=True).word != "proved"
