"""The product of two matrices, as every part of a model computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from handcraft.model.attention import Array


def product(left: Array, right: Array) -> Array:
    """``left @ right``; an invalid operation shows as NaN in the result, and no warning says so.

    A BLAS computes on whole vector registers, and what stands in lanes that it throws away can raise
    the flag of an invalid operation (IEEE 754). NumPy then warns of finite products, in one run of
    many, as OpenBLAS has made it do (numpy/numpy#24067, OpenMathLib/OpenBLAS#1924). It is not memory of
    ours: `test_fresh_memory_is_written_before_it_is_read` fills all of it with NaN, and none is read.

    Leaving the flag out hides nothing. Sums of products of finite numbers are invalid only after one
    overflowed, and an overflow is still warned of; whatever else is invalid is NaN in the result, and
    answers are compared, where NaN equals nothing.
    """
    with np.errstate(invalid="ignore"):
        result: Array = left @ right
    return result
