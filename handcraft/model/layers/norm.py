"""LayerNorm, and RMSNorm, which subtracts no mean."""

from __future__ import annotations

import numpy as np

from handcraft.model.layers.attention import AfterStep, Array, as_it_is


def layer_norm(x: Array, gain: Array, bias: Array, epsilon: float) -> Array:
    """Centre and scale along the last axis, then apply gain and bias (Ba et al. 2016).

    Args:
        x: [..., width].
        gain: [width].
        bias: [width].
        epsilon: added to the variance, which is the biased one.
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    centred /= np.sqrt(variance + x.dtype.type(epsilon))
    normed: Array = centred * gain
    normed += bias
    return normed


def rms_norm(x: Array, gain: Array, epsilon: float, *, after_step: AfterStep = as_it_is) -> Array:
    """Scale along the last axis to a mean square of 1, then apply the gain (Zhang and Sennrich 2019).

    Args:
        x: [..., width].
        gain: [width].
        epsilon: added to the mean square.
        after_step: applied to what is scaled, and to what the gain makes of it.
    """
    mean_square = np.square(x).mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt(mean_square + x.dtype.type(epsilon))
    return after_step(gain * after_step(x * scale))
