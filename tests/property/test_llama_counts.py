"""Counts and means in a Llama: refused, or right after every text, at every level, in three dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_agreement import DTYPES, compared

from handcraft import Expression, Program, Prompts, compile_program, predict, save, select
from handcraft.compiler.passes.aggregates.unrolled import UNROLLED_UP_TO
from handcraft.errors import PrecisionError
from handcraft.formats import verify_folder
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
    prompts = Prompts("abc"[: draw(st.integers(2, 3))], context=draw(st.sampled_from([1, 2, 3, 5])))
    one, other = draw(numbers(prompts)), draw(numbers(prompts))
    flags = [one >= draw(st.integers(0, 3)), one - other > 0, other == draw(st.integers(0, 2))]
    first, second, _ = draw(st.permutations(flags))
    rules = [predict("a").when(first), predict("b").when(second)]
    return Program(prompts=prompts, rules=[*rules, predict("b").otherwise()])


@pytest.mark.parametrize("dtype", DTYPES)
@given(program=programs())
@settings(max_examples=10)
def test_a_program_that_counts_is_refused_or_right(dtype, program):
    assert compared(program, dtype) is not False


@st.composite
def clipped(draw) -> Program:
    """Reads so far back, or the first token, which a longer start of the text may mean too."""
    prompts = Prompts("abc", context=draw(st.integers(2, 6)))
    token, position = prompts.token, prompts.position
    back = draw(st.integers(1, prompts.context - 1))
    start = draw(st.integers(back, prompts.context))
    there = position.map(lambda here: here - back if here >= start else 0)
    number = token.map({"a": 2, "b": -1, "c": draw(st.integers(0, 1))})
    total = select(position, there).latest(number, default=0) + number
    value = draw(st.sampled_from([token, token.map({"a": "b", "b": "c", "c": "a"})]))
    found = select(position, there).latest(value, default="b")
    rules = [predict("c").when(total >= draw(st.integers(-1, 3))), predict(found).otherwise()]
    return Program(prompts=prompts, rules=rules[draw(st.integers(0, 1)) :])


@pytest.mark.parametrize("dtype", DTYPES)
@given(program=clipped())
@settings(max_examples=5)
def test_the_first_token_is_read_where_there_is_none_so_far_back(dtype, program):
    assert compared(program, dtype)


@pytest.mark.parametrize("start", [2, 4])
def test_a_number_so_far_back_or_the_first_is_chosen_bit_by_bit(start):
    prompts = Prompts("0123456789", context=6)
    digit = prompts.token.map({str(number): number for number in range(10)})
    there = prompts.position.map(lambda here: here - 2 if here >= start else 0)
    number = select(prompts.position, there).latest(digit)
    rules = [predict(((number + digit) % 10).map(str)).otherwise()]
    compiled = compile_program(Program(prompts=prompts, rules=rules), architecture="llama")
    units = [unit.name for layer in compiled.plan.layers for unit in layer.units]
    assert sum(name.startswith("number bit ") for name in units) <= 24
    assert not any(name.startswith("number, ") for name in units)  # of a table, up to 190
    assert compiled.verify(sample=2000).failed == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_matches_can_be_saved(dtype, tmp_path):
    prompts = Prompts("abc", context=8)
    seen = select(prompts.token, "a").exists()
    program = Program(prompts=prompts, rules=[predict("b").when(seen), predict("a").otherwise()])
    folder = save(compile_program(program, architecture="llama", dtype=dtype), tmp_path / "folder")
    assert verify_folder(folder).failed == 0


@pytest.mark.parametrize("counted", ["token", "itself", "mean"])
def test_long_contexts_are_counted_in_float32(counted):
    """Few parameters are enough, and every step up to the last is told apart."""
    context = 512
    prompts = Prompts("ab", context=context)
    token = prompts.token
    flag = {
        "token": select(token, "a").count() >= context // 2,
        "itself": select(token, token).count() >= context // 2,
        "mean": prompts.everything.mean(token.map({"a": 1, "b": -1})) > 0,
    }[counted]
    program = Program(prompts=prompts, rules=[predict("b").when(flag), predict("a").otherwise()])
    compiled = compile_program(program, architecture="llama")
    text = np.tile([0, 1], context // 2)
    texts = np.stack([text, 1 - text, np.sort(text), text * 0])
    found = compiled.model.forward(texts)[..., :2].argmax(-1)
    ones = texts.cumsum(axis=1)
    others = np.arange(1, context + 1) - ones
    expected = {
        "token": others >= context // 2,
        "itself": np.where(texts == 1, ones, others) >= context // 2,
        "mean": others > ones,
    }[counted]
    assert (found == expected).all()
    assert compiled.model.parameters < 4000


def test_half_precision_says_which_context_would_do():
    prompts = Prompts("ab", context=UNROLLED_UP_TO + 1)
    token = prompts.token
    rules = [predict("b").when(select(token, token).mean(token == "a") > 0.5), predict("a").otherwise()]
    with pytest.raises(PrecisionError, match=r"(?s)is a fraction.*compile with dtype='float32'"):
        compile_program(Program(prompts=prompts, rules=rules), architecture="llama", dtype="bfloat16")
