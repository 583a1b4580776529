"""Arrays written as a safetensors file are read back by the safetensors package."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load

from handcraft.formats.tensors.safetensors_file import safetensors_bytes


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_arrays_are_read_back(dtype):
    arrays = {
        "matrix": np.arange(6, dtype=dtype).reshape(2, 3).T,  # not contiguous
        "empty": np.zeros((0, 4), dtype=dtype),
        "ä name": np.ones(1, dtype=dtype),
    }
    found = load(safetensors_bytes(arrays, {"format": "test"}))
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_the_same_arrays_give_the_same_bytes():
    arrays = {"a": np.arange(3, dtype=np.int64), "b": np.ones(2, dtype=np.float32)}
    first = safetensors_bytes(arrays, {"x": "1", "y": "2"})
    assert first == safetensors_bytes(arrays, {"y": "2", "x": "1"})
