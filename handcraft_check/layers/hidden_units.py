"""The MLP of a block on numbers that are known up to an error."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from handcraft_check.arithmetic.kinds import key, tanh
from handcraft_check.arithmetic.regime import IN_FLOAT32, Array, Regime
from handcraft_check.arithmetic.rounding import (
    STRAIGHT,
    TINY,
    UNIT,
    Bounded,
    rounding_of,
)
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Stream
from handcraft_check.by_cases.states import distinct
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Flags, Ids, Matrix

APART = 4.0
"""Units whose errors cancel less than so many times are taken to err on their own."""

LEAST = -0.1700408
"""Just below the least value of GELU."""


def gelu(x: Array) -> Array:
    """GELU by its tanh approximation, gelu_new (Hendrycks and Gimpel 2016)."""
    return np.asarray(0.5 * x * (1 + tanh(np.sqrt(2 / np.pi) * x * (1 + 0.044715 * x * x))))


def gelu_range(low: Array, high: Array) -> Bounded:
    """GELU of numbers of which an interval is known, without rounding.

    It falls up to -0.7518, where it is above `LEAST`, and rises from there on, by at most 1.13.
    """
    ends = gelu(np.array([low, high]))
    least = np.where((low < -0.75) & (high > -0.76), LEAST, ends.min(axis=0))
    most = ends.max(axis=0)
    center = (least + most) / 2
    return Bounded(center, (most - least) / 2)


def relu_range(low: Array, high: Array) -> Bounded:
    """The same of ReLU, the larger of a number and 0."""
    least, most = np.maximum(low, 0.0), np.maximum(high, 0.0)
    return Bounded((least + most) / 2, (most - least) / 2)


@dataclass(frozen=True)
class Activation:
    """What hidden units make of their sums.

    Args:
        range: of sums of which an interval is known.
        straight: from here on a unit is the identity, and below the negative it is 0.
        nearly_off: a unit that reads less is nearly 0.
    """

    range: Callable[[Array, Array], Bounded]
    straight: float
    nearly_off: float


GELU = Activation(gelu_range, STRAIGHT, -5.0)
RELU = Activation(relu_range, 0.0, 0.0)

ACTIVATIONS = {"gelu_new": GELU, "relu": RELU}


def mlp(
    x: Normed,
    up: Matrix,
    down: Matrix,
    regime: Regime = IN_FLOAT32,
    activation: Activation = GELU,
    known: tuple[Bounded, Array] | None = None,
) -> Stream:
    """The residual stream behind an MLP, before the addition is rounded.

    Units whose sums surely lie where their function is straight are the identity or 0. The errors that
    they read reach the stream through one matrix, the product of both, so that two units with opposite
    weights cancel them, and one that clears a dimension of the stream clears its error. Other units are
    somewhere in the range that their function has on the interval of their sum. What a unit adds of its
    own, by its rounding or its curve, is one error along its row of `down`; and so is all that it errs
    by, where units cancel little of each other's errors.

    Args:
        x: the stream, normalized.
        up: reads x.
        down: writes to the stream.
        regime: of which only the factors of products are not in float32.
        activation: of the units.
        known: what they read, where that was computed already.
    """
    pre, rounding = x.read(up) if known is None else known
    is_off = pre.center + pre.error <= -activation.straight
    is_on = ~is_off & (pre.center - pre.error >= activation.straight)
    largest = np.abs(pre.center) + pre.error
    hidden, curved = np.where(is_on, pre.center, 0.0), 16 * UNIT * largest + 4 * TINY
    bent = np.nonzero(~is_on & ~is_off)
    between = activation.range((pre.center - pre.error)[bent], (pre.center + pre.error)[bent])
    hidden[bent], curved[bent] = between.center, curved[bent] + between.error
    own = np.where(is_on, rounding, np.where(is_off, 0.0, curved))
    most = np.where(is_on, largest, np.where(is_off, 0.0, np.abs(hidden) + curved))
    if regime.factors is not None:
        wide = np.where(is_on, pre.error, own)
        own = own + rounding_of(hidden - wide, hidden + wide, regime)
        most = np.abs(hidden) + wide + own
    out = hidden @ down.weight + down.bias
    total = np.abs(out) + np.where(is_on, pre.error, own) @ down.magnitude
    summing = down.product_error(most, total)
    stream = x.stream
    error, box, radii, apart = stream.error.copy(), stream.box.copy(), stream.radii.copy(), own.copy()
    for rows, pattern in groups_of_flags(without_pairs(is_on, up, down)):
        some = x.rows(rows)
        passed = some.passed(up.weight[:, pattern] @ down.weight[pattern])
        uncertain = (some.magnitude - np.abs(some.center)) @ up.magnitude[:, pattern]
        slack = PRODUCT_SLACK * (uncertain @ down.magnitude[pattern])
        error[rows] = passed.error + slack
        read = (pre.error - rounding)[np.ix_(rows, pattern)]
        whole = (read @ down.magnitude[pattern]).sum(axis=1)
        is_apart = whole <= APART * (error[rows] - stream.error[rows]).sum(axis=1)
        apart[np.ix_(rows[is_apart], pattern)] += read[is_apart]
        box[rows[~is_apart]] = (passed.box + slack)[~is_apart]
        radii[rows[~is_apart]] = passed.radii[~is_apart]
    alone, along = down.directions.split(apart)
    return Stream(
        stream.center + out,
        error + own @ down.magnitude + summing,
        box + alone + summing,
        np.concatenate([radii, along], axis=1),
        stream.along.and_of(down.directions),
    )


def without_pairs(is_on: Flags, up: Matrix, down: Matrix) -> Flags:
    """The straight units without pairs that pass on nothing together: [row, unit].

    Two units that read the same, up to a bias, and write the opposite add 0 to the product of both
    matrices. Both units of a step are straight or neither is, in most rows: few patterns are left.
    """
    found = is_on.copy()
    for one, other in opposite_pairs(up, down):
        both = found[:, one] & found[:, other]
        found[both, one] = found[both, other] = False
    return found


@lru_cache(maxsize=64)
def opposite_pairs(up: Matrix, down: Matrix) -> tuple[tuple[int, int], ...]:
    """Units that read the same and write the opposite, each in one pair, of which biases are near."""
    waiting: dict[tuple[Hashable, Hashable], list[int]] = {}
    found = []
    for unit in np.argsort(-up.bias, kind="stable").tolist():
        reads, writes = key(up.weight[:, unit] + 0.0), down.weight[unit]
        others = waiting.get((reads, key(0.0 - writes)))
        if others:
            found.append((others.pop(), unit))
        else:
            waiting.setdefault((reads, key(writes + 0.0)), []).append(unit)
    return tuple(found)


def groups_of_flags(flags: Flags) -> Iterator[tuple[Ids, Flags]]:
    """The rows that have the same flags, and those flags; not where no flag is set."""
    first, which = distinct(*_packed(flags))
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(first) + 1))
    for place, start, stop in zip(first, ends[:-1], ends[1:], strict=True):
        if flags[place].any():
            yield order[start:stop], flags[place]


def _packed(flags: Flags) -> list[Ids]:
    """Whole numbers that have the flags as digits, 62 each: [row, flag] -> [row] each."""
    parts = [flags[:, start : start + 62] for start in range(0, flags.shape[1], 62)]
    return [part @ (1 << np.arange(part.shape[1])) for part in parts]
