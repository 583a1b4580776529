"""Models without LayerNorm, with ReLU, are proved from their tensors and what the certificate says."""

from __future__ import annotations

import json
import runpy
import shutil
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_schema import conforms
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft.formats import load
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove
from handcraft_check.verdict import Verdict

ROOT = Path(__file__).parents[3]
JUDGED = runpy.run_path(str(ROOT / "benchmarks" / "judged_folders.py"))
WEIGHTS, CERTIFICATE = "model.safetensors", "certificate.json"


def counted():
    """It reads how many letters there were: heads, hidden units, and two blocks."""
    prompts = Prompts("abc", context=4)
    before = select(prompts.token == "a", True).count()
    return Program(
        prompts=prompts,
        rules=[
            predict("b").when((before >= 2) & (prompts.token != "b")),
            predict("c").when(prompts.token.at(-1, default="a") == "b"),
            predict(prompts.token).otherwise(),
        ],
    )


def least_margin(tensors, folder, claim):
    """The least margin of all contexts, in float32."""
    model = load(folder)
    model = replace(model, tensors={name: tensors[name] for name in model.tensors})
    least = np.inf
    with np.errstate(all="ignore"):
        for texts, answers in JUDGED["contexts"](claim):
            logits = model.forward(texts)[:, -1].astype(np.float64)
            own = logits[np.arange(len(texts)), answers].copy()
            logits[np.arange(len(texts)), answers] = -np.inf
            margins = own - logits.max(axis=1)
            least = min(least, float(np.where(np.isnan(margins), -np.inf, margins).min()))
    return least


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("block") / "model"
    return save(compile_program(counted(), architecture="block"), folder, proof="quick")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def test_no_run_has_a_smaller_margin_than_the_proved_one(folder):
    verdict, claim = prove(folder), read_claim(folder)
    assert (verdict.word, verdict.inputs) == ("proved", 120)
    assert not (folder / "config.json").exists()
    seen = least_margin(load_file(folder / WEIGHTS), folder, claim)
    assert 0.5 * seen <= verdict.margin <= seen


def test_the_folder_says_that_it_is_proved(folder):
    said = json.loads((folder / "handcraft.json").read_text("utf-8"))["proof"]
    assert said["verdict"] == "proved"
    assert load(folder).architecture.name == "block"


def test_the_certificate_is_of_the_documented_form(folder):
    found = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    schema = json.loads((ROOT / "docs" / "certificate.schema.json").read_text("utf-8"))
    assert conforms(found, schema, schema)
    assert sorted(found["files"]) == [WEIGHTS]
    assert found["architecture"]["norm"] == "none"


@st.composite
def n_grams(draw):
    letters = "abc"[: draw(st.integers(2, 3))]
    token, length = st.sampled_from(letters), draw(st.integers(1, 4))
    pattern = st.lists(token, min_size=1, max_size=min(length, 3)).map("".join)
    patterns = draw(st.lists(pattern, min_size=1, max_size=5, unique=True))
    rules = [predict(draw(token)).after(each) for each in sorted(patterns, key=lambda p: -len(p))]
    return Program(letters, length, [*rules, predict(draw(token)).otherwise()])


@given(program=n_grams(), outright=st.sampled_from([0, 1 << 13]))
@settings(max_examples=15)
@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_windows_without_layer_norm(program, outright, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    save(compile_program(program, architecture="block"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handcraft_check.by_windows.window_model.OUTRIGHT", outright)
        verdict, claim = prove(folder), read_claim(folder)
    assert verdict.word == "proved"
    assert least_margin(load_file(folder / WEIGHTS), folder, claim) >= verdict.margin


def test_where_every_token_may_follow_there_is_no_margin(tmp_path):
    first, second = ({"a": Fraction(n, 9), "b": Fraction(9 - n, 9)} for n in (2, 5))
    program = Program("ab", 3, [predict(first).after("a"), predict(second).otherwise()])
    save(compile_program(program, architecture="block"), tmp_path / "model", proof="quick")
    verdict = prove(tmp_path / "model")
    assert (verdict.word, verdict.margin) == ("proved", np.inf)
    assert "margin: none, since every token may follow" in str(verdict)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_a_weight_that_changes_an_answer_loses_the_proof(folder):
    tensors, claim = load_file(folder / WEIGHTS), read_claim(folder)
    words = []
    for number in range(24):
        rng = np.random.default_rng(number)
        changed = {name: tensor.copy() for name, tensor in tensors.items()}
        name = str(rng.choice(sorted(changed)))
        flat = changed[name].reshape(-1)
        place = rng.choice(np.flatnonzero(flat)) if flat.any() else 0
        flat[place] = rng.choice(
            [0, -flat[place], 2 * flat[place], flat[place] + rng.normal() * 8, 3e38]
        )
        save_file(changed, folder / WEIGHTS)
        verdict = prove(folder, rehash=True, budget=1 << 13)
        least = least_margin(changed, folder, claim)
        words.append((verdict.word, least > 0))
        if verdict.word == "proved":
            assert least >= verdict.margin, (name, place)
    assert ("proved", False) not in words
    assert ("refuted", True) not in words
    assert words.count(("refuted", False)) >= 4
    assert words.count(("proved", True)) >= 0.85 * sum(is_right for _, is_right in words)


def changed_architecture(folder, change):
    certificate = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    change(certificate["architecture"])
    (folder / CERTIFICATE).write_text(json.dumps(certificate), "utf-8")


CHANGES = {
    "norm": ["layer", "rms", None],
    "norm_epsilon": [1, 0.0, -1e-5, 1e-13, "1e-5", None],
    "activation": ["gelu_erf", "silu", 0],
    "scales_scores": [0, None],
    "scales_by_layer": ["no"],
    "n_head": [0, 3, True, 1.0, 1 << 25],
    "n_embd": [1, 0, None],
    "n_inner": [[], [1], 4, [-1, 4], [True, True], [1 << 25, 0]],
    "n_positions": [3, 0],
    "n_vocab": [2, 4],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in CHANGES.items() for v in values])
def test_another_architecture_than_that_of_the_tensors_is_refused(key, value, folder):
    changed_architecture(folder, lambda found: found.update({key: value}))
    with pytest.raises(CheckError):
        prove(folder)


def test_an_architecture_that_is_not_whole_is_refused(folder):
    for change in (lambda found: found.pop("norm"), lambda found: found.update(bias=True)):
        before = (folder / CERTIFICATE).read_text("utf-8")
        changed_architecture(folder, change)
        with pytest.raises(CheckError, match="field"):
            prove(folder)
        (folder / CERTIFICATE).write_text(before, "utf-8")


@pytest.mark.parametrize(("key", "value"), [("scales_scores", False), ("activation", "gelu_tanh")])
def test_another_function_of_the_same_tensors_is_judged_as_it_is(key, value, folder):
    """What the certificate says is proved, or not: the margin is then that of this model."""
    changed_architecture(folder, lambda found: found.update({key: value}))
    verdict, claim = prove(folder), read_claim(folder)
    model = load(folder)
    other = replace(model, architecture=replace(model.architecture, **{key: value}))
    least = np.inf
    for length in range(1, 5):
        texts = np.array([*product(range(3), repeat=length)])
        logits = other.forward(texts)[:, -1]
        answers = claim.meaning.answers(texts).token
        own = logits[np.arange(len(texts)), answers].copy()
        logits[np.arange(len(texts)), answers] = -np.inf
        least = min(least, float((own - logits.max(axis=1)).min()))
    assert verdict.word == "proved" or least <= 0
    assert verdict.word != "proved" or verdict.margin <= least


@pytest.mark.parametrize("regime", ["bfloat16", "float16"])
def test_few_digits_are_checked_of_gpt2_only(regime, folder):
    with pytest.raises(CheckError, match=f"which steps are rounded to {regime}"):
        prove(folder, regime=regime)
    assert prove(folder, regime="tf32").word in ("proved", "unproved")


def test_a_gpt2_in_safetensors_is_proved_as_in_a_repository(tmp_path):
    compiled = compile_program(counted())
    save(compiled, tmp_path / "one", format="safetensors")
    save(compiled, tmp_path / "other")
    one, other = prove(tmp_path / "one"), prove(tmp_path / "other")
    assert (one.word, one.inputs) == (other.word, other.inputs) == ("proved", 120)
    assert one.margin >= other.margin


def test_a_key_is_read_that_decides_whether_its_source_is_read(tmp_path):
    """A source may have just the value that the head reads: its key decides about the others."""
    prompts = Prompts("ab=", context=6)
    marker = select(prompts.token, "=").latest(prompts.position, default=0)
    program = Program(
        prompts=prompts,
        rules=[predict("a").when(prompts.position - marker == 1), predict("b").otherwise()],
    )
    folder = save(compile_program(program, architecture="block"), tmp_path / "model")
    verdict, claim = prove(folder), read_claim(folder)
    assert verdict.word == "proved"
    assert least_margin(load_file(folder / WEIGHTS), folder, claim) >= verdict.margin
