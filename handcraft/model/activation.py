"""The functions between the two matrices of an MLP."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np

from handcraft.architecture import Activation
from handcraft.model.attention import Array


def relu(x: Array) -> Array:
    """max(0, x)."""
    return np.maximum(x, 0)


def gelu_tanh(x: Array) -> Array:
    """GELU by its tanh approximation, called gelu_new in GPT-2 (Hendrycks and Gimpel 2016).

    Equal to ReLU to the last bit where |x| is large: beyond 5.5 in float32, 7.2 in float64.
    """
    inner = x.dtype.type(sqrt(2 / pi)) * (x + x.dtype.type(0.044715) * x * x * x)
    half: Array = x.dtype.type(0.5) * x * (1 + np.tanh(inner))
    return half


def gelu_erf(x: Array) -> Array:
    """GELU exactly: x times the probability that a standard normal is below x."""
    half: Array = x.dtype.type(0.5) * x * (1 + _erf(x * x.dtype.type(sqrt(0.5))))
    return half


def _erf(x: Array) -> Array:
    """The error function, element by element: NumPy has none of its own."""
    values: Array = np.vectorize(erf, otypes=[np.float64])(x).astype(x.dtype)
    return values


ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "relu": relu,
    "gelu_tanh": gelu_tanh,
    "gelu_erf": gelu_erf,
}
