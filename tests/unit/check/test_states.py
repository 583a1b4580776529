"""Equal rows are found, whatever their numbers are, and hulls contain what they are of."""

from __future__ import annotations

import numpy as np
from float32_steps import boxes
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.by_cases.states import combinations, distinct, hull

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(seeds, st.integers(0, 40), st.integers(1, 4))
def test_equal_rows_are_of_one_kind(rng, count, width):
    columns = [rng.integers(0, rng.choice([1, 3, 1 << 40]), size=count) for _ in range(width)]
    rows = [tuple(row) for row in np.column_stack(columns).tolist()]
    for first, kinds in (combinations(*columns), distinct(np.column_stack(columns))):
        assert len(first) == len(set(rows))
        assert [rows[first[kind]] for kind in kinds.tolist()] == rows
        assert [rows.index(rows[place]) for place in first.tolist()] == first.tolist()


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_a_hull_contains_all_rows_exactly(rng, count, width):
    rows = boxes(rng, count, width)
    found = hull(rows)
    for center, error in zip(rows.center, rows.error, strict=True):
        assert (np.longdouble(found.center) + found.error >= np.longdouble(center) + error).all()
        assert (np.longdouble(found.center) - found.error <= np.longdouble(center) - error).all()
    same = hull(rows[[0] * count])
    assert (same.center == rows.center[0]).all()
    assert (same.error == rows.error[0]).all()
