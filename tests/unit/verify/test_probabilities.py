"""Where several tokens may follow, their probabilities are verified, and not the likeliest alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, load, predict, save, select
from handcraft.errors import PrecisionError, ProgramError
from handcraft.verify import every_context, verify
from handcraft.verify.probabilities import (
    CLOSE,
    probabilities_after,
    probabilities_of,
    probability_errors,
    probability_margins,
)
from handcraft.verify.tally import Tally

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position

COIN = Program("ab", 3, [predict({"a": 0.5, "b": 0.5}).otherwise()])
MIXED = Program(
    prompts=PROMPTS,
    rules=[
        predict({"a": 0.25, "b": 0.25, "c": 0.5}).when(select(TOKEN, "c").count() == 2),
        predict({"b": 0.5, "c": 0.5}).when(POSITION >= 2),
        predict(TOKEN).otherwise(),
    ],
)


def of_architecture(program, architecture):
    """A compiled program."""
    return compile_program(program, architecture=architecture)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize("program", [COIN, MIXED], ids=["coin", "mixed"])
def test_tokens_may_be_equally_probable(program, architecture):
    compiled = of_architecture(program, architecture)
    for source in (program, compiled.circuits):
        report = verify(compiled.model, source)
        assert report.passed
        assert report.margin > 10, "tokens that may follow lead those that may not"


def test_a_fair_coin_is_saved_and_verified_from_its_folder(tmp_path):
    compiled = compile_program(COIN)
    model = load(save(compiled, tmp_path / "coin"))
    assert verify(model, compiled.circuits).passed


@pytest.fixture
def unfair():
    """A coin that falls on `a` too often, though it falls on both."""
    compiled = of_architecture(COIN, "block")
    name = "h.0.mlp.c_proj.bias"
    tensors = {key: np.array(tensor) for key, tensor in compiled.model.tensors.items()}
    tensors[name][0] += 0.1
    return replace(compiled, model=replace(compiled.model, tensors=tensors))


def test_a_wrong_probability_is_a_failure(unfair):
    report = verify(unfair.model, COIN)
    assert report.failed == report.tried == 14
    probabilities = np.exp([0.1, 0]) / np.exp([0.1, 0]).sum()
    assert report.failures[0].error == pytest.approx(probabilities[0] - 0.5, abs=1e-5)
    assert report.margin > 0


def test_a_wrong_probability_is_not_saved(unfair, tmp_path):
    with pytest.raises(PrecisionError, match=r"a probability has an error of 0\.025 after 'a'"):
        save(unfair, tmp_path / "unfair")


def test_one_token_is_judged_by_its_margin():
    rules = [predict({"a": 0.5, "b": 0.5}).when(POSITION == 3), predict("c").otherwise()]
    program = Program(prompts=PROMPTS, rules=rules)
    model = of_architecture(program, "block").model
    other = Program(prompts=PROMPTS, rules=[rules[0], predict("b").otherwise()])
    report = verify(model, other)
    assert report.failed == 3 + 9 + 27
    assert report.failures[0].error is None
    assert (report.failures[0].expected, report.failures[0].answered) == ("b", "c")


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_token_that_should_be_sure_is_judged_by_its_probability_too(architecture):
    program = Program("ab", 3, [predict("a").after("b"), predict({"a": 0.5, "b": 0.5}).otherwise()])
    compiled = of_architecture(program, architecture)
    assert verify(compiled.model, program).passed
    batch = next(every_context(compiled.model, 1))
    assert batch.context(1) == [1]
    probabilities = probabilities_of(program)(batch)
    logits = batch.logits.copy()
    logits[1] = -50
    logits[1, :2] = [2.0, 0.0]  # `a` leads, with a probability of 0.88
    tally = Tally(compiled.model, program)
    tally.add(replace(batch, logits=logits), np.array([0, 0]), probabilities)
    assert [failure.context for failure in tally.found.failures] == ["b"]
    assert tally.found.failures[0].error == pytest.approx(1 / (1 + np.exp(2)))


def test_only_programs_with_distributions_have_probabilities():
    rules = Program("ab", 3, [predict("a").otherwise()])
    assert probabilities_of(rules) is None
    assert probabilities_of(of_architecture(rules, "block").circuits) is None
    assert probabilities_of(COIN) is not None


def test_margins_and_errors_of_probabilities():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]))
    probabilities = np.array([[0.5, 0.5, 0], [0.5, 0.25, 0.25]])
    assert np.allclose(probabilities_after(logits), [[0.5, 0.25, 0.25]] * 2)
    assert np.allclose(probability_errors(logits, probabilities), [0.25, 0])
    assert np.allclose(probability_margins(logits, probabilities), [0, np.inf])
    assert CLOSE < 1e-3


@pytest.mark.parametrize("context", [4, 30], ids=["all tried", "drawn"])
def test_prompts_that_allow_no_text_prove_nothing(context):
    prompts = Prompts("ab", context=context, inputs="c+")
    program = Program(prompts=prompts, rules=[predict(prompts.token).otherwise()])
    model = compile_program(program, architecture="block").model
    with pytest.raises(ProgramError, match=f"no text of up to {context} tokens is an allowed prompt"):
        verify(model, program)
