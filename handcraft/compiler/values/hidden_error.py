"""The error bound of the hidden units of a layer, neuron by neuron."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, floor, log2

import numpy as np

from handcraft.circuits import Ramp
from handcraft.compiler.values.finished import Finished, read_error
from handcraft.compiler.values.interval import ANY_GRID, Arithmetic, Bounded, Ints, Stored, linear
from handcraft.model.layers.attention import Array
from handcraft.weights.layers import STEEPNESS, Layer, Unit

GELU_ERROR = 0.4005
"""GELU and its tanh form differ from ReLU at x by less than this times exp(-x x / 2)."""


@dataclass(frozen=True)
class HiddenUnits:
    """The hidden units of a layer; the bounds of a neuron are stored at the first of its units.

    A unit is rounded when its constant is added. The two units of a step are rounded alike, as both add
    a constant to the same sum, unless a power of two is between them; and their outputs cancel,
    unless a power of two is between the sums with and without one of them. The thresholds of a step
    function are distinct, so one step is counted for each power of two: below the largest unit, the
    errors of all of them sum to at most 3 + 4 halves of its last place.

    Args:
        net: the largest sum of the units of a neuron.
        error: the error bound of that sum.
        peak: the largest activation of a unit.
        shared: the error bound of all steps of a step function together, besides `error`.
        step_function: a number for each of those step functions.
        grid: each unit is a multiple of two to this power, where it is exact.
    """

    net: Array
    error: Array
    peak: Array
    shared: Array
    step_function: Ints
    grid: Ints

    def shared_error(self, out: Stored) -> Array:
        """The error bound that the steps of step functions add to the output of a matrix: [out]."""
        entry = np.flatnonzero(self.shared[out.rows])
        rows, columns = out.rows[entry], out.columns[entry]
        pairs, place = np.unique(self.step_function[rows] * out.width + columns, return_inverse=True)
        largest = np.zeros(len(pairs))
        np.maximum.at(largest, place, np.abs(out.numbers[entry]) * self.shared[rows])
        columns = pairs % out.width
        return np.bincount(columns, weights=largest, minlength=out.width).astype(np.float64)


def bound_hidden_units(
    model: Finished, number: int, layer: Layer, x: Bounded, groups: Ints, arithmetic: Arithmetic
) -> HiddenUnits:
    """The bounds of the hidden units of a layer.

    Args:
        model: the model.
        number: of the layer.
        layer: its units.
        x: what they read, after LayerNorm.
        groups: a number for each dimension: of those with the same, at most one is not 0.
        arithmetic: in which the model runs.
    """
    width = model.plan.shape.n_inner[number]
    whole: Ints = np.zeros(width, dtype=np.int64)
    net, error, peak, shared = np.zeros((4, width))
    hidden = HiddenUnits(net, error, peak, shared, whole, whole + ANY_GRID)
    if not layer.units:
        return hidden
    reads, bias = model.matrices(f"h.{number}.mlp", "c_fc")
    sums = linear(reads, bias.none(), x, groups, arithmetic)
    constant, constant_error = bias.per_column(bias.numbers), bias.per_column(bias.error)
    constant_rounded = bias.per_column(bias.rounded)
    is_gelu, unit = model.plan.architecture.activation != "relu", arithmetic.unit
    hidden.peak[:] = np.maximum(sums.high + constant, 0) + sums.total_error
    grid = np.minimum(sums.grid, bias.coarsest(bias.grid))
    exact = sums.is_exact & (constant_error == 0) & (not is_gelu)
    exact &= arithmetic.is_exact(sums.largest + np.abs(constant), grid)
    hidden.grid[:] = np.where(exact, grid, -ANY_GRID)
    stored = reads.per_column(reads.error * x.largest[reads.rows])
    step_functions: dict[object, list[int]] = {}
    for places, units in _by_neuron(layer.units):
        neuron, first, gain = units[0].neuron, places[0], float(units[0].gain)
        is_ramp = isinstance(neuron, Ramp)
        gap = 1.0 if isinstance(neuron, Ramp) or neuron.gap is None else float(neuron.gap)
        hidden.net[first] = gain * (float(neuron.most) if isinstance(neuron, Ramp) else gap / 2)
        if exact[places].all():
            continue
        if len(places) == 1:
            hidden.error[first] = sums.total_error[first] + unit * hidden.peak[first]
            continue
        hidden.error[first] = abs(float(constant_rounded[places[0]] - constant_rounded[places[1]]))
        if is_gelu:  # deciding sums are within half a gap, so three quarters are left
            hidden.error[first] += 2 * GELU_ERROR * exp(-((3 / 16 * STEEPNESS / 2) ** 2) / 2)
        if is_ramp:
            alone = gain * read_error(neuron.reads, model.plan, x.total_error) + float(stored[first])
            hidden.error[first] += alone + unit * float(hidden.peak[places].sum())
        else:
            step_functions.setdefault((neuron.origins, gap), []).append(first)
    for k, firsts in enumerate(step_functions.values()):
        every = [*firsts, *(first + 1 for first in firsts)]
        hidden.step_function[every] = k
        hidden.shared[every] = 7 * unit * 2.0 ** floor(log2(max(hidden.peak[every].max(), 1)))
    return hidden


def _by_neuron(units: Sequence[Unit]) -> Iterable[tuple[list[int], list[Unit]]]:
    """The units of each neuron, and their places."""
    found: dict[int, tuple[list[int], list[Unit]]] = {}
    for place, unit in enumerate(units):
        places, same = found.setdefault(id(unit.neuron), ([], []))
        places.append(place)
        same.append(unit)
    return found.values()
