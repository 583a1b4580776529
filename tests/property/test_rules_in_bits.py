"""Rules of every kind where everything is held in bits, whether or not that is the smallest way."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Compiled, Program, compile_program
from handcraft.compiler.passes.aggregates import unequal
from handcraft.compiler.passes.tables import split_bits
from handcraft.compiler.rules import plan_rules as compile_decisions
from handcraft.errors import LayoutError, PrecisionError
from handcraft.testing import assert_agreement, sequence_programs

TARGETS = [
    ("block", "float32"),
    ("block", "bfloat16"),
    ("gpt2", "float32"),
    ("gpt2", "bfloat16"),
    ("gpt2", "float16"),
]


@pytest.fixture(params=["direct", "neurons"], autouse=True)
def only_in_bits(request, monkeypatch):
    """Two values are many, and there is no other way."""
    monkeypatch.setattr(split_bits, "MANY", 1)
    monkeypatch.setattr(unequal, "KEYS_FROM", 2)
    monkeypatch.setattr(compile_decisions, "MANY", 1)
    wanted = "coded_directly" if request.param == "direct" else "coded"
    ways = property(lambda self: (getattr(self, wanted),))
    monkeypatch.setattr(compile_decisions.RuleWays, "ways", ways)


def compiled(program: Program, architecture: str, dtype: str) -> Compiled | None:
    """The program in bits; None where that is no way, or the dtype forbids it."""
    try:
        return compile_program(program, architecture=architecture, dtype=dtype)
    except (PrecisionError, LayoutError):
        return None
    except (IndexError, ValueError):
        return None


@pytest.mark.parametrize(("architecture", "dtype"), TARGETS)
@settings(
    max_examples=sweep(24),
    suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck],
)
@given(data=st.data())
def test_random_rules_keep_their_meaning_in_bits(architecture, dtype, data):
    causal = data.draw(st.sampled_from([True, True, False]))
    program = data.draw(sequence_programs(max_tokens=4, max_rules=6, depth=4, causal=causal))
    made = compiled(program, architecture, dtype)
    if made is None:
        reject()
    assert_agreement(made, every_up_to=150, sample=48)
