"""RMSNorm on numbers that are known up to an error.

Sources: B. Zhang and R. Sennrich, Root Mean Square Layer Normalization (2019), section 4; transformers,
models/llama/modeling_llama.py, LlamaRMSNorm.
"""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.leading import Leading
from handcraft_check.arithmetic.regime import Array, Format
from handcraft_check.arithmetic.rounding import (
    LARGEST,
    TINY,
    UNIT,
    Bounded,
    multiplied,
    rounded,
)
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.layers.layer_norm import Normed


def rms_norm(x: Stream, gain: Array, epsilon: float) -> Normed:
    """RMSNorm in float32.

    The mean square changes by twice the sum of numbers times errors, in which errors that dimensions
    have in common cancel, and by the square of the errors. Its terms are not negative, so that a sum in
    any order errs by a relative (d + 2) u, its division by d and the addition of epsilon included. The
    reciprocal of its square root is off by four units, and there are two products behind it. Numbers of
    which too little is known become at most sqrt(d) all the same, for their squares have the mean 1.
    Where the sum of the squares may be infinite, or a result, what follows is NaN, also for those who
    read it with the weight 0.

    Args:
        x: [row, dimension].
        gain: [dimension].
        epsilon: is added to the mean square.
    """
    width = x.center.shape[1]
    square = np.square(x.center).mean(axis=1) + epsilon
    of_errors = np.square(x.error).mean(axis=1)
    relative = (2 * x.spread_of_each(x.center) / width + of_errors) / square + (width + 6) * UNIT
    is_near = relative < 0.5
    scale = 1 / np.sqrt(1 - np.where(is_near, relative, 0.0)) - 1 + 4 * UNIT
    alone = (2 * (np.abs(x.center) * x.box).mean(axis=1) + of_errors) / square + (width + 6) * UNIT
    none, zeros = np.zeros_like(square), np.zeros_like(x.center)
    leading = Leading.of(x, x.center, zeros, square, none, np.where(is_near, alone, np.inf))
    factor = 1 / np.sqrt(square)
    steepest = np.where(is_near, (1 + scale) * factor, 0.0)
    linear = x.center * factor[:, None] * gain
    size = np.abs(x.center) + x.error
    rest = 3 * UNIT * size * np.abs(gain) * steepest[:, None] + 2 * TINY * (1 + np.abs(gain))
    rest = np.where((gain == 0) | (size == 0), 0.0, rest)
    far = (np.sqrt(width) * (1 + (width + 12) * UNIT) * np.abs(gain))[None, :]
    own = rest + x.error * np.abs(gain) * steepest[:, None]
    found = np.abs(linear) * (1 + scale[:, None]) + own
    largest = np.where(is_near[:, None], found, far).max(axis=1)
    is_finite = (width * np.square(size).max(axis=1) < LARGEST) & (largest < LARGEST)
    linear = np.where(is_near[:, None], linear, 0.0) + np.where(is_finite, 0.0, np.nan)[:, None]
    return Normed(
        linear,
        np.zeros(width),
        np.where(is_near[:, None], own, far),
        np.where(is_near[:, None], rest, far),
        gain,
        none,
        none,
        np.where(is_near, scale, 0.0),
        np.where(is_near, factor, 0.0),
        x,
        leading,
        is_centred=False,
    )


def half_rms_norm(x: Stream, gain: Bounded, epsilon: float, format: Format) -> Normed:
    """RMSNorm where steps are rounded: in float32 inside, rounded, and times the gain, rounded again.

    The numbers of the result have nothing in common, as those of `Normed.in_use`.
    """
    inside = rms_norm(x, np.ones(x.center.shape[1]), epsilon)
    own = inside.error + inside.scale[:, None] * np.abs(inside.linear)
    step = rounded(inside.linear - own, inside.linear + own, format)
    found, none = multiplied(step, gain, format), np.zeros(len(x.center))
    bias, ones = np.zeros_like(gain.center), np.ones_like(gain.center)
    return Normed(
        found.center,
        bias,
        found.error,
        found.error,
        ones,
        none,
        none,
        none,
        none,
        x,
        is_centred=False,
    )
