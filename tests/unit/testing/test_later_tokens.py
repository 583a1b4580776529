"""`assert_causal`: a mask that is there passes, and one that is missing is found."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft import BLOCK, Program, Prompts, compile_program, predict
from handcraft.errors import AnswerError
from handcraft.testing import assert_causal, assert_means

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def counting(ids, masked):
    """How many a's there are: so far, or in the whole text."""
    is_a = np.array(ids) == 0
    counts = np.cumsum(is_a) if masked else np.full(len(ids), is_a.sum())
    return np.stack([counts, np.full(len(ids), 0.5)], axis=1)


@pytest.mark.parametrize("architecture", [BLOCK, "gpt2"])
def test_a_model_with_a_mask_passes(architecture):
    assert assert_causal(compile_program(AAB, architecture=architecture), longest=6) > 100
    assert assert_causal(lambda ids: counting(ids, masked=True), vocabulary="ab") > 100


def test_a_missing_mask_is_found_although_every_answer_is_right():
    def without(ids):
        return counting(ids, masked=False)

    assert_means(without, lambda prompt: "a" if "a" in prompt else "b", vocabulary="ab", longest=6)
    with pytest.raises(AssertionError) as caught:
        assert_causal(without, vocabulary="ab")
    text = str(caught.value)
    assert text.startswith("after '")
    assert "without gives 'a' the logit" in text
    assert "fix:    mask later positions before softmax" in text


def test_our_own_model_without_mask_is_found():
    prompts = Prompts("ab", context=3, causal=False)
    program = Program(prompts=prompts, rules=[predict(prompts.token.at(1, default="a")).otherwise()])
    with pytest.raises(AssertionError, match="position 0 of 3"):
        assert_causal(compile_program(program))


def test_a_model_that_answers_at_the_end_alone_cannot_be_tested():
    with pytest.raises(AnswerError, match="it returned"):
        assert_causal(lambda ids: [1.0, 0.0], vocabulary="ab")
