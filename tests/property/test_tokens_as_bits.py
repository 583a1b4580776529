"""Rules over tokens that are held as bits agree with the oracle, in every architecture and dtype."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from sweeps import sweep

from handcraft import Compiled, Program, compile_program
from handcraft.architecture import GPT2
from handcraft.compiler.rules.ruled import Ruled
from handcraft.testing import assert_agreement, rule_programs
from handcraft.verify import check_facts
from handcraft.weights import plan
from handcraft.weights.layers import build_layers

PROGRAMS = rule_programs(
    min_tokens=2, max_tokens=9, min_context=3, max_context=8, max_rules=6, max_pattern=4
)
CROWDED = rule_programs(max_tokens=3, min_context=4, max_context=6, max_rules=12, max_pattern=4)
SMALL = rule_programs(min_tokens=1, max_tokens=3, min_context=1, max_context=2, max_rules=6)

FEWER = {"every_up_to": 5_000, "sample": 5_000}
ARCHITECTURES = ("block", "gpt2")


def compiled(program: Program, architecture: str, **options) -> Compiled:
    """The program with bits for tokens, and as many positions as it asks for."""
    return compile_program(
        program, architecture=architecture, tokens="binary", n_positions=program.context, **options
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=sweep(100))
@given(program=PROGRAMS)
def test_random_programs_agree(architecture, program):
    found = compiled(program, architecture)
    assert_agreement(found, **FEWER)
    check_facts(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=sweep(50))
@given(program=CROWDED)
def test_programs_of_many_rules_over_few_tokens_agree(architecture, program):
    assert_agreement(compiled(program, architecture), **FEWER)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=sweep(100))
@given(program=SMALL)
def test_programs_of_one_or_two_positions_agree(architecture, program):
    assert_agreement(compiled(program, architecture))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@settings(max_examples=sweep(30))
@given(program=PROGRAMS)
def test_random_programs_agree_in_halves(architecture, dtype, program):
    found = compiled(program, architecture, dtype=dtype)
    assert_agreement(found, **FEWER)
    check_facts(found)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@settings(max_examples=sweep(30))
@given(program=CROWDED)
def test_rules_that_overlap_agree_where_every_layer_has_few_units(dtype, program):
    made = Ruled.of(program, GPT2, dtype, reuse=True).coded(direct=False, sure=True, short=True)
    neurons = len(made.circuits.blocks[-1].neurons)

    def build_few(circuits, architecture, most_units):
        return build_layers(circuits, architecture, 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "build_layers", build_few)
        found = replace(compile_program(made.circuits, dtype=dtype), source=program)
    assert len(found.plan.layers) == max(1, -(-neurons // 2))
    assert_agreement(found, **FEWER)
    check_facts(found)
