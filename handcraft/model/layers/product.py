"""The product of two matrices, as every part of a model computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from handcraft.model.layers.attention import Array


def product(left: Array, right: Array) -> Array:
    """``left @ right``; an invalid operation gives NaN in the result, without a warning.

    A BLAS computes on whole vector registers, and the contents of lanes that it discards can raise
    the flag of an invalid operation (IEEE 754). NumPy then occasionally warns although the product is
    finite, as has happened with OpenBLAS (numpy/numpy#24067, OpenMathLib/OpenBLAS#1924). Our memory is
    not the cause: `test_fresh_memory_is_written_before_it_is_read` fills all of it with NaN, and none
    is read.

    Ignoring the flag hides nothing. Sums of products of finite numbers are invalid only after an
    overflow, which still gives a warning; any other invalid operation gives NaN in the result, and NaN
    never equals a right answer.
    """
    with np.errstate(invalid="ignore"):
        result: Array = left @ right
    return result
