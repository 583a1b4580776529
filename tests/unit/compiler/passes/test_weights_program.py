"""Weights from a linear program: they order the levels, and are the same every time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from handcraft.compiler.passes.tables.weights_program import solve_weights


@st.composite
def ordered_tables(draw):
    """Every row over a few classes for each argument, and levels that some sum puts in order."""
    sizes = draw(st.lists(st.integers(2, 4), min_size=1, max_size=3))
    rows = np.indices(sizes).reshape(len(sizes), -1).T
    weights = [draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)) for n in sizes]
    sums = sum(np.array(w)[rows[:, i]] for i, w in enumerate(weights))
    cuts = draw(st.lists(st.integers(1, 15), min_size=1, max_size=4))
    _, levels = np.unique(np.searchsorted(sorted(cuts), sums, side="right"), return_inverse=True)
    return rows, levels


def in_order(rows, levels, weights):
    sums = sum(w[rows[:, i]] for i, w in enumerate(weights))
    edges = [(sums[levels == level].min(), sums[levels == level].max()) for level in np.unique(levels)]
    return all(below[1] < above[0] for below, above in pairwise(edges))


@given(ordered_tables())
def test_levels_that_a_sum_puts_in_order_are_put_in_order_by_the_weights_found(table):
    assert any(in_order(*table, weights) for weights in solve_weights(*table))


@given(ordered_tables())
def test_the_same_table_has_the_same_weights(table):
    first, second = ([w.tolist() for each in solve_weights(*table) for w in each] for _ in range(2))
    assert first == second


def test_a_table_that_no_sum_puts_in_order_has_no_weights():
    rows = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert list(solve_weights(rows, np.array([0, 1, 1, 0]))) == []
