"""The two pieces of mathematics of optimize: nearest lines, and patterns on a circle."""

from __future__ import annotations

from fractions import Fraction
from math import isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.compiler.ordinal.circle import LEFT, find_circle
from handcraft.compiler.ordinal.codes import by_token
from handcraft.compiler.ordinal.read_sum import nearest_line
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.dtype import BFLOAT16, FLOAT32
from handcraft.language.graph.wording import reads
from handcraft.vocabulary import Vocabulary

WHOLE = st.integers(-20, 20)


@given(st.dictionaries(WHOLE, WHOLE, min_size=2, max_size=8))
def test_no_line_through_two_points_shifted_is_nearer(points):
    values, wanted = list(points), list(points.values())
    slope, constant, error = nearest_line(values, wanted)
    rests = [w - slope * v - constant for v, w in points.items()]
    assert max(map(abs, rests)) == error
    for x, v in points.items():
        for y, w in points.items():
            if x != y:
                other = Fraction(w - v, y - x)
                found = [number - other * value for value, number in points.items()]
                assert (max(found) - min(found)) / 2 >= error


def test_of_numbers_at_one_place_the_line_is_in_the_middle():
    assert nearest_line([0, 0, 1], [0, 2, 1])[2] == 1


NUMBER = by_token(Vocabulary("ab"), (0, 1), reads("number"))


def weigh(first: int, *sources: dict[int, int]) -> WeightedSum:
    """Sources with their weights, at the first position and those after it."""
    rows = [(first + i, tuple(sorted(found.items()))) for i, found in enumerate(sources)]
    return WeightedSum.of(NUMBER, rows, NUMBER)


def pattern(circle, head: int, here: int) -> np.ndarray:
    places = np.array(circle.places)
    scores = (np.array(circle.queries[head]) @ places[here]) @ places[: here + 1].T
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def test_sources_at_one_place_get_equal_weights():
    circle = find_circle([weigh(8, {0: 1, 4: 1}, {1: 1, 5: 1})], 10, FLOAT32)
    assert circle is not None
    assert isclose(pattern(circle, 0, 8)[0], 0.5, abs_tol=LEFT)
    assert isclose(pattern(circle, 0, 9)[5], 0.5, abs_tol=LEFT)


@pytest.mark.parametrize("ratio", [2, 10, 100])
def test_neighbours_get_weights_in_the_requested_ratio(ratio):
    sums = [weigh(9, {1: ratio, 0: 1, 6: ratio, 5: 1}, {2: ratio, 1: 1, 7: ratio, 6: 1})]
    circle = find_circle(sums, 11, FLOAT32)
    assert circle is not None
    found = pattern(circle, 0, 10)
    assert isclose(found[2] / found[1], ratio, rel_tol=0.02)
    assert isclose(found.sum(), found[[1, 2, 6, 7]].sum(), abs_tol=LEFT)


def test_several_heads_turn_differently():
    sums = [weigh(6, {1: 1}, {2: 1}), weigh(6, {3: 1}, {4: 1})]
    circle = find_circle(sums, 8, FLOAT32)
    assert circle is not None
    assert pattern(circle, 0, 7).argmax() == 2
    assert pattern(circle, 1, 7).argmax() == 4


@pytest.mark.parametrize(
    "node",
    [
        weigh(8, {0: 1, 2: 4, 5: 2}, {1: 1, 3: 4, 6: 2}),
        weigh(8, {0: 2, 3: 1}, {1: 1, 4: 2}),
        weigh(8, {0: 1}, {2: 1}),
    ],
    ids=["three levels", "the ratio changes", "the distance changes"],
)
def test_what_lies_otherwise_finds_no_circle(node):
    assert find_circle([node], 10, FLOAT32) is None


def test_a_dtype_that_rounds_too_much_finds_no_circle():
    sums = [weigh(30, {13: 10, 12: 1, 1: 10, 0: 1})]
    assert find_circle(sums, 31, FLOAT32) is not None
    assert find_circle(sums, 31, BFLOAT16) is None
