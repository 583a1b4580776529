"""Random programs of expressions in a Llama: refused, or right after every text, at every level."""

from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from llama_agreement import DTYPES, compared
from sweeps import sweep

from handcraft import Program, Prompts, predict, select
from handcraft.testing import sequence_programs

PROGRAMS = sequence_programs(max_tokens=3, max_rules=3, depth=3, distributions=False)


@settings(max_examples=sweep(60))
@given(program=PROGRAMS, dtype=st.sampled_from(DTYPES))
def test_a_random_program_is_refused_or_right(program, dtype):
    right = compared(program, dtype)
    if right is None:  # Hypothesis fails where this is most of them
        reject()
    assert right


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", ["latest", "earliest"])
def test_the_begin_token_is_no_match(how, dtype):
    """Its stored values are constants, and each of them may be what a head looks for."""
    prompts = Prompts("ab", context=5)
    token = prompts.token
    for wanted in "ab":
        sources = select(token.at(-1, default=wanted), token)
        found = getattr(sources, how)(token, default="b")
        assert compared(Program(prompts=prompts, rules=[predict(found).otherwise()]), dtype)
