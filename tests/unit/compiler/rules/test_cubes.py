"""Literals about one token as sums over the bits of its id, and one hidden unit for each rule."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, Prompts, compile_program, predict
from handcraft.architecture import BLOCK, GPT2, Architecture
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.rules.cubes import cubes_of
from handcraft.compiler.rules.ruled import Ruled
from handcraft.testing import assert_agreement

TOKENS = "abcdefghijk"
PROMPTS = Prompts(TOKENS, context=4)
TOKEN = PROMPTS.token


def cubes(*tokens: str) -> list[tuple[tuple[int, bool], ...]]:
    (node,) = rebuild([TOKEN.map(lambda token: token in tokens).node])
    return [cube.bits for cube in cubes_of(node)]


def test_a_single_token_is_a_cube_of_all_its_bits():
    assert cubes("f") == [((3, False), (2, True), (1, False), (0, True))]


def test_tokens_that_share_bits_are_one_cube():
    assert cubes("e", "f", "g", "h") == [((3, False), (2, True))]


def test_ids_that_no_token_has_may_be_in_a_cube():
    assert cubes("i", "j", "k") == [((3, True), (2, False))]


def test_tokens_that_share_too_little_are_several():
    assert cubes("a", "b", "c") == [
        ((3, False), (2, False), (1, False)),
        ((3, False), (2, False), (1, True), (0, False)),
    ]


@given(st.sets(st.sampled_from(TOKENS), min_size=1, max_size=len(TOKENS) - 1))
def test_a_token_of_a_class_is_in_one_cube_and_no_other_token_is_in_any(allowed):
    found = cubes(*allowed)
    for place, token in enumerate(TOKENS):
        inside = [all(place >> k & 1 == is_set for k, is_set in bits) for bits in found]
        assert sum(inside) == (token in allowed)


def test_all_tokens_but_one_take_at_most_a_cube_for_each_bit():
    for token in TOKENS:
        assert len(cubes(*(set(TOKENS) - {token}))) <= 4


def neurons(*rules: str, architecture: Architecture = BLOCK) -> int:
    """How many neurons the rules take as bits."""
    made = [predict("k").after(rule) for rule in rules]
    program = Program(prompts=PROMPTS, rules=[*made, predict("a").otherwise()])
    ruled = Ruled.of(program, architecture, "float32", reuse=True)
    return len(ruled.coded(direct=False, sure=True, short=False).circuits.blocks[0].neurons)


def test_a_rule_takes_a_neuron_for_every_choice_of_cubes():
    assert neurons("a") == 1
    assert neurons("[abc]") == 2
    assert neurons("[abc][def]") == 2 * 2


def test_a_class_that_many_rules_ask_for_is_a_flag_behind_layernorm():
    single = [f"{a}ab" for a in TOKENS]
    others = [f"[^a]{a}{b}" for a in TOKENS for b in "cdefgh"]
    for architecture in (BLOCK, GPT2):
        assert neurons(*single, *others[:2], architecture=architecture) == len(single) + 2 * 4
    assert neurons(*single, *others, architecture=GPT2) == len(single) + len(others)
    assert neurons(*single, *others) == len(single) + len(others) * 4, "the unembedding would read it"


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
