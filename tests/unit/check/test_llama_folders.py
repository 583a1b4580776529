"""Folders of Llamas are proved where they are right, and never where a change makes them wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import llama_folders
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_folders import AAB, Recipe, make, thirty_rules
from llama_margins import DTYPES, margins
from safetensors.numpy import load_file, save_file
from sweeps import sweep

from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

RECIPES = {
    "aab": AAB,
    "tied": replace(AAB, is_tied=True),
    "wide": replace(AAB, head_dim=64, theta=5e5),
    "one group each": replace(thirty_rules(4), group=1),
    "thirty": thirty_rules(4),
    "window": replace(AAB, context=9, window=3),
    "dots": Recipe("abc", 7, (("a..b", "c"), ("c..a", "b")), "a", group=1),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("llamas")
    return {name: make(_new(root / name), recipe) for name, recipe in RECIPES.items()}


def _new(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RECIPES)
def test_no_run_of_a_llama_has_a_smaller_margin_than_is_proved(name, dtype, folders):
    verdict = prove(folders[name], regime=dtype)
    assert verdict.word == "proved", verdict
    for how in ("eager", "sdpa"):
        seen = margins(folders[name], dtype, how)
        assert verdict.margin <= seen
        assert verdict.margin >= (0.99 if name != "tied" else 0.97) * seen


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["aab", "tied", "window"])
def test_a_proof_by_cases_finds_no_other_margin(name, dtype, folders):
    for claim in read_claim(folders[name], regime=dtype).each:
        by_cases = claim.proof("texts").run()
        by_windows = prove(folders[name], regime=dtype)
        assert by_cases.margin == pytest.approx(by_windows.margin, rel=0.03)


@pytest.mark.parametrize("regime", ["tf32", "q8_0"])
def test_other_regimes(regime, tmp_path):
    folder = make(tmp_path, replace(thirty_rules(4), head_dim=32) if regime == "q8_0" else AAB)
    if regime == "q8_0":
        tensors = load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 32}
        mlp = "model.layers.0.mlp"
        for part, axis in (("gate", 0), ("up", 0), ("down", 1)):
            name = f"{mlp}.{part}_proj.weight"
            wider = [(0, 2), (0, 0)] if axis == 0 else [(0, 0), (0, 2)]
            tensors[name] = np.pad(tensors[name], wider)
        llama_folders.write(folder, tensors, config)
    assert prove(folder, regime=regime, rehash=True).word == "proved"


def changed(folder, to, *, tensors=None, config=None):
    """A copy with other files; its certificate is still about the first ones."""
    found = shutil.copytree(folder, to)
    if tensors:
        kept = load_file(found / "model.safetensors")
        save_file(
            {name: tensors.get(name, each) for name, each in kept.items()}, found / "model.safetensors"
        )
    if config:
        kept = json.loads((found / "config.json").read_text())
        (found / "config.json").write_text(json.dumps(kept | config))
    return found


def test_files_are_those_of_the_certificate(folders, tmp_path):
    found = changed(folders["aab"], tmp_path / "new", config={"rope_theta": 9e3})
    with pytest.raises(CheckError, match="its hash differs"):
        prove(found)


def both(theta):
    return {"rope_theta": theta, "rope_parameters": {"rope_theta": theta, "rope_type": "default"}}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("dots", both(100.0)),
        ("dots", both(2.0)),
        ("dots", {"rms_norm_eps": 0.9}),
        ("one group each", {"rms_norm_eps": 0.9}),
        ("window", {"sliding_window": 1}),
        ("window", {"sliding_window": 2}),
        ("window", {"sliding_window": 4}),
        ("window", {"sliding_window": None}),
        ("aab", {"bos_token_id": 2, "rms_norm_eps": 0.5}),
    ],
)
def test_a_changed_config_is_proved_only_where_answers_stay(name, config, folders, tmp_path):
    found = changed(folders[name], tmp_path / "new", config=config)
    for dtype in ("float32", "bfloat16"):
        verdict = prove(found, regime=dtype, rehash=True)
        seen = min(margins(found, dtype, how) for how in ("eager", "sdpa"))
        if verdict.word == "proved":
            assert verdict.margin <= seen
        if verdict.word == "refuted":
            assert seen < 0


def test_another_theta_is_refuted(tmp_path):
    folder = make(_new(tmp_path / "old"), replace(RECIPES["dots"], context=24))
    assert prove(folder).word == "proved"
    found = changed(folder, tmp_path / "new", config=both(30.0))
    assert prove(found, rehash=True).word == "refuted"


def test_swapped_key_and_value_heads_are_not_proved(tmp_path):
    recipe = replace(RECIPES["dots"], group=1)
    folder = make(_new(tmp_path / "old"), replace(recipe, rules=(("ab..", "c"), ("c..a", "b"))))
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    rows = tensors[name].reshape(-1, recipe.head_dim, tensors[name].shape[1])
    swapped = {
        name: np.ascontiguousarray(rows[[1, 0, *range(2, len(rows))]]).reshape(tensors[name].shape)
    }
    found = changed(folder, tmp_path / "new", tensors=swapped)
    assert prove(folder).word == "proved"
    assert margins(found, "float32", "eager") < 0
    assert prove(found, rehash=True).word == "refuted"


def test_a_head_that_is_said_to_be_tied_must_be(folders, tmp_path):
    with pytest.raises(CheckError, match=r"lm_head\.weight is not embed_tokens\.weight"):
        prove(
            changed(folders["aab"], tmp_path / "a", config={"tie_word_embeddings": True}), rehash=True
        )
    with pytest.raises(CheckError, match=r"there is no tensor 'lm_head\.weight'"):
        prove(
            changed(folders["tied"], tmp_path / "b", config={"tie_word_embeddings": False}), rehash=True
        )


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["aab", "tied", "dots"]))
@settings(max_examples=sweep(36))
def test_a_changed_weight_is_proved_only_where_answers_stay(seed, name, folders, tmp_path_factory):
    rng, folder = np.random.default_rng(seed), folders[name]
    tensors = load_file(folder / "model.safetensors")
    of = rng.choice(sorted(tensors))
    each = tensors[of].copy()
    places = np.argwhere((each != 0) if rng.random() < 0.7 else (each == each))
    place = tuple(rng.choice(places))
    each[place] = rng.choice([0, -each[place], 2 * each[place], each[place] + 1, 64])
    found = changed(folder, tmp_path_factory.mktemp("new") / "new", tensors={of: each})
    for dtype in ("float32", "bfloat16"):
        verdict = prove(found, regime=dtype, rehash=True)
        seen = min(margins(found, dtype, how) for how in ("eager", "sdpa"))
        if verdict.word == "proved":
            assert verdict.margin <= seen
        if verdict.word == "refuted":
            assert seen < 0


BAD = [
    ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; the checker knows 'silu'"),
    ({"attention_bias": True}, "attention_bias is True"),
    ({"mlp_bias": True}, "mlp_bias is True"),
    ({"rope_parameters": {"rope_theta": 5.0}}, "state two bases"),
    ({"rope_parameters": {"rope_type": "llama3"}}, "the checker knows the default"),
    ({"rope_scaling": {"factor": 2.0}}, "rope_scaling is"),
    (both(0.5), "not a number above 1"),
    ({"bos_token_id": None}, "bos_token_id is None, not the id of a token"),
    ({"bos_token_id": 3}, "bos_token_id is 3"),
    ({"bos_token_id": 1}, "the begin token of config.json, 1, has the id of 'b'"),
    ({"head_dim": 15}, "head_dim=15 is odd"),
    ({"num_key_value_heads": 3}, "2 heads cannot share 3"),
    ({"num_attention_heads": 3}, "no multiple of 3 heads"),
    ({"rms_norm_eps": 0}, "rms_norm_eps is 0"),
    ({"sliding_window": 4}, "does not know the key 'sliding_window'"),
    ({"partial_rotary_factor": 0.5}, "does not know the key 'partial_rotary_factor'"),
    ({"max_position_embeddings": 5}, "contexts of 5 tokens, and the model has 4 positions behind"),
    ({"dtype": "bfloat16"}, "it states 'bfloat16'"),
    ({"num_hidden_layers": 2}, r"there is no tensor 'layers\.1"),
    ({"vocab_size": 4}, r"embed_tokens\.weight has the shape \(3, 16\), not \(4, 16\)"),
]


@pytest.mark.parametrize(("config", "why"), BAD)
def test_a_config_that_the_checker_does_not_know(config, why, folders, tmp_path):
    found = changed(folders["aab"], tmp_path / "new", config=config)
    with pytest.raises(CheckError, match=why):
        prove(found, rehash=True)


def test_a_model_of_another_kind_is_refused(folders, tmp_path):
    found = shutil.copytree(folders["aab"], tmp_path / "new")
    (found / "config.json").write_text('{"model_type": "gemma"}')
    with pytest.raises(CheckError, match="the checker knows gpt2, llama and mistral"):
        prove(found, rehash=True)


def test_a_llama_without_a_prefix_in_the_names_of_tensors(folders, tmp_path):
    found = shutil.copytree(folders["aab"], tmp_path / "new")
    tensors = load_file(found / "model.safetensors")
    save_file({n.removeprefix("model."): t for n, t in tensors.items()}, found / "model.safetensors")
    assert prove(found, rehash=True).word == "proved"


def test_a_verdict_names_the_architecture(folders):
    found = prove(folders["aab"])
    assert found.architecture == "llama"
    assert "a begin token in front of every text" in str(found)


def test_the_root_of_the_sum_of_squares(folders):
    embedding = load_file(folders["thirty"] / "model.safetensors")["model.embed_tokens.weight"]
    assert (np.square(embedding).sum(axis=1) == llama_folders.SIZE**2 * embedding.shape[1]).all()


def test_a_head_that_reads_several_sources_is_not_proved(folders, tmp_path):
    tensors = load_file(folders["aab"] / "model.safetensors")
    q = "model.layers.0.self_attn.q_proj.weight"
    found = changed(folders["aab"], tmp_path / "new", tensors={q: 0 * tensors[q]})
    for dtype in DTYPES:
        verdict = prove(found, regime=dtype, rehash=True)
        assert verdict.word != "proved"
        assert verdict.context
