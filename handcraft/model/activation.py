"""The functions between the two matrices of an MLP."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import erf, pi, sqrt

import numpy as np
import numpy.typing as npt

from handcraft.architecture import Activation
from handcraft.model.attention import Array

ERF_ENDS = 6
"""Beyond this erf is 1 in float64."""

ERF_STEPS = 256
"""Table entries for each unit of x."""


def relu(x: Array) -> Array:
    """max(0, x)."""
    return np.maximum(x, 0)


STRAIGHT_FROM = 8
"""Where |x| is as large, GELU is ReLU to the last bit: beyond 5.5 in float32, 7.2 in float64."""


def gelu_tanh(x: Array) -> Array:
    """GELU by its tanh approximation, called gelu_new in GPT-2 (Hendrycks and Gimpel 2016).

    tanh is computed only where it is curved, so that compiled models, whose pre-activations are 0 or
    far from 0, run fast.
    """
    curved = (np.abs(x) < STRAIGHT_FROM) & (x != 0)
    if np.count_nonzero(curved) > x.size // 8:
        return _gelu_tanh(x)
    straight: Array = x * (x > 0)
    straight[curved] = _gelu_tanh(x[curved])
    return straight


def _gelu_tanh(x: Array) -> Array:
    inner = x.dtype.type(sqrt(2 / pi)) * (x + x.dtype.type(0.044715) * x * x * x)
    half: Array = x.dtype.type(0.5) * x * (1 + np.tanh(inner))
    return half


def gelu_erf(x: Array) -> Array:
    """GELU exactly: x times the probability that a standard normal is below x."""
    half: Array = x.dtype.type(0.5) * x * (1 + _erf(x * x.dtype.type(sqrt(0.5))))
    return half


def _erf(x: Array) -> Array:
    """The error function: its value at the nearest table entry, and a Taylor series from there.

    The rest of the series is below float64's rounding: in float64 the error is at most 1.2e-16.
    """
    near = np.clip(x, -ERF_ENDS, ERF_ENDS).astype(np.float64)
    place = np.rint(near * ERF_STEPS).astype(np.intp)
    rest = near - place / ERF_STEPS
    values, *derivatives = _erf_table()
    place += ERF_ENDS * ERF_STEPS
    total = derivatives[-1][place]
    for derivative in derivatives[-2::-1]:
        total = total * rest + derivative[place]
    result: Array = (values[place] + total * rest).astype(x.dtype)
    return result


@cache
def _erf_table() -> tuple[npt.NDArray[np.float64], ...]:
    """The error function at every step, and the coefficients 1 to 5 of its Taylor series there."""
    c = np.arange(-ERF_ENDS * ERF_STEPS, ERF_ENDS * ERF_STEPS + 1) / ERF_STEPS
    slope = 2 / sqrt(pi) * np.exp(-c * c)
    return (
        np.array([erf(centre) for centre in c]),
        slope,
        -c * slope,
        (2 * c**2 - 1) / 3 * slope,
        (3 * c - 2 * c**3) / 6 * slope,
        (4 * c**4 - 12 * c**2 + 3) / 30 * slope,
    )


ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "relu": relu,
    "gelu_tanh": gelu_tanh,
    "gelu_erf": gelu_erf,
}
