"""Counts and means in a Llama: refused, or right after every text, at every level, in three dtypes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_agreement import DTYPES, compared

from handcraft import Expression, Program, Prompts, predict, select
from handcraft.language import Selection

pytestmark = pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")


@st.composite
def selections(draw, prompts: Prompts) -> Selection:
    """What is counted: by tokens, by values that a head moved, and by positions."""
    token, position = prompts.token, prompts.position
    before = token.at(-1, default="a")
    conditions = [
        select(token, draw(st.sampled_from("ab"))),
        select(token, token),
        select(before, token),
        select(token != "a", before == "a"),
        select(before, draw(st.sampled_from("ab"))),
        select(position, position, "<"),
        select(position % 2, position % 2),
        select(position, position - draw(st.integers(0, 3)), ">="),
        select(position, draw(st.integers(0, 3))),
    ]
    chosen = draw(st.lists(st.sampled_from(conditions), min_size=1, max_size=2))
    found = chosen[0]
    for other in chosen[1:]:
        found = found & other
    return found


@st.composite
def numbers(draw, prompts: Prompts) -> Expression:
    """A count, or a multiple of a mean."""
    selected = draw(selections(prompts))
    if draw(st.booleans()):
        return selected.count()
    value = prompts.token.map({"a": 1, "b": draw(st.sampled_from([-1, 2]))}, default=0)
    return (draw(st.sampled_from([prompts.everything, selected]))).mean(value, default=0)


@st.composite
def programs(draw) -> Program:
    prompts = Prompts("abc"[: draw(st.integers(2, 3))], context=draw(st.sampled_from([1, 2, 3, 5, 6])))
    one, other = draw(numbers(prompts)), draw(numbers(prompts))
    flags = [one >= draw(st.integers(0, 3)), one - other > 0, other == draw(st.integers(0, 2))]
    first, second, _ = draw(st.permutations(flags))
    rules = [predict("a").when(first), predict("b").when(second)]
    return Program(prompts=prompts, rules=[*rules, predict("b").otherwise()])


@pytest.mark.parametrize("dtype", DTYPES)
@given(program=programs())
@settings(max_examples=20)
def test_a_program_that_counts_is_refused_or_right(dtype, program):
    assert compared(program, dtype) is not False
