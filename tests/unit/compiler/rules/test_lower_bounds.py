"""Ways that surely are larger are not planned: what they are said to have at least, they have."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from sweeps import sweep

from handcraft import compile_program
from handcraft.architecture import BLOCK, GPT2
from handcraft.compiler.rules import plan_rules
from handcraft.compiler.rules.plan_rules import RuleWays
from handcraft.compiler.rules.ruled import Ruled
from handcraft.errors import LayoutError, PrecisionError
from handcraft.testing import rule_programs
from handcraft.weights import Sizes

TARGETS = {"block": BLOCK, "gpt2": GPT2}


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=sweep(100))
@given(program=rule_programs())
def test_one_hot_logits_take_at_least_what_is_said(target, program):
    architecture = TARGETS[target]
    ruled = Ruled.of(program, architecture, "float32", reuse=True)
    ways = RuleWays(ruled, architecture, sure=True)
    plans = []
    for way in ways.one_hot_ways:
        with suppress(LayoutError, PrecisionError):
            plans.append(way(Sizes()))
    for plan in filter(None, plans):
        assert ways._least(len(ruled.written) - 1) <= plan.shape.parameters(architecture)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=sweep(40))
@given(program=rule_programs(min_tokens=5, max_tokens=9, max_context=5, max_rules=16))
def test_nothing_smaller_is_left_out(target, program):
    chosen = compile_program(program, architecture=target, n_positions=program.context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_rules.RuleWays, "_least", lambda *_, **__: 0)
        every = compile_program(program, architecture=target, n_positions=program.context)
    assert chosen.model.parameters == every.model.parameters
