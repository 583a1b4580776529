"""Exact arrays against Python's fractions, in float64 and as objects."""

from __future__ import annotations

from fractions import Fraction
from itertools import product as every
from math import ceil, floor
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.circuits import exact_array
from handcraft.circuits.exact_array import (
    ExactArray,
    add,
    combine,
    equal_weights,
    join,
    product,
    proportions,
)

SIZES = (5, 10**6, 10**12, 10**20)
"""Some sums of the last two are too large for float64."""

EXACT_UP_TO = st.sampled_from([1, 1000, 1 << 53])
"""Up to which numerators float64 is used: nowhere, for small ones, everywhere that it can be."""


@st.composite
def numbers(draw: st.DrawFn) -> int | Fraction:
    size = draw(st.sampled_from(SIZES))
    top = draw(st.integers(-size, size))
    return Fraction(top, draw(st.sampled_from([1, 1, 2, 3, 360360])))


def matrix(draw: st.DrawFn, rows: int, columns: int) -> list[list[Fraction]]:
    return [[Fraction(draw(numbers())) for _ in range(columns)] for _ in range(rows)]


def listed(found: ExactArray) -> list:
    """The numbers of an array, whose numerators are floats only up to the bound that it names."""
    if found.most is not None:
        assert found.tops.dtype == np.float64
        assert np.abs(found.tops).max(initial=0) <= found.most < exact_array.EXACT_UP_TO
    return found.plain.tolist()


@given(st.data(), EXACT_UP_TO)
def test_sums_of_columns_are_exact(data, held):
    rows, width = 3, data.draw(st.integers(1, 3))
    parts = []
    for _ in range(data.draw(st.integers(0, 2))):
        columns = data.draw(st.integers(1, 3))
        places = data.draw(
            st.lists(st.sampled_from([*every(range(columns), range(width))]), unique=True)
        )
        entries = [(i, j, data.draw(numbers())) for i, j in places]
        parts.append((matrix(data.draw, rows, columns), entries))
    constants = [(j, data.draw(numbers())) for j in range(data.draw(st.integers(0, width)))]
    dense = data.draw(st.sampled_from([0, exact_array.DENSE]))
    with patch.object(exact_array, "EXACT_UP_TO", held), patch.object(exact_array, "DENSE", dense):
        found = combine([(ExactArray.of(a), e) for a, e in parts], width, constants, rows=rows)
        assert listed(found) == [
            [
                sum(a[row][i] * n for a, e in parts for i, to, n in e if to == j)
                + sum(n for to, n in constants if to == j)
                for j in range(width)
            ]
            for row in range(rows)
        ]


@given(st.data(), EXACT_UP_TO)
def test_arrays_are_added_and_joined_exactly(data, held):
    given_ = [matrix(data.draw, 2, 2) for _ in range(data.draw(st.integers(1, 3)))]
    with patch.object(exact_array, "EXACT_UP_TO", held):
        arrays = [ExactArray.of(each) for each in given_]
        assert listed(add(arrays)) == sum(np.array(each, dtype=object) for each in given_).tolist()
        assert listed(join(arrays)) == [row for each in given_ for row in each]


@given(st.data(), EXACT_UP_TO)
def test_inner_products_are_exact(data, held):
    left, right = matrix(data.draw, 2, 3), [matrix(data.draw, 4, 3) for _ in range(2)]
    with patch.object(exact_array, "EXACT_UP_TO", held):
        found = product(ExactArray.of(left), ExactArray.of(right))
        assert listed(found) == [
            [sum(a * b for a, b in zip(vector, other, strict=True)) for other in others]
            for vector, others in zip(left, right, strict=True)
        ]


@given(st.data(), EXACT_UP_TO)
def test_thresholds_are_compared_exactly(data, held):
    thresholds = [data.draw(numbers()) for _ in range(data.draw(st.integers(1, 2)))]
    ways = [lambda t: t, floor, ceil, lambda t: t + 1, lambda t: t - Fraction(1, 10**9)]
    close = [[data.draw(st.sampled_from(ways))(t) for t in thresholds]]
    with patch.object(exact_array, "EXACT_UP_TO", held):
        array = ExactArray.of(close)
        for found, right in (
            (array.reaches(thresholds), lambda n, t: n >= t),
            (array.exceeds(thresholds), lambda n, t: n > t),
        ):
            expected = [[right(n, t) for n, t in zip(row, thresholds, strict=True)] for row in close]
            assert found.tolist() == expected


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4).filter(any), min_size=1), EXACT_UP_TO)
def test_the_highest_scores_get_equal_weights(wins, held):
    with patch.object(exact_array, "EXACT_UP_TO", held):
        found = listed(equal_weights(np.array(wins)))
    assert found == [[Fraction(int(won), sum(row)) for won in row] for row in wins]


@pytest.mark.parametrize("held", [1, 1 << 53])
def test_float64_is_used_where_it_is_exact(held):
    with patch.object(exact_array, "EXACT_UP_TO", held):
        assert (ExactArray.of([[1, Fraction(1, 2)]]).most is None) == (held == 1)
    assert ExactArray.of([[1 << 53]]).most is None


def test_weights_of_heads_are_floats_where_those_are_exact():
    assert equal_weights(np.array([[True, True, False]])).most is not None
    assert proportions(np.array([[1, 3]], dtype=object)).most is not None


@given(st.lists(st.lists(st.integers(1, 10**9), min_size=3, max_size=3), min_size=1), EXACT_UP_TO)
def test_each_row_is_divided_by_its_sum(weights, held):
    with patch.object(exact_array, "EXACT_UP_TO", held):
        found = listed(proportions(np.array(weights, dtype=object)))
    assert found == [[Fraction(weight, sum(row)) for weight in row] for row in weights]


def test_zeros_have_any_denominator():
    assert listed(ExactArray.of([[0, 0]]).over(10**400)) == [[0, 0]]


@given(st.data(), st.integers(1, 2000))
def test_products_are_floats_where_the_sum_is_known_to_be_small_enough(data, held):
    vectors = [[data.draw(st.integers(0, 9)) for _ in range(3)] for _ in range(2)]
    with patch.object(exact_array, "EXACT_UP_TO", held):
        left, right = ExactArray.of(vectors), ExactArray.of([[[1, 2, 3]], [[9, 0, 1]]])
        total = max(map(sum, vectors))
        found = product(left, right, total)
        assert listed(found) == [
            [sum(a * b for a, b in zip(one, other, strict=True))]
            for one, other in zip(vectors, ([1, 2, 3], [9, 0, 1]), strict=True)
        ]
        are_floats = left.most is not None and right.most is not None and 9 * total < held
        assert (found.most is not None) == are_floats
