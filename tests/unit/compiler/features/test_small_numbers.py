"""Numbers that LayerNorm sees as a small part of everything, and counts in long texts by them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.circuits import scalar, small
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.precision import Precision
from handcraft.errors import PrecisionError
from handcraft.weights.layout import SMALL, Layout

LONG = 1024
EIGHT = "abcdefgh"


def counting(bound: int, *, vocabulary: str = EIGHT, context: int = LONG) -> Program:
    """Predict b where there are at least so many a, otherwise a."""
    prompts = Prompts(vocabulary, context=context)
    often = select(prompts.token, "a").count() >= bound
    rules = [predict("b").when(often), predict("a").otherwise()]
    return Program(prompts=prompts, rules=rules)


def with_a_at(places, context: int) -> np.ndarray:
    """A text of b with some a."""
    text = np.ones(context, dtype=np.int64)
    text[list(places)] = 0
    return text


def assert_counts(program: Program, bound: int, *places) -> None:
    """The GPT-2 has no ballast, and is right at every position of texts with a at some places."""
    compiled = compile_program(program)
    assert not compiled.plan.layout.has_ballast
    texts = np.array([with_a_at(each, program.context) for each in places])
    found = compiled.model.forward(texts)[..., :2].argmax(axis=-1)
    assert (found == ((texts == 0).cumsum(axis=1) >= bound)).all()


@pytest.mark.parametrize("bound", [3, 700])
def test_a_count_in_a_long_text_is_compared_with_any_bound(bound):
    fewer = range(LONG - bound + 1, LONG)
    assert_counts(counting(bound), bound, range(LONG), fewer, [0, *fewer])


def test_few_tokens_are_stored_in_bits_where_nothing_else_is_precise_enough():
    program = counting(150, vocabulary="ab", context=300)
    assert_counts(program, 150, range(0, 300, 2), range(0, 298, 2))


@settings(max_examples=sweep(8))
@given(
    st.sampled_from([64, 200]).flatmap(
        lambda context: st.tuples(
            st.just(context),
            st.integers(1, context),
            st.sets(st.integers(0, context - 1)) | st.integers(0, context).map(range),
        )
    )
)
def test_a_count_of_any_text_is_right_against_any_bound(case):
    context, bound, places = case
    assert_counts(counting(bound, context=context), bound, places)


def test_the_exact_count_of_a_long_text_is_a_word():
    words = [f"w{n}" for n in range(65)]
    prompts = Prompts(words, context=64)
    count = select(prompts.token, "w0").count()
    program = Program(prompts=prompts, rules=[predict(count.map(lambda n: words[n])).otherwise()])
    compiled = compile_program(program)
    assert not compiled.plan.layout.has_ballast
    texts = np.array([with_a_at(range(0, 64, step), 64) for step in (1, 2, 63)])
    found = compiled.model.forward(texts)[..., : len(words)].argmax(axis=-1)
    assert (found == (texts == 0).cumsum(axis=1)).all()


def test_a_dtype_that_is_too_coarse_for_a_count_says_which_would_do():
    with pytest.raises(PrecisionError) as caught:
        compile_program(counting(3, context=100), dtype="bfloat16")
    assert "float32" in caught.value.fix


@given(st.fractions(max_denominator=1000))
def test_a_small_number_and_its_opposite_are_read_as_the_number(number):
    here, there = small("x"), scalar("y")
    for mirrored in (False, True):
        layout = Layout((here, there), 1, 8, False, is_mirrored=mirrored)
        for subspace in (here, there):
            stored = dict(layout.write(subspace, 0, number))
            cells, constant = layout.read(subspace, 0, 3)
            assert sum(factor * stored[i] for i, factor in cells) + constant == 3 * number
            assert not mirrored or sum(stored.values()) == 0
        size = SMALL if mirrored else 1
        assert dict(layout.write(here, 0, 1))[layout.start[here]] == size


def test_what_small_numbers_add_and_subtract_near_a_threshold_is_twice_the_smaller():
    prompts = Prompts("ab", context=8)
    seen, first = (prompts.everything.mean(prompts.position == n).node for n in (1, 0))
    features = Features(normed=True, in_bits=True, small=True)
    reading = features.number(seen) + features.number(first) * Fraction(-1000)
    assert (reading.weight, reading.small) == (0, (1, 1000))
    narrow = Precision("float32", normed=True, level=True)
    narrow.check_noise(seen, reading, 0, Fraction(1, 1 << 14), 0)
    with pytest.raises(PrecisionError):
        narrow.check_noise(seen, reading, 1000, Fraction(1, 1 << 14), 0)
    with pytest.raises(PrecisionError):
        narrow.check_noise(seen, reading, 0, Fraction(1, 1 << 17), 0)
