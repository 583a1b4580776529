"""Legal prompts that are drawn at random."""

from __future__ import annotations

import pytest
from hypothesis import strategies

from handcraft import Program, Prompts, compile_program, predict, verify
from handcraft.errors import VocabularyError


def test_words_that_an_expression_spells_and_nobody_knows_are_no_prompts():
    prompts = Prompts([str(n) for n in range(60)], context=5, inputs=r"\d\d?( \d\d?)*")
    program = Program(prompts=prompts, rules=[predict("1").otherwise()])
    report = verify(compile_program(program).model, program)
    assert report.passed
    assert report.tried > 100


def test_a_strategy_that_makes_unknown_words_is_an_error():
    prompts = Prompts("ab", context=40, inputs=strategies.just(["c"]))
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    with pytest.raises(VocabularyError, match="'c' is not in the vocabulary"):
        verify(compile_program(program).model, program)
