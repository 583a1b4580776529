"""Models without a causal mask are proved at every position, and only where they are right."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from checked_programs import one_weight_changed
from float32_steps import assert_inside
from hypothesis import given
from random_layers import random_block, random_model, run, seeds
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft.formats import load
from handcraft.proofs import statement_of
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.layers.model import Model
from handcraft_check.program.contexts_in_words import contexts_in_words
from handcraft_check.program.domain import Domain
from handcraft_check.program.meaning import program_hash
from handcraft_check.prove import prove
from handcraft_check.unmasked import inputs, last_everywhere

WEIGHTS, CERTIFICATE = "model.safetensors", "certificate.json"


@pytest.mark.parametrize("made", [random_model, random_block])
@given(seeds)
def test_no_position_leaves_its_bounds(made, rng):
    config, tensors = made(rng)
    count, length = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    ids = rng.integers(0, config.vocab_size, size=(count, length))
    model = Model(config, tensors)
    found = model.logits(last_everywhere(model, ids))
    for row, text in enumerate(ids):
        for how in (0, 1):
            logits = run(rng, config, tensors, text, how, is_causal=False)
            assert_inside(logits, found[row * length : (row + 1) * length])


def marked(**options):
    """Whether there are two of the letter, before or behind: what no mask hides."""
    prompts = Prompts("abc", context=4, causal=False, **options)
    token = prompts.token
    same = select(token, token).count()
    return Program(
        prompts=prompts,
        rules=[
            predict("a").when((same >= 2) & (token != "c")),
            predict({"a": Fraction(1, 4), "b": Fraction(3, 4)}).when(token == "c"),
            predict(token).otherwise(),
        ],
    )


def furthest(tensors, folder, claim):
    """The largest distance and the least margin of all positions of all texts, in float32."""
    model, judge = load(folder), claim.judge
    model = replace(model, tensors={name: tensors[name] for name in model.tensors})
    far, least = 0.0, np.inf
    for texts in inputs(claim.domain):
        with np.errstate(all="ignore"):
            logits = model.forward(texts).astype(np.float64)
        codes = claim.meaning.answers_everywhere(texts).codes
        for row, code in zip(logits.reshape(-1, logits.shape[-1]), codes.ravel().tolist(), strict=True):
            q = np.exp(judge.logs_of(code))
            if not np.isfinite(row).all():
                return 1.0, -np.inf
            powers = np.exp(row - row.max())
            far = max(far, float(np.abs(powers / powers.sum() - q).sum() / 2))
            least = min(least, float(row[q > 0].min() - row[q == 0].max(initial=-np.inf)))
    return far, least


@pytest.fixture(scope="module", params=["block", "gpt2"])
def original(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unmasked") / "model"
    return save(compile_program(marked(), architecture=request.param), folder, proof="quick")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def test_no_run_is_further_than_what_is_proved(folder):
    verdict, claim = prove(folder), read_claim(folder)
    assert (verdict.word, verdict.inputs, verdict.cases) == ("proved", 120, 120)
    assert "120 inputs, contexts of up to 4 tokens, at every position" in str(verdict)
    far, least = furthest(load_file(folder / WEIGHTS), folder, claim)
    assert far <= verdict.distance <= 1e-4
    assert verdict.margin <= least <= verdict.margin + 1
    said = json.loads((folder / "handcraft.json").read_text("utf-8"))["proof"]
    assert (said["verdict"], said["everywhere"]) == ("proved", True)


def test_what_is_meant_is_that_of_the_program(folder):
    program, claim = marked(), read_claim(folder)
    for texts in inputs(claim.domain):
        codes = claim.meaning.answers_everywhere(texts).codes
        rows = np.repeat(np.arange(len(texts)), texts.shape[1])
        places = np.tile(np.arange(texts.shape[1]), len(texts))
        meant = program.probabilities_at(texts, rows, places)
        stated = [np.exp(claim.judge.logs_of(code))[:3] for code in codes.ravel().tolist()]
        assert np.allclose(stated, meant)


def test_a_weight_that_changes_an_answer_loses_the_proof(folder):
    tensors, claim = load_file(folder / WEIGHTS), read_claim(folder)
    words = []
    for number in range(30):
        changed, name, place = one_weight_changed(tensors, number)
        save_file(changed, folder / WEIGHTS)
        verdict = prove(folder, rehash=True)
        far, least = furthest(changed, folder, claim)
        is_right = far <= 1e-4 and least > 0
        words.append((verdict.word, is_right))
        if verdict.word == "proved":
            assert far <= verdict.distance, (name, place)
            assert least >= verdict.margin, (name, place)
    assert ("proved", False) not in words
    assert ("refuted", True) not in words
    assert words.count(("refuted", False)) >= 5, words
    assert words.count(("proved", True)) >= 0.7 * sum(is_right for _, is_right in words), words


def changed_certificate(folder, change):
    certificate = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    change(certificate)
    certificate["program"] = program_hash(certificate["contexts"], certificate["meaning"])
    (folder / CERTIFICATE).write_text(json.dumps(certificate), "utf-8")


def test_what_is_stated_of_the_mask_holds_for_the_model_and_for_what_is_meant(folder):
    changed_certificate(folder, lambda found: found["contexts"].update(causal=True))
    verdict, claim = prove(folder), read_claim(folder)
    assert verdict.word == "proved"
    model = load(folder)
    model = replace(model, architecture=replace(model.architecture, causal=True))
    for texts in inputs(claim.domain):
        logits = model.forward(texts)[:, -1].astype(np.float64)
        for row, code in zip(logits, claim.meaning.answers(texts).codes.tolist(), strict=True):
            may = claim.judge.logs_of(code) > -np.inf
            assert row[may].min() - row[~may].max() >= verdict.margin


def test_a_position_that_is_wrong_is_named(folder):
    def change(found):
        found["meaning"]["answer"]["rules"][0]["token"] = found["meaning"]["answer"]["rules"][2][
            "token"
        ]

    changed_certificate(folder, change)
    verdict = prove(folder)
    assert verdict.word == "refuted"
    assert verdict.reason == "the model predicts 'a', and 'b' is meant at position 0"
    assert verdict.context == ("b", "b")


def test_a_repository_of_gpt2_has_a_mask(tmp_path):
    prompts = Prompts("ab", context=3)
    program = Program(prompts=prompts, rules=[predict(prompts.token).otherwise()])
    save(compile_program(program), tmp_path / "model")
    changed_certificate(tmp_path / "model", lambda found: found["contexts"].update(causal=False))
    with pytest.raises(CheckError, match="and the model has one"):
        prove(tmp_path / "model")


def test_what_is_stated_names_the_missing_mask(folder):
    stated = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    words = contexts_in_words(stated["contexts"], stated["vocabulary"])
    assert words.splitlines()[-1] == "every position sees all others, and something is meant at each"


def test_only_inputs_are_tried(tmp_path):
    save(compile_program(marked(inputs="[ab]c{2}"), architecture="block"), tmp_path / "model")
    assert [t.tolist() for t in inputs(read_claim(tmp_path / "model").domain)] == [
        [[0, 2, 2], [1, 2, 2]]
    ]
    assert prove(tmp_path / "model").cases == 2


def test_too_many_texts_are_not_tried(folder):
    verdict = prove(folder, budget=100)
    assert (verdict.word, verdict.reason) == ("unproved", "it takes more than 100 cases")


def test_every_text_is_listed_once():
    texts = [tuple(text) for length in (1, 2, 3) for text in product(range(2), repeat=length)]
    prompts = Prompts("ab", context=3, causal=False)
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    domain = Domain.read(statement_of(program)["contexts"], ["a", "b"])
    assert [tuple(t) for some in inputs(domain) for t in some.tolist()] == texts
