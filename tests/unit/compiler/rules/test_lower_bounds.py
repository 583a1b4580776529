"""Ways that surely are larger are not planned: what they are said to have at least, they have."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, compile_program, predict
from handcraft.architecture import BLOCK, GPT2
from handcraft.compiler.passes.split_bits import width_of
from handcraft.compiler.rules import plan_patterns, plan_rules
from handcraft.compiler.rules.lower_rules import NORMED, PLAIN, lower_rules
from handcraft.compiler.rules.plan_patterns import least_one_hot
from handcraft.compiler.rules.plan_rules import RuleWays
from handcraft.compiler.rules.ruled import Ruled
from handcraft.compiler.search import parameters_of
from handcraft.testing import rule_programs
from handcraft.weights import Sizes, plan_model

TARGETS = {"block": (BLOCK, PLAIN), "gpt2": (GPT2, NORMED)}
PROGRAMS = rule_programs()


def ngrams(letters: str, length: int) -> Program:
    """A rule after every second pattern of a length, so that nothing but the rules decides the size."""
    patterns = list(dict.fromkeys(a + b * (length - 1) for a in letters for b in letters))[::2]
    rules = [predict(letters[k % len(letters)]).after(p) for k, p in enumerate(patterns)]
    return Program(letters, length + 1, [*rules, predict(letters[0]).otherwise()])


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=sweep(200))
@given(program=PROGRAMS | st.builds(ngrams, st.sampled_from(["abc", "abcdef"]), st.integers(1, 3)))
def test_one_hot_tokens_take_at_least_what_is_said(target, program):
    architecture, style = TARGETS[target]
    plan = plan_model(lower_rules(program, "auto", style), architecture)
    assert least_one_hot(program, architecture) <= plan.shape.parameters(architecture)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=sweep(100))
@given(program=PROGRAMS)
def test_rules_as_expressions_take_at_least_what_is_said(target, program):
    architecture, _ = TARGETS[target]
    ruled = Ruled.of(program, architecture, "float32", reuse=True)
    ways = RuleWays(ruled, architecture, sure=True)
    size = len(program.vocabulary)
    neurons = len(ruled.written) - 1
    for each, dimensions, units in (
        (ways.ways_in_bits, width_of(size), 1),
        (ways.one_hot_ways, size, 2),
    ):
        found = min(parameters_of(way, Sizes()) for way in each)
        assume(found < inf)
        assert ways._least(dimensions, neurons, units) <= found


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=sweep(40))
@given(program=rule_programs(min_tokens=5, max_tokens=9, max_context=5, max_rules=16))
def test_nothing_smaller_is_left_out(target, program):
    chosen = compile_program(program, architecture=target, n_positions=program.context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_patterns, "least_one_hot", lambda *_: 0)
        patch.setattr(plan_rules.RuleWays, "_least", lambda *_, **__: 0)
        every = compile_program(program, architecture=target, n_positions=program.context)
    assert chosen.model.parameters == every.model.parameters
