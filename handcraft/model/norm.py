"""LayerNorm."""

from __future__ import annotations

import numpy as np

from handcraft.model.attention import Array


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
