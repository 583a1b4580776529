"""The functions between the two matrices of an MLP."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np

from handcraft.architecture import Activation
from handcraft.model.layers.attention import Array


def relu(x: Array) -> Array:
    """max(0, x)."""
    return np.maximum(x, 0)


STRAIGHT_FROM = 8
"""For |x| from here on, GELU is ReLU to the last bit: beyond 5.5 in float32, 7.2 in float64."""


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
    """The error function of each number: NumPy has none."""
    return np.asarray(np.frompyfunc(erf, 1, 1)(x), dtype=x.dtype)


def silu(x: Array) -> Array:
    """Each number times its sigmoid (Elfwing et al. 2017); -0 far below 0."""
    with np.errstate(over="ignore"):
        found: Array = x / (1 + np.exp(-x))
    return found


ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "relu": relu,
    "gelu_tanh": gelu_tanh,
    "gelu_erf": gelu_erf,
    "silu": silu,
}
