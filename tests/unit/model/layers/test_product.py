"""Products of matrices: what is not a number shows in the result, what overflows is warned of."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.model.layers.product import product


def test_an_invalid_operation_is_nan_in_the_result_and_no_warning():
    assert np.isnan(product(np.array([[np.inf, np.inf]]), np.array([[1.0], [-1.0]]))).all()


def test_an_overflow_is_warned_of():
    large = np.full((1, 1), 1e30, dtype=np.float32)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.isinf(product(large, large)).all()
