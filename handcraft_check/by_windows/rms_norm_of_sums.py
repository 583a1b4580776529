"""RMSNorm of sums of alternatives, in float32 and where steps are rounded to fewer digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft_check.arithmetic.kinds import is_power_of_two
from handcraft_check.arithmetic.leading import Leading
from handcraft_check.arithmetic.regime import FLOAT32, Array, Format
from handcraft_check.arithmetic.rounding import LARGEST, TINY, UNIT
from handcraft_check.arithmetic.stream import PRODUCT_SLACK
from handcraft_check.by_windows.sums import NormedSums, Sums
from handcraft_check.layers.half import lowest_bit
from handcraft_check.layers.matrix import Flags


def rms_norm_of_sums(x: Sums, gain: Array, epsilon: float, format: Format) -> NormedSums:
    """RMSNorm of sums of alternatives.

    The same lemmas as in `handcraft_check.layers.rms_norm.rms_norm`, for the largest and the least of
    all alternatives, and for few digits that of `kept_apart`. A row of which too little is known
    becomes NaN, and so does one that may be infinite.

    Args:
        x: sums.
        gain: [dimension].
        epsilon: is added to the mean square.
        format: of the numbers, and of what comes out.
    """
    stream, width = x.stream, x.known.shape[1]
    low, high = x.box
    squares = x.squares()
    slack = PRODUCT_SLACK * np.square(x.size).sum(axis=1) / width
    most, least = squares[1] / width + slack + epsilon, squares[0] / width - slack + epsilon
    middle, half = (low + high) / 2, (high - low) / 2
    deviations = stream.spread_of_each(middle) + (stream.error * half).sum(axis=1)
    of_errors = np.square(x.error).mean(axis=1)
    relative = (2 * deviations / width + of_errors) / least + (width + 6) * UNIT
    is_near = (least > 0) & (relative < 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        rounding = 1 / np.sqrt(1 - np.where(is_near, relative, np.nan)) - 1 + 4 * UNIT
        largest, smallest = 1 / np.sqrt(least), 1 / np.sqrt(most)
    factor = (largest + smallest) / 2
    apart = (largest - smallest) / 2 / factor
    leading, rest = None, np.zeros_like(middle)
    if format is FLOAT32:
        scale = (1 + apart) * (1 + rounding) - 1
        alone = 2 * ((np.abs(middle) + half) * stream.box).mean(axis=1) + of_errors
        alone = alone / least + (width + 6) * UNIT
        square = (most + least) / 2
        leading = Leading.of(stream, middle, half, square, (most - least) / 2 / square, alone)
        if leading is not None:  # 1 / sqrt of the mean square is `factor`, up to `apart`
            leading = replace(leading, scale=leading.scale * (1 + apart) + apart * (1 + scale))
        rest = 3 * UNIT * x.size * (factor * (1 + scale))[:, None] * np.abs(gain)
        rest += np.where(gain == 0, 0.0, 2 * TINY * (1 + np.abs(gain)))
    else:
        power = np.exp2(np.rint(np.log2(factor)))  # of two; NaN stays
        off = np.abs(factor / power - 1) * (1 + 2.0**-40) + (1 + apart) * (1 + rounding) - 1
        is_kept = kept_apart(x, off + 2 * UNIT, power, format)
        scale = np.where(is_kept, 0.0, (1 + apart) * (1 + rounding) - 1)
        factor = np.where(is_kept, power, factor)
        size, step = x.size * (factor * (1 + scale))[:, None], format.unit + 2 * UNIT
        inside = step * size + format.tiny
        inside = np.where(is_kept[:, None], 1.1 * x.error * factor[:, None], inside)
        rest, outside = inside * np.abs(gain), step * (size + inside) * np.abs(gain) + format.tiny
        is_sharp = is_power_of_two(gain) & (grid_of(x) * factor[:, None] * np.abs(gain) >= format.tiny)
        rest += np.where((is_sharp & is_kept[:, None]) | (gain == 0), 0.0, outside)
    linear = middle * factor[:, None] * gain
    half = half * factor[:, None] * np.abs(gain)
    upper = factor * (1 + scale)
    error = rest + x.error * np.abs(gain) * upper[:, None]
    reach = (np.abs(linear) + half) * (1 + scale[:, None]) + error
    is_finite = (width * np.square(x.size).max(axis=1) < LARGEST) & (
        reach.max(axis=1) < min(LARGEST, format.largest / 2)
    )
    none = np.zeros_like(scale)
    return NormedSums(
        linear + np.where(is_finite, 0.0, np.nan)[:, None],
        np.zeros(width),
        error,
        rest,
        gain,
        none,
        none,
        scale,
        np.where(is_finite, factor, np.nan),
        stream,
        leading,
        is_centred=False,
        sums=x,
        half=half,
        width=width,
    )


def grid_of(x: Sums) -> Array:
    """Powers of two of which all alternatives of a dimension are multiples: [row, dimension]."""
    grid = lowest_bit(x.known)
    for part in x.parts:
        grid = np.minimum(grid, part.lowest_bits)
    return np.asarray(np.ldexp(1.0, grid.clip(-900, 900)))


def are_numbers(x: Sums, format: Format) -> Flags:
    """Which alternatives are numbers of a format, without the error of the sum: [row, dimension].

    A multiple of a power of two q, of at most 2^p q, has at most p digits. Each partial sum of the
    parts is a multiple too, and none is larger than all absolute values together.
    """
    grid, total = grid_of(x), magnitude(x)
    is_short = (total <= 2.0**format.digits * grid) & (total <= format.largest)
    return np.asarray(is_short & ((grid >= format.tiny) | (total == 0)))


def magnitude(x: Sums) -> Array:
    """The absolute values of all parts together, without the error of the sum: [row, dimension]."""
    total = np.abs(x.known)
    for part in x.parts:
        total = total + np.maximum(np.abs(part.box[0]), np.abs(part.box[1]))
    return np.asarray(total)


def kept_apart(x: Sums, off: Array, power: Array, format: Format) -> Flags:
    """Which rows stay what they are when they are scaled by nearly a power of two, and rounded: [row].

    Let p be a number of the format with k digits, not 0, and |y - p| <= 2^-(k + 2) |p|. Half of the
    distance to the next number is at least 2^-(k + 1) |p|, so that y is rounded to p, if that is not
    too small. And what is near 0 is rounded to at most twice of itself, for 0 is nearer than that.

    Args:
        x: sums, of which alternatives are known up to an error.
        off: how far the scale may be from the power of two, relatively: [row].
        power: the power of two: [row].
        format: to which it is rounded.
    """
    grid = grid_of(x)
    is_near = off[:, None] + 2 * x.error / grid <= 2.0 ** -(format.digits + 2)
    is_near &= grid * power[:, None] >= format.tiny
    return np.asarray((is_near & are_numbers(x, format)).all(axis=1))
