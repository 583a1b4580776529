"""SwiGLU: hidden units that are the product of a sum and of SiLU of another, known up to an error.

Sources: N. Shazeer, GLU Variants Improve Transformer (2020), section 2; S. Elfwing et al.,
Sigmoid-Weighted Linear Units (2018), equation 1; transformers, models/llama, LlamaMLP.
"""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.regime import IN_FLOAT32, Array, Regime
from handcraft_check.arithmetic.rounding import (
    EXP_ULPS,
    TINY,
    UNIT,
    Bounded,
    between,
    multiplied,
    product_range,
    rounded,
    rounding_of,
)
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.layers.half import half_product
from handcraft_check.layers.hidden_units import APART, Activation, groups_of_flags
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.straight_gates import (
    STRAIGHT_FROM,
    Read,
    own_of_products,
    passed,
    read_alone,
)

LEAST_AT = 1.2784645
"""SiLU falls up to the negative of this, and rises from there on."""

LEAST = -0.2784646
"""Just below the least value of SiLU."""

SILENT = 105.0
"""Below the negative SiLU is 0 in float32: exp(105) is infinite there, and exp(-105) is 0."""

SILU_UNITS = 2 * EXP_ULPS + 8
"""How many units SiLU in float32 is off, relatively: by exp, the sum, the quotient and a product."""


def silu(x: Array) -> Array:
    """X / (1 + exp(-x))."""
    with np.errstate(over="ignore"):
        return np.asarray(x / (1 + np.exp(-x)))


def silu_range(low: Array, high: Array) -> Bounded:
    """SiLU in float32 of numbers of which an interval is known.

    It falls up to -`LEAST_AT`, where it is above `LEAST`, and rises from there on. Computed as x / (1 +
    exp(-x)) or as x times 1 / (1 + exp(-x)), it is off by `SILU_UNITS` of itself, and by what
    underflows. Where exp(-x) may be infinite, which is below -88, it may also be 0. Below -`SILENT` it
    is 0 in any case.
    """
    ends = silu(np.array([low, high]))
    least = np.where((low < -1.278) & (high > -1.279), LEAST, ends.min(axis=0))
    most = ends.max(axis=0)
    slack = SILU_UNITS * UNIT
    least = least - slack * np.abs(least) - TINY
    most = most + slack * np.abs(most) + TINY
    most = np.where(low < -88, np.maximum(most, 0.0), most)
    is_silent = high <= -SILENT
    is_known = is_silent | ((low == 0) & (high == 0))
    return between(np.where(is_known, 0.0, least), np.where(is_known, 0.0, most))


SILU = Activation(silu_range, 17.0, -17.0)
"""SiLU of 17 is 17 in float32."""


def gated_mlp(x: Normed, gate: Matrix, up: Matrix, down: Matrix, regime: Regime = IN_FLOAT32) -> Stream:
    """The residual stream behind a gated MLP, before the addition is rounded.

    A unit whose gate surely is above `STRAIGHT_FROM` is the product of two sums, and the errors that it
    reads may cancel with those of other units (`passed`). Every other unit lies in the product of two
    intervals: that of SiLU and that of the other sum. The error of a unit on its own moves the stream
    along its row of `down`. If units cancel little of each other's errors, the whole error of each is
    counted in this way.

    Args:
        x: the stream, normalized.
        gate: reads x, for SiLU.
        up: reads x.
        down: writes to the stream.
        regime: of which only the factors of products are not in float32.
    """
    opening, other = Read.of(x, gate), Read.of(x, up)
    is_on = opening.sum.center - opening.sum.error >= STRAIGHT_FROM
    hidden = _hidden(opening.sum, other.sum)
    center = np.where(is_on, opening.sum.center * other.sum.center, hidden.center)
    own = np.where(is_on, own_of_products(opening, other), hidden.error)
    alone = np.where(is_on, read_alone(opening, other), 0.0)
    if regime.factors is not None:
        wide = own + alone
        own = own + rounding_of(center - wide, center + wide, regime)
    summing = down.product_error(np.abs(center) + own + alone)
    stream = x.stream
    error, box, radii, apart = stream.error.copy(), stream.box.copy(), stream.radii.copy(), own.copy()
    for rows, pattern in groups_of_flags(is_on):
        units = np.flatnonzero(pattern)
        parts = opening.rows(rows, pattern), other.rows(rows, pattern)
        found, more = passed(x.rows(rows), *parts, down.of_rows(units))
        place = np.ix_(rows, units)
        is_apart = (alone[place] @ down.magnitude[units]).sum(axis=1) <= APART * (
            found.error - stream.error[rows] + more @ down.magnitude[units]
        ).sum(axis=1)
        apart[place] += np.where(is_apart[:, None], alone[place], more)
        error[rows] = np.where(is_apart[:, None], stream.error[rows], found.error)
        box[rows] = np.where(is_apart[:, None], stream.box[rows], found.box)
        radii[rows] = np.where(is_apart[:, None], stream.radii[rows], found.radii)
    each, along = down.directions.split(apart)
    return Stream(
        stream.center + center @ down.weight,
        error + apart @ down.magnitude + summing,
        box + each + summing,
        np.concatenate([radii, along], axis=1),
        stream.along.and_of(down.directions),
    )


def gated_sums(x: Normed, gate: Matrix, up: Matrix, down: Matrix) -> Stream:
    """The same of numbers of which several alternatives are known: each unit errs on its own."""
    hidden = _hidden(x.read(gate)[0], x.read(up)[0])
    summing = down.product_error(np.abs(hidden.center) + hidden.error)
    alone, along = down.directions.split(hidden.error)
    stream = x.stream
    return Stream(
        stream.center + hidden.center @ down.weight,
        stream.error + hidden.error @ down.magnitude + summing,
        stream.box + alone + summing,
        np.concatenate([stream.radii, along], axis=1),
        stream.along.and_of(down.directions),
    )


def _hidden(opening: Bounded, other: Bounded) -> Bounded:
    """What units are, by both of their sums: SiLU of an interval times an interval."""
    opened = silu_range(opening.center - opening.error, opening.center + opening.error)
    return product_range(opened, other)


def half_gated_mlp(x: Bounded, gate: Matrix, up: Matrix, down: Matrix, regime: Regime) -> Bounded:
    """What a gated MLP adds to the residual stream, where each step is rounded.

    Args:
        x: what is normalized, as it is read: [row, dimension].
        gate: reads x, for SiLU.
        up: reads x.
        down: writes to the stream.
        regime: to which all is rounded.
    """
    opening, other = (half_product(x, each, regime.steps) for each in (gate, up))
    return _gated(opening, other, down, regime)


def half_gated_sums(x: Normed, gate: Matrix, up: Matrix, down: Matrix, regime: Regime) -> Bounded:
    """The same of numbers of which several alternatives are known: each sum is rounded once."""
    sums = [x.read(each)[0] for each in (gate, up)]
    opening, other = (
        rounded(each.center - each.error, each.center + each.error, regime.steps) for each in sums
    )
    return _gated(opening, other, down, regime)


def _gated(opening: Bounded, other: Bounded, down: Matrix, regime: Regime) -> Bounded:
    """What units write, by both of their sums."""
    opened = silu_range(opening.center - opening.error, opening.center + opening.error)
    is_known = opened.error == 0
    wide = rounded(opened.center - opened.error, opened.center + opened.error, regime.steps)
    opened = Bounded(
        np.where(is_known, opened.center, wide.center), np.where(is_known, 0.0, wide.error)
    )
    return half_product(multiplied(opened, other, regime.steps), down, regime.steps)
