"""Values closer together than a model can be off stay floats; all others are exact again."""

from __future__ import annotations

from fractions import Fraction

import pytest
from short_texts import assert_compiled, every_text

from handcraft import Prompts, select, window
from handcraft.compiler.sequences import compile_sequences
from handcraft.compiler.sequences.compiled_sequences import PARTS_UP_TO, Output
from handcraft.compiler.sequences.held import Reading
from handcraft.language.sequences.domain import Finite, Kind, Range, finite

PROMPTS = Prompts("ab", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
MEAN_OF_MEANS = PROMPTS.everything.mean(select(TOKEN, TOKEN).mean(POSITION))
CLOSEST = Fraction(1, 300 * 299)
"""Fractions with denominators up to 300, as the mean of means is one, may lie that close together."""


def output(domain: Finite | Range, off: float) -> Output:
    return Output("x", domain, Reading(()), off)


def test_a_mean_of_means_stays_floats_behind_layernorm_and_none_is_wrong():
    made = compile_sequences({"x": MEAN_OF_MEANS}, architecture="gpt2")
    (told,) = made.outputs
    assert not told.is_told
    assert told.off >= CLOSEST / 2
    parts = told.domain.parts
    neighbours = set()
    for text in every_text(PROMPTS, 5):
        for found, meant in zip(made.apply([text])["x"][0], MEAN_OF_MEANS.trace(text), strict=True):
            assert type(found) is float
            assert abs(found - meant) < told.off
            if Fraction(found).limit_denominator(parts) != meant:
                neighbours.add(meant)
    assert Fraction(41, 30) in neighbours, "the nearest fraction would be wrong"


def test_the_same_is_exact_without_layernorm():
    made = assert_compiled({"x": MEAN_OF_MEANS}, "block", longest=5)
    assert 0 < made.outputs[0].off < CLOSEST / 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_same_stays_floats_in_half_precision(dtype):
    made = compile_sequences({"x": MEAN_OF_MEANS}, dtype=dtype)
    (found,) = made.apply(["aabab"])["x"]
    assert all(type(number) is float for number in found)
    assert found == pytest.approx([float(n) for n in MEAN_OF_MEANS.trace("aabab")], abs=1e-3)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_values_that_lie_apart_are_exact(architecture):
    outputs = {
        "share": window(3).mean(TOKEN == "a"),
        "count": select(TOKEN, TOKEN).count(),
        "is many": select(TOKEN, TOKEN).count() >= 2,
        "before": TOKEN.at(-1, default="b"),
    }
    made = assert_compiled(outputs, architecture, longest=5)
    assert all(each.is_told for each in made.outputs)


@pytest.mark.parametrize(
    "domain",
    [finite([0, Fraction(1, 3), Fraction(1, 2), 1]), Range(0, 1, parts=3), Range(0, 1, Fraction(1, 6))],
    ids=["a list", "fractions", "multiples"],
)
def test_numbers_are_told_where_they_are_further_apart_than_twice_what_they_may_be_off(domain):
    """Each of these domains has values 1/6 apart, and none closer."""
    third = 0.3333
    assert output(domain, 0).is_told
    assert output(domain, 0.0833).is_told
    assert output(domain, 0.0833).value(third) == Fraction(1, 3)
    assert not output(domain, 0.0834).is_told
    assert output(domain, 0.0834).value(third) == third


def test_categories_and_flags_are_told_however_far_they_are_off():
    for domain in (finite("abc"), finite([False, True])):
        assert domain.kind is not Kind.NUMBER
        assert output(domain, 10).value(0.8) == domain.values[1]


def test_large_denominators_stay_floats():
    assert output(Range(0, 1, parts=PARTS_UP_TO), 0).is_told
    assert not output(Range(0, 1, parts=PARTS_UP_TO + 1), 0).is_told


def test_one_number_alone_is_told():
    assert output(finite([7]), 0.1).value(7.05) == 7
