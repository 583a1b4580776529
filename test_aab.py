"""Tests of the model in /tmp/see16/aab, to be changed and kept.

Run them with `pytest test_aab.py`. With `--handcraft-profile=deep` they try many more
prompts. Written by `handcraft write-tests`.
"""

from pathlib import Path

import pytest
from handcraft import read_checkpoint
from handcraft.testing import (
    assert_causal,
    assert_means,
    cache_machine,
    parametrize,
    prompts,
    thinnest_margin,
)
from hypothesis import given

FOLDER = Path(__file__).parent / "../../../tmp/see16/aab"

checkpoint = read_checkpoint(FOLDER)
program = checkpoint.source
model = checkpoint.model

# By how much the logit of the right token must exceed all others. When this file was
# written the thinnest margin that was found was 19.99, after "aa".
LEAST_MARGIN = 10

# What is answered where each rule decides. Read it: is it what you mean?
ANSWERS = {
    # predict b after aa
    "aa": "b",
    # predict a otherwise
    "a": "a",
}


@pytest.mark.parametrize(("prompt", "answer"), ANSWERS.items())
def test_an_answer_is_the_one_that_was_read(prompt, answer):
    assert_means(model, lambda _: answer, [prompt])


@parametrize(program)
def test_the_model_answers_as_the_rule_says_where_it_decides(rule):
    assert_means(model, rule)


def test_the_model_answers_what_is_meant():
    assert_means(model, program, least_margin=LEAST_MARGIN)


def test_no_margin_is_thin():
    found = thinnest_margin(model, program)
    assert found.margin >= LEAST_MARGIN, str(found)


@given(prompt=prompts(program))
def test_a_property_of_the_rules(prompt):
    """Any property may stand here: this one only shows the form."""
    assert program.meaning(prompt) in program.vocabulary


def test_later_tokens_change_no_earlier_answer():
    assert_causal(model)


# Texts are read piece by piece with a cache, some tokens are forgotten, and texts
# change places; every answer must be that of a run without a cache.
TestCache = cache_machine(model).TestCase
