"""Literals about one token as sums over the bits of its id, and one hidden unit for each rule."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from handcraft import Program, Prompts, compile_program, predict
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.rules.cubes import cube_of
from handcraft.testing import assert_agreement

TOKENS = "abcdefghijk"
PROMPTS = Prompts(TOKENS, context=4)
TOKEN = PROMPTS.token


def cube(*tokens: str):
    (node,) = rebuild([TOKEN.map(lambda token: token in tokens).node])
    return cube_of(node)


def test_a_single_token_is_a_cube_of_all_its_bits():
    assert cube("f").bits == ((3, False), (2, True), (1, False), (0, True))


def test_tokens_that_share_bits_are_one_cube():
    assert cube("e", "f", "g", "h").bits == ((3, False), (2, True))


def test_ids_that_no_token_has_may_be_in_a_cube():
    assert cube("i", "j", "k").bits == ((3, True), (2, False))


def test_tokens_that_share_too_little_are_none():
    assert cube("a", "b", "c") is None


def trigrams(condition: bool) -> Program:
    """150 rules over three tokens each, most of which share no prefix."""
    chosen = Random(0)
    seen = chosen.sample(list(product(TOKENS, repeat=3)), 150)
    rules = [predict(chosen.choice(TOKENS)).after("".join(each)) for each in seen]
    late = [predict("b").when(PROMPTS.position >= 3)] if condition else []
    return Program(prompts=PROMPTS, rules=[*late, *rules, predict("a").otherwise()])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_after_layernorm_a_rule_takes_one_hidden_unit_where_rules_decide_the_width(dtype):
    compiled = compile_program(trigrams(condition=True), dtype=dtype)
    assert len(compiled.plan.layers) == 1
    assert len(compiled.plan.layers[0].units) <= 151
    assert_agreement(compiled, every_up_to=2_000, sample=2_000)


@pytest.mark.parametrize("condition", [False, True])
def test_patterns_with_and_without_a_condition_cost_about_the_same(condition):
    compiled = compile_program(trigrams(condition), architecture="block")
    assert compiled.plan.layout.n_embd <= 20
    assert_agreement(compiled, every_up_to=2_000, sample=2_000)
