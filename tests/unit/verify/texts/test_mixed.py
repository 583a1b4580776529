"""Samples are drawn so that rules fire: texts of few tokens, and of those that are looked for."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from handcraft import Program, Prompts, Vocabulary, compile_program, predict, select
from handcraft.verify import verify
from handcraft.verify.texts.mixed import change_of

WORDS = tuple(f"w{number}" for number in range(500))
SAMPLE = 4_000


def looking_for(word):
    """Rules for a phrase of three words, and for a word that came twice."""
    prompts = Prompts(Vocabulary(WORDS), context=8)
    token = prompts.token
    phrase = (
        (token == word) & (token.at(-1, default="w0") == "w90") & (token.at(-2, default="w0") == "w7")
    )
    return Program(
        prompts=prompts,
        rules=[
            predict("w1").when(select(phrase, True).exists()),
            predict("w2").when(select(token, "w404").count() >= 2),
            predict("w0").otherwise(),
        ],
    )


@pytest.fixture(scope="module")
def faulty():
    """A model whose selection looks for the wrong phrase."""
    return compile_program(looking_for("w11"), architecture="block").model


def test_words_out_of_500_make_every_rule_decide_and_every_selection_select():
    program = looking_for("w10")
    model = compile_program(program, architecture="block").model
    report = verify(model, program, sample=SAMPLE)
    assert report.passed
    assert report.unexercised == report.never_selected == report.always_selected == ()
    assert min(each.count for each in report.rules) > SAMPLE / 100


def test_a_selection_that_looks_for_the_wrong_word_is_found(faulty):
    report = verify(faulty, looking_for("w10"), sample=SAMPLE)
    assert not report.passed
    assert "w7 w90 w10" in report.failures[0].context


def test_texts_of_tokens_that_all_are_as_likely_would_not_find_it(faulty, monkeypatch):
    module = sys.modules[verify.__module__]
    monkeypatch.setattr(module, "change_of", lambda source: lambda texts, random: texts)
    report = verify(faulty, looking_for("w10"), sample=SAMPLE)
    assert report.passed
    assert len(report.unexercised) >= 1


def test_a_token_that_comes_a_third_time_out_of_500_is_drawn():
    token = Prompts(Vocabulary(WORDS), context=8).token
    rules = [predict("w1").when(select(token, token).count() >= 3), predict("w0").otherwise()]
    program = Program(prompts=token.prompts, rules=rules)
    texts = np.random.default_rng(0).integers(0, 500, size=(100, 8))
    rows, places = np.divmod(np.arange(800), 8)
    drawn = change_of(program)(texts, np.random.default_rng(0))
    assert (program.rules_at(texts, rows, places) == 0).sum() == 0
    assert (program.rules_at(drawn, rows, places) == 0).sum() > 50


def test_the_same_seed_draws_the_same_texts():
    change, texts = change_of(looking_for("w10")), np.arange(80).reshape(10, 8)
    first, second = (change(texts, np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == second.tolist() != texts.tolist()
    assert texts.tolist() == np.arange(80).reshape(10, 8).tolist()


def test_circuits_are_tried_on_words_that_come_again_and_on_those_that_they_look_for(faulty):
    program = looking_for("w10")
    circuits = compile_program(program, architecture="block").circuits
    texts = np.random.default_rng(0).integers(0, 500, size=(900, 8))
    drawn = change_of(circuits)(texts, np.random.default_rng(0))
    few = [len(set(row)) <= 4 for row in drawn.tolist()]
    assert 180 < sum(few) < 600
    assert (drawn == 404).any(axis=1).sum() > 3 * (texts == 404).any(axis=1).sum()
