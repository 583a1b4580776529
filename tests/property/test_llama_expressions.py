"""Random programs of expressions in a Llama: refused, or right after every text, at every level."""

from __future__ import annotations

import pytest
from llama_agreement import DTYPES, compared
from sweeps import sweep

from handcraft import Program, Prompts, predict, select
from handcraft.random_programs import Seeded, make_expression_program

CONTEXTS = (1, 2, 3, 4, 6)


def drawn(number: int) -> Program:
    """A random program over two or three tokens, the same for every run."""
    choosing = Seeded(f"llama {number}")
    context = CONTEXTS[choosing.whole(0, len(CONTEXTS) - 1)]
    prompts = Prompts("abc"[: choosing.whole(2, 3)], context=context)
    return make_expression_program(choosing, prompts, max_rules=3, depth=3, distributions=False)


@pytest.mark.parametrize("number", range(sweep(60)))
def test_a_random_program_is_refused_or_right(number):
    assert compared(drawn(number), DTYPES[number % len(DTYPES)]) is not False


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


def test_programs_that_are_right_are_not_rare():
    results = [compared(drawn(number), "float32") for number in range(sweep(20))]
    assert results.count(True) >= len(results) // 3
