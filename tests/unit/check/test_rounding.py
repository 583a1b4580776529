"""No sum in float32 leaves its bounds, and equal rows are merged exactly."""

from __future__ import annotations

from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from float32_steps import F, assert_inside, boxes, moments, point, product
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import (
    UNIT,
    Bounded,
    added,
    gamma,
    mean_error,
    product_error,
    rounded,
)
from handcraft_check.by_cases import states
from handcraft_check.by_cases.states import coarsened, distinct

torch = pytest.importorskip("torch")

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
widths = st.integers(1, 40)


@given(seeds, widths)
def test_a_sum_of_products_in_any_order(rng, width):
    x = boxes(rng, 3, width).center
    weight, bias = boxes(rng, width, 2).center, boxes(rng, 1, 2).center[0]
    magnitude = np.abs(x) @ np.abs(weight) + np.abs(bias)
    error = product_error(magnitude, (weight != 0).sum(axis=0) + (bias != 0))
    assert_inside(product(rng, x, weight, bias), Bounded(x @ weight + bias, error))


@given(seeds, widths)
def test_a_sum_of_products_of_which_the_total_is_known(rng, width):
    x = boxes(rng, 3, width).center
    weight, bias = boxes(rng, width, 2).center, boxes(rng, 1, 2).center[0]
    if rng.random() < 0.5:
        weight = np.where(weight == 0, 0, 2.0 ** rng.integers(-9, 9, size=weight.shape))
    magnitude = np.abs(x) @ np.abs(weight) + np.abs(bias)
    terms = (x != 0).astype(float) @ (weight != 0) + (bias != 0)
    is_exact = ((np.frexp(weight)[0] == 0.5) | (weight == 0)).all(axis=0)
    error = product_error(magnitude, terms, np.abs(x @ weight + bias), is_exact)
    assert (error <= product_error(magnitude, terms)).all()
    assert_inside(product(rng, x, weight, bias), Bounded(x @ weight + bias, error))
    weight, bias = (torch.from_numpy(each.astype(F)) for each in (weight, bias))
    found = torch.addmm(bias, torch.from_numpy(x.astype(F)), weight).numpy()
    assert_inside(found, Bounded(x @ weight.double().numpy() + bias.double().numpy(), error))


def test_what_is_exact_and_alone_has_no_error_but_underflow():
    error = product_error(np.array([8.0]), np.array([1.0]), None, np.array([True]))
    assert (error <= 2.0**-124).all()


@given(seeds, widths)
def test_a_mean_in_any_order_or_kept_running(rng, width):
    x = boxes(rng, 3, width).center
    if rng.random() < 0.5:  # zeros behind a large number, which a running mean rounds each time
        x[:, 1:] *= rng.random(width - 1) < 0.2
    positive, negative = np.maximum(x, 0).sum(axis=1), np.maximum(-x, 0).sum(axis=1)
    error = mean_error(positive, negative, width)
    mean, _ = moments(rng, x.astype(F))
    exact = x.mean(axis=1)
    assert_inside(mean, Bounded(exact, error + 2 * UNIT * np.abs(exact)))


def test_a_sum_that_may_be_infinite_has_no_bound():
    assert np.isfinite(product_error(np.array(3e38), np.array(4)))
    assert np.isnan(product_error(np.array(3.5e38), np.array(4)))


@given(st.integers(1, 5000))
def test_gamma_is_above_any_product_of_rounding_errors(count):
    unit = Fraction(1, 2**24)
    assert Fraction(float(gamma(count))) >= (1 + unit) ** count - 1


@given(seeds, widths)
def test_the_nearest_float32_of_an_interval(rng, width):
    low, high = np.sort(boxes(rng, 2, width).center * 1.1, axis=0)
    found = rounded(low, high)
    for share in (0.0, 1.0, *rng.random(3)):
        assert_inside((low + (high - low) * share).clip(low, high).astype(F), found)


@given(seeds, widths)
def test_one_addition(rng, width):
    one, other = boxes(rng, 3, width), boxes(rng, 3, width)
    assert_inside(point(rng, one) + point(rng, other), added(one, other))


def test_one_addition_of_what_is_known_is_known():
    one, other = (Bounded(np.array([x, y]), np.zeros(2)) for x, y in ((1024, 1), (2.0**-13, 2.0**-30)))
    found = added(one, other)
    assert found.error[0] == 0
    assert found.center[0] == 1024 + 2.0**-13
    assert abs(found.center[1] - 1) <= found.error[1]


@given(seeds, widths, st.sampled_from([8, 16, 128]))
def test_coarser_bounds_contain_the_finer_ones(rng, width, parts):
    fine = boxes(rng, 3, width)
    coarse = coarsened(fine, parts)
    assert (coarse.center - coarse.error <= fine.center - fine.error).all()
    assert (coarse.center + coarse.error >= fine.center + fine.error).all()
    is_exact = fine.error == 0
    assert (coarse.center[is_exact] == fine.center[is_exact]).all()
    assert not coarse.error[is_exact].any()
    assert (coarse.error <= (1 + 10 / parts) * np.maximum(fine.error, states.FINEST)).all()


def _distinct_one_by_one(*columns):
    known, kinds, first = {}, [], []
    for i in range(len(columns[0])):
        kinds.append(known.setdefault(b"".join(c[i].tobytes() for c in columns), len(known)))
        if kinds[-1] == len(first):
            first.append(i)
    return first, kinds


@pytest.mark.parametrize("collide", [False, True])
@given(seeds, st.integers(1, 30), st.integers(0, 4))
def test_equal_rows_are_found_exactly(collide, rng, count, width):
    ids = rng.integers(0, 2, size=(count, width))
    numbers = rng.choice([0.0, -0.0, 1.0, 1 + 2.0**-52], size=(count, 1, 2))
    with patch.object(states.np.random, "default_rng", Same if collide else np.random.default_rng):
        first, kinds = distinct(ids, numbers)
    expected, same = _distinct_one_by_one(ids, numbers)
    assert sorted(first.tolist()) == expected
    assert [first[kind] for kind in kinds] == [expected[kind] for kind in same]


class Same:
    """Random factors that are all 0, or 1 once they are odd: many rows have one hash."""

    def __init__(self, seed):
        pass

    def integers(self, low, high, size, dtype):
        return np.zeros(size, dtype=dtype)


@given(seeds, widths)
def test_numbers_of_a_store_are_those_of_its_rows(rng, width):
    store, rows = states.Store(), boxes(rng, 5, width)
    again = Bounded(np.repeat(rows.center, 2, axis=0), np.repeat(rows.error, 2, axis=0))
    numbers = store.numbers(again)
    assert (store.rows.center[numbers] == again.center).all()
    assert (store.rows.error[numbers] == again.error).all()
    assert len(store) == len(np.unique(np.hstack([rows.center, rows.error]).view(np.uint64), axis=0))
