"""Numbers of bfloat16 and float16, as torch rounds them, and bounds around them."""

from __future__ import annotations

import numpy as np
import pytest
from float32_steps import F, boxes, point
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded

torch = pytest.importorskip("torch")

halves = st.sampled_from(["bfloat16", "float16"])


def half(name, x):
    """Numbers in float32 that are rounded to a format, by torch."""
    return torch.from_numpy(np.array(x, dtype=F)).to(getattr(torch, name)).float().numpy()


def half_boxes(rng, name, count, width, **options):
    box = boxes(rng, count, width, **options)
    if rng.random() < 0.5:
        box = Bounded(np.rint(box.center * 4) / 4, box.error)
    return Bounded(half(name, box.center).astype(np.float64), box.error)


def half_point(rng, name, box):
    """Numbers of a format in some intervals around numbers of the format."""
    found = half(name, point(rng, box))
    return np.where(np.abs(found - box.center) <= box.error, found, box.center.astype(F))


def exactly(x):
    return Bounded(x, np.zeros_like(x))


def to_half(name, *arrays):
    dtype = getattr(torch, name)
    return [torch.from_numpy(np.array(each, dtype=F)).to(dtype) for each in arrays]


def numbers(tensor):
    return tensor.float().numpy().astype(np.float64)


def assert_holds(found, box):
    """Every number is inside its bound, where there is one."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(found, dtype=np.float64) - box.center)
    assert (np.isnan(box.error) | (apart <= box.error)).all(), np.nanmax(apart - box.error)
