"""The two pieces of mathematics of optimize: nearest lines, and patterns on a circle."""

from __future__ import annotations

from fractions import Fraction
from math import isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.compiler.ordinal.circle import LEFT, find_circle
from handcraft.compiler.ordinal.form import Look
from handcraft.compiler.ordinal.read_form import nearest_line
from handcraft.dtype import BFLOAT16, FLOAT32

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


def look(*sources: dict[int, int]) -> Look:
    return Look(tuple(tuple(sorted(found.items())) for found in sources), (0, 1), ())


def pattern(circle, head: int, here: int) -> np.ndarray:
    places = np.array(circle.places)
    scores = (np.array(circle.queries[head]) @ places[here]) @ places[: here + 1].T
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def test_sources_at_one_place_share_evenly():
    looks = [look({0: 1, 4: 1}, {1: 1, 5: 1})]
    circle = find_circle(looks, (8, 9), 10, FLOAT32)
    assert circle is not None
    assert isclose(pattern(circle, 0, 8)[0], 0.5, abs_tol=LEFT)
    assert isclose(pattern(circle, 0, 9)[5], 0.5, abs_tol=LEFT)


@pytest.mark.parametrize("ratio", [2, 10, 100])
def test_neighbours_share_in_the_ratio_that_is_asked_for(ratio):
    looks = [look({1: ratio, 0: 1, 6: ratio, 5: 1}, {2: ratio, 1: 1, 7: ratio, 6: 1})]
    circle = find_circle(looks, (9, 10), 11, FLOAT32)
    assert circle is not None
    found = pattern(circle, 0, 10)
    assert isclose(found[2] / found[1], ratio, rel_tol=0.02)
    assert isclose(found.sum(), found[[1, 2, 6, 7]].sum(), abs_tol=LEFT)


def test_several_heads_turn_differently():
    looks = [look({1: 1}, {2: 1}), look({3: 1}, {4: 1})]
    circle = find_circle(looks, (6, 7), 8, FLOAT32)
    assert circle is not None
    assert pattern(circle, 0, 7).argmax() == 2
    assert pattern(circle, 1, 7).argmax() == 4


@pytest.mark.parametrize(
    "looks",
    [
        [look({0: 1, 2: 4, 5: 2}, {1: 1, 3: 4, 6: 2})],
        [look({0: 2, 3: 1}, {1: 1, 4: 2})],
        [look({0: 1}, {2: 1})],
    ],
    ids=["three levels", "the ratio changes", "the distance changes"],
)
def test_what_lies_otherwise_finds_no_circle(looks):
    assert find_circle(looks, (8, 9), 10, FLOAT32) is None


def test_a_dtype_that_rounds_too_much_finds_no_circle():
    looks = [look({12 + k: 10, 11 + k: 1, k: 10, max(k - 1, 0): 1}) for k in (1,)]
    assert find_circle(looks, (30,), 31, FLOAT32) is not None
    assert find_circle(looks, (30,), 31, BFLOAT16) is None
