"""Values closer together than twice their error bound are refused, or floats with a tolerance."""

from __future__ import annotations

from fractions import Fraction

import pytest
from short_texts import assert_compiled, every_text

from handcraft import Prompts, select, window
from handcraft.compiler import compile_sequences
from handcraft.compiler.values.output import Output
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Finite, Kind, Range, finite

PROMPTS = Prompts("ab", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
MEAN_OF_MEANS = PROMPTS.everything.mean(select(TOKEN, TOKEN).mean(POSITION))
CLOSEST = Fraction(1, 300 * 299)
"""Fractions with denominators up to 300, as the mean of means is one, may lie that close together."""


def output(domain: Finite | Range, error: float) -> Output:
    return Output("x", domain, (), error_bound=error)


def test_a_mean_of_means_is_refused_after_layernorm():
    with pytest.raises(PrecisionError, match="`x` has values that differ by") as caught:
        compile_sequences({"x": MEAN_OF_MEANS}, architecture="gpt2")
    assert "test_distinguishable_values.py" in caught.value.where


def test_with_a_tolerance_values_are_floats_within_the_error_bound():
    made = compile_sequences({"x": MEAN_OF_MEANS}, architecture="gpt2", tolerance=1e-3)
    (made_output,) = made.outputs
    assert not made_output.is_distinguishable
    assert CLOSEST / 2 <= made_output.error_bound <= 1e-3
    parts = made_output.domain.parts
    neighbours = set()
    for text in every_text(PROMPTS, 5):
        for found, meant in zip(made.apply([text])["x"][0], MEAN_OF_MEANS.trace(text), strict=True):
            assert type(found) is float
            assert abs(found - meant) < made_output.error_bound
            if Fraction(found).limit_denominator(parts) != meant:
                neighbours.add(meant)
    assert Fraction(41, 30) in neighbours, "the nearest fraction would be wrong"


def test_a_tolerance_below_the_error_bound_is_refused():
    with pytest.raises(PrecisionError):
        compile_sequences({"x": MEAN_OF_MEANS}, architecture="gpt2", tolerance=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_same_is_exact_without_layernorm(dtype):
    """Its whole numbers are stored exactly in half precision, which runs in float32."""
    made = assert_compiled({"x": MEAN_OF_MEANS}, "block", dtype, longest=5)
    assert 0 < made.outputs[0].error_bound < CLOSEST / 2


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_distinguishable_values_are_exact(architecture):
    outputs = {
        "share": window(3).mean(TOKEN == "a"),
        "count": select(TOKEN, TOKEN).count(),
        "is many": select(TOKEN, TOKEN).count() >= 2,
        "before": TOKEN.at(-1, default="b"),
    }
    made = assert_compiled(outputs, architecture, longest=5)
    assert all(each.is_distinguishable for each in made.outputs)


@pytest.mark.parametrize(
    "domain",
    [finite([0, Fraction(1, 3), Fraction(1, 2), 1]), Range(0, 1, parts=3), Range(0, 1, Fraction(1, 6))],
    ids=["a list", "fractions", "multiples"],
)
def test_numbers_are_distinguishable_if_their_gap_is_more_than_twice_the_error_bound(domain):
    """Each of these domains has values 1/6 apart, and none closer."""
    third = 0.3333
    assert output(domain, 0).is_distinguishable
    assert output(domain, 0.0833).is_distinguishable
    assert output(domain, 0.0833).value(third) == Fraction(1, 3)
    assert not output(domain, 0.0834).is_distinguishable
    assert output(domain, 0.0834).value(third) == third


def test_categories_and_flags_are_distinguishable_by_their_indices():
    for domain in (finite("abc"), finite([False, True])):
        assert domain.kind is not Kind.NUMBER
        assert output(domain, 0.4).value(0.8) == domain.values[1]
        with pytest.raises(PrecisionError):
            output(domain, 0.6).check("float32", tolerance=1)


def test_a_single_number_is_always_distinguishable():
    assert output(finite([7]), 0.1).value(7.05) == 7


def test_a_count_is_as_exact_over_many_tokens_as_over_few():
    """Scores add up a channel for each token, of which one is not 0."""

    def error_bound(size: int) -> float:
        prompts = Prompts([*map(str, range(size))], context=64)
        made = compile_sequences({"count": select(prompts.token, prompts.token).count()})
        return made.outputs[0].error_bound

    assert error_bound(120) < 1.01 * error_bound(12)
