"""`assert_agreement` on prompts that a program has written in itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handcraft import Program, Prompts, compile_program, predict, where
from handcraft.errors import AssumptionError
from handcraft.testing import assert_agreement


def counting(digits, assumed=(-1, 0, 2), also=()):
    """One more than a number to base 3, the least significant digit first.

    A digit and what was written for it tell the carry: it goes on where a 2 has become a 0.
    """
    prompts = Prompts("012=", 2 * digits, inputs=f"[012]{{{digits}}}=", writes=digits)
    digit = prompts.token.map({"0": 0, "1": 1, "2": 2}, default=0)
    said = where(prompts.position > digits, digit, 0)
    carry = (digit.at(-digits - 1, default=2) - said).assume(assumed) >= 2
    total = (digit.at(-digits, default=0) + carry) % 3
    return Program(prompts=prompts, rules=[*also, predict(total.map(str)).otherwise()])


@pytest.mark.parametrize("digits", [3, 12])
@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_program_agrees_with_its_model_on_what_it_writes(digits, architecture):
    program = counting(digits)
    assert program.meaning(f"{'2' * digits}=") == "0"
    assert_agreement(compile_program(program, architecture=architecture), sample=300)


def test_an_optimized_model_agrees():
    assert_agreement(compile_program(counting(4), optimize=True), sample=300)


def test_an_answer_that_parts_is_named_with_what_is_written_before_it():
    program = counting(3)
    other = counting(3, also=[predict("2").after("220=0")])
    with pytest.raises(AssertionError) as caught:
        assert_agreement(replace(compile_program(other), source=program))
    assert "they disagree after '220=0':" in str(caught.value)
    assert "the rules mean      0" in str(caught.value)


def test_an_assumption_that_an_answer_breaks_is_reported():
    with pytest.raises(AssumptionError, match="-1 2 is assumed"):
        assert_agreement(counting(3, assumed=(-1, 2)))
