"""Bound the error of every number in the residual stream of a finished model, without running it.

The bound follows the residual stream from block to block. Errors come from rounding the stored
weights, from rounding sums (whatever the order of their terms), from LayerNorm where the mean is not 0
or the sum of squares is not static, and from attention averages whose scores should be equal but differ
slightly. Sums of multiples of one power of two are exact as long as they fit into a float, so most
models of whole numbers have no error at all.

Three things are assumed. Attention selects the right sources and neurons decide correctly: `Precision`
checked that where scores and thresholds were made. A bias is added last, and numbers are summed in the
order of NumPy. The two units of a step, which are neighbours, are added one after the other, so no
partial sum over hidden units exceeds one unit plus the output of all neurons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, floor, log2

import numpy as np

from handcraft.circuits import Coefficients, Encoding, Ramp
from handcraft.circuits.number import evaluate
from handcraft.compiler.values.interval import (
    ANY_GRID,
    Arithmetic,
    Bounded,
    Flags,
    Ints,
    Stored,
    bound_products,
    is_power_of_two,
    linear,
    tie_error,
)
from handcraft.compiler.values.stream_hull import Hull, Spans, StreamHull, block_of_each_layer
from handcraft.dtype import dtype_named
from handcraft.model.attention import Array
from handcraft.weights import Placement, Plan
from handcraft.weights.layers import STEEPNESS, Layer, Unit
from handcraft.weights.norms import BALLAST, NormInput

GELU_ERROR = 0.4005
"""GELU and its tanh form differ from ReLU at x by less than this times exp(-x x / 2)."""

SAFE = 1.01
"""For products of two errors, which the bounds omit: an error is at most a 100th of its number."""


def roundings(count: int) -> int:
    """How many rounded partial sums contain only one of two neighbours that cancel, in NumPy's order.

    Fewer than 8 numbers are added in order: adding the second neighbour is exact. More are added as 8
    partial sums, which are added in pairs; each neighbour is then in up to 3 sums that are rounded.
    More than 128 are halved first, and the halves are added.
    """
    if count < 8:
        return 1
    return 6 + 2 * max(0, ceil(log2(count / 128)))


@dataclass(frozen=True)
class Finished:
    """A finished model of values, with the plan and the exact weights it was made from.

    Args:
        plan: its layout and its layers.
        placement: its exact weights.
        tensors: the stored weights.
        spans: the range of each dimension of its subspaces.
        dtype: of the tensors.
    """

    plan: Plan
    placement: Placement
    tensors: Mapping[str, Array]
    spans: Spans
    dtype: str

    def stored(self, name: str) -> Stored:
        """A tensor as it is stored."""
        values = self.plan.circuits.values
        return Stored.of(self.placement.tensors[name], self.tensors[name], values)


def bound_errors(model: Finished) -> Array:
    """The error bound of each dimension of the residual stream after the last block: [n_embd].

    Args:
        model: of values, with subspaces that are scalars or one-hot.
    """
    stream = _Stream(model)
    for number, (layer, block, is_last) in enumerate(block_of_each_layer(model.plan)):
        if layer.heads or layer.attention_bias:
            stream.add_attention(number, layer, stream.hulls.at(2 * block + 1))
        if layer.has_mlp:
            hulls = stream.hulls
            stream.add_mlp(number, layer, hulls.at(2 * block + 2) if is_last else hulls.between(block))
    return SAFE * (stream.error + stream.relative * stream.largest)


def read_error(parts: Iterable[Coefficients], plan: Plan, error: Array) -> float:
    """The error bound of a sum over the residual stream.

    Args:
        parts: the sum.
        plan: locates its terms.
        error: the error bound of each dimension: [n_embd].
    """
    total = 0.0
    for part in parts:
        for i, number in part.entries:
            for dimension, factor in plan.layout.read(part.subspace, i, number)[0]:
                total += abs(float(evaluate(factor, {}))) * float(error[dimension])
    return total


class _Stream:
    """The range and the error bound of each dimension of the residual stream, state by state."""

    def __init__(self, model: Finished) -> None:
        self.model, self.plan = model, model.plan
        self.arithmetic = Arithmetic(dtype_named(model.dtype).running.significand)
        self.hulls = StreamHull(model.plan, model.spans)
        self.low, self.high = self.hulls.at(0)
        self.groups = _groups(model.plan)
        n_embd = len(self.low)
        self.error, self.relative, self.grid = (
            np.zeros(n_embd),
            np.zeros(n_embd),
            np.full(n_embd, ANY_GRID),
        )
        tokens, positions = map(model.stored, ("wte.weight", "wpe.weight"))
        rows = np.bincount(positions.columns, minlength=n_embd)
        self.is_mark: Flags = (rows == 1) & (np.bincount(tokens.columns, minlength=n_embd) == 0)
        self.embedded_groups = _embedded_groups(tokens, rows == 0, self.groups)
        error, grid = np.zeros(n_embd), np.minimum(*(t.coarsest(t.grid) for t in (tokens, positions)))
        for table in (tokens, positions):
            most = np.zeros(n_embd)
            np.maximum.at(most, table.columns, table.error)
            error += most
        exact = (error == 0) & self.arithmetic.is_exact(self.largest, grid)
        both = np.isin(np.arange(n_embd), tokens.columns) & (rows > 0) & ~exact
        rounded = np.where(both, self.arithmetic.unit * (self.largest + error), 0.0)
        self.error = error + rounded
        sums = (np.bincount(table.rows, weights=table.numbers) for table in (tokens, positions))
        self.unbalanced = float(sum(np.abs(each).max(initial=0) for each in sums) + rounded.sum())
        self.grid = np.where(exact, grid, -ANY_GRID)

    @property
    def largest(self) -> Array:
        """No exact number of a dimension is larger, whatever its sign."""
        found: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return found

    def add(self, written: Bounded, touched: Flags, hull: Hull) -> None:
        """Add numbers to the touched dimensions; `hull` is the range of the stream afterwards.

        A number added to 0 is not rounded.
        """
        fresh = touched & (self.largest == 0) & (self.error == 0)
        relative = np.where(touched, 0.0, self.relative)
        error = self.error + np.where(touched, self.relative * self.largest + written.total_error, 0.0)
        grid = np.minimum(self.grid, np.where(touched, written.grid, ANY_GRID))
        self.low, self.high = hull
        exact = (error == 0) & (relative == 0) & self.arithmetic.is_exact(self.largest, grid)
        rounded = np.where(
            touched & ~exact & ~fresh, self.arithmetic.unit * (self.largest + error), 0.0
        )
        self.unbalanced += float(rounded.sum())
        error += rounded
        self.error, self.relative = (
            np.where(fresh, written.error, error),
            np.where(fresh, written.relative, relative),
        )
        self.grid = np.where((self.error == 0) & (self.relative == 0), grid, -ANY_GRID)
        self.is_mark = self.is_mark & ~touched

    def read(self, number: int, which: int) -> Bounded:
        """The input of attention (0) or the MLP (1) of a layer: the stream, or its LayerNorm."""
        if not self.plan.has_norm:
            return Bounded(self.low, self.high, self.error, self.relative, self.grid)
        norm, unit = self.plan.norms[2 * number + which], self.arithmetic.unit
        total_error = self.error + self.relative * self.largest
        n_embd, largest = len(total_error), self.largest + total_error
        mean = min(self.unbalanced, float(total_error.sum())) / n_embd + self._noise(total_error)
        # The gain undoes the static sum of squares; what varies changes the scale by half its share.
        varying = _is_varying(norm, self.plan)
        squares = float((largest[varying] ** 2).sum()) + n_embd * mean**2
        squares += float((2 * largest * total_error)[~varying].sum())
        gain = self.model.stored(f"{norm.name}.weight")
        part = squares / (2 * float(norm.sum_of_squares)) + unit * (n_embd + 10)
        part += float((gain.error / np.abs(gain.numbers)).max(initial=0))
        error = np.where(self.largest > 0, self.error, 0.0) + mean
        return Bounded(self.low, self.high, error * (1 + part), self.relative, self.grid, part)

    def _noise(self, error: Array) -> float:
        """The error of the mean due to rounding; the mean is 0 in exact arithmetic.

        No partial sum exceeds the sum of the positive or of the negative numbers, and if all numbers
        are on one grid, none is rounded. Otherwise only few partial sums are rounded while they contain
        just one of the two ballast dimensions.
        """
        half = max(float(np.maximum(self.high, 0).sum()), float(np.maximum(-self.low, 0).sum()))
        half += float(error.sum())
        grid = self.grid.min(keepdims=True)
        if not error.any() and self.arithmetic.is_exact(np.array([half]), grid)[0]:
            return 0.0
        n_embd = len(error)
        small = half - BALLAST if self.plan.layout.has_ballast else half
        return self.arithmetic.unit * (small + roundings(n_embd) * half / n_embd)

    def add_attention(self, number: int, layer: Layer, hull: Hull) -> None:
        """Add the output of the heads of a layer; `hull` is the range of the stream afterwards."""
        name = f"h.{number}.attn"
        weight, bias, out, added = map(self.model.stored, _names(name, "c_attn", "c_proj"))
        x = self.read(number, 0)
        qkv = linear(weight, bias, x, self.groups, self.arithmetic)
        always = bias.per_column(bias.numbers)
        is_mark = weight.per_column((~self.is_mark)[weight.rows].astype(np.float64)) == 0
        is_mark &= (weight.terms(self.groups) == 1) & (always == 0)
        carried = self._carried(number, layer, (weight, x), qkv, always, is_mark[2 * len(self.error) :])
        written = linear(out, added, carried, np.arange(len(self.error)), self.arithmetic)
        touched = np.isin(np.arange(len(self.error)), [*out.columns, *added.columns])
        size = out.per_column(np.abs(out.numbers) * carried.largest[out.rows])
        terms = out.terms(np.arange(len(self.error))) + 1
        self.unbalanced += float((self.arithmetic.unit * terms * size)[~written.is_exact].sum())
        self._unbalance(out, added, carried.largest + carried.total_error)
        self.add(written, touched, hull)

    def _unbalance(self, out: Stored, added: Stored, most: Array) -> None:
        """Count in `unbalanced` what numbers up to `most` and a bias add to the sum of the stream."""
        rows = np.bincount(out.rows, weights=out.numbers, minlength=len(most))
        self.unbalanced += float((np.abs(rows) * most).sum()) + abs(float(added.numbers.sum()))

    def _carried(
        self,
        number: int,
        layer: Layer,
        factors: tuple[Stored, Bounded],
        qkv: Bounded,
        always: Array,
        is_mark: Flags,
    ) -> Bounded:
        """The attention output of the heads before W_O, a value or a mean of values: [n_embd].

        Args:
            number: of the layer.
            layer: with its heads.
            factors: the weight and the input whose product is `qkv`.
            qkv: queries, keys and values: [3 n_embd].
            always: the bias, a constant part of every query: [3 n_embd].
            is_mark: whether a value is nonzero at one source at most: [n_embd].
        """
        n_embd, width = len(self.error), self.plan.layout.head_dim
        scale = self.plan.architecture.score_scale(width, number)
        context, unit = self.plan.circuits.context, self.arithmetic.unit
        value = qkv.slice(2 * n_embd, 3 * n_embd)
        error, relative, grid = value.error.copy(), value.relative + value.part, value.grid.copy()
        for place, head in enumerate(layer.heads):
            first = place * width
            here, ends = slice(first, first + width), (first, first + width)
            query, key = (qkv.slice(*(end + i * n_embd for end in ends)) for i in (0, 1))
            if not head.attends.picks_one:  # weights that should be equal, rounded, and added up
                weight, x = factors[0].slice(*ends), factors[1]
                groups = self.groups if number else self.embedded_groups
                most = bound_products(weight, always[here], x, key, groups)
                apart = tie_error(query, key, always[here], most, scale, self.arithmetic)
                if not head.attends.is_hard:  # weights that are added up are rounded, too
                    apart += unit * (context + 2)
                spread, largest, mark = (
                    (value.high - value.low)[here],
                    value.largest[here],
                    is_mark[here],
                )
                mean = (
                    relative[here] * largest
                    + spread * min(1.0, apart / 4)
                    + unit * (context + 2) * largest
                )
                error[here] += np.where(mark, 0.0, mean)
                relative[here] = np.where(mark, relative[here] + apart + 3 * unit, 0.0)
        grid = np.where((error == 0) & (relative == 0), grid, -ANY_GRID)
        return Bounded(value.low, value.high, error, relative, grid)

    def add_mlp(self, number: int, layer: Layer, hull: Hull) -> None:
        """Add the output of the hidden units; `hull` is the range of the stream afterwards."""
        out, added = map(self.model.stored, _names(f"h.{number}.mlp", "c_proj"))
        hidden = self._hidden(number, layer)
        sizes, rows, unit = np.abs(out.numbers), out.rows, self.arithmetic.unit
        constant = added.per_column(np.abs(added.numbers))
        net = out.per_column(sizes * hidden.net[rows]) + constant
        peak = out.per_column(sizes * hidden.peak[rows]) + constant
        error = out.per_column(sizes * hidden.error[rows] + out.error * hidden.net[rows])
        shared = hidden.shared_error(out)
        error += added.per_column(added.error) + shared
        grid = np.minimum(out.coarsest(out.grid + hidden.grid[rows]), added.coarsest(added.grid))
        exact = (error == 0) & self.arithmetic.is_exact(peak, grid)
        # the units of steps cancel, and their rounding was counted; all others are rounded when added
        is_step = (hidden.shared[rows] > 0) & is_power_of_two(out.numbers)
        alone = np.where(is_step | (hidden.peak[rows] == 0), 0.0, 1.0)
        terms = out.per_column(alone) + 2
        rounded = out.per_column(alone * sizes * hidden.peak[rows]) + constant + terms * net
        rounded = np.where(exact, 0.0, unit * rounded)
        error += rounded
        self.unbalanced += float(rounded.sum() + shared.sum())
        self._unbalance(out, added, hidden.net + hidden.error)
        written = Bounded(-net, net, error, 0 * error, np.where(error == 0, grid, -ANY_GRID))
        self.add(written, net > 0, hull)

    def _hidden(self, number: int, layer: Layer) -> _Hidden:
        """The bounds of the hidden units of a layer."""
        width = self.plan.shape.n_inner[number]
        whole: Ints = np.zeros(width, dtype=np.int64)
        net, error, peak, shared = np.zeros((4, width))
        hidden = _Hidden(net, error, peak, shared, whole, whole + ANY_GRID)
        if not layer.units:
            return hidden
        reads, bias = map(self.model.stored, _names(f"h.{number}.mlp", "c_fc"))
        x = self.read(number, 1)
        sums = linear(reads, bias.none(), x, self.groups, self.arithmetic)
        constant, constant_error = bias.per_column(bias.numbers), bias.per_column(bias.error)
        constant_rounded = bias.per_column(bias.rounded)
        is_gelu, unit = self.plan.architecture.activation != "relu", self.arithmetic.unit
        hidden.peak[:] = np.maximum(sums.high + constant, 0) + sums.total_error
        grid = np.minimum(sums.grid, bias.coarsest(bias.grid))
        exact = sums.is_exact & (constant_error == 0) & (not is_gelu)
        exact &= self.arithmetic.is_exact(sums.largest + np.abs(constant), grid)
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
                alone = gain * read_error(neuron.reads, self.plan, x.total_error) + float(stored[first])
                hidden.error[first] += alone + unit * float(hidden.peak[places].sum())
            else:
                step_functions.setdefault((neuron.origins, gap), []).append(first)
        for k, firsts in enumerate(step_functions.values()):
            every = [*firsts, *(first + 1 for first in firsts)]
            hidden.step_function[every] = k
            hidden.shared[every] = 7 * unit * 2.0 ** floor(log2(max(hidden.peak[every].max(), 1)))
        return hidden


@dataclass(frozen=True)
class _Hidden:
    """The hidden units of a layer; the bounds of a neuron are stored at the first of its units.

    A unit is rounded when its constant is added. The two units of a step are rounded alike, as both add
    a constant to the same sum, unless a power of two lies between them; and their outputs cancel,
    unless a power of two lies between the sums with and without one of them. The thresholds of a step
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


def _by_neuron(units: Sequence[Unit]) -> Iterable[tuple[list[int], list[Unit]]]:
    """The units of each neuron, and their places."""
    found: dict[int, tuple[list[int], list[Unit]]] = {}
    for place, unit in enumerate(units):
        places, same = found.setdefault(id(unit.neuron), ([], []))
        places.append(place)
        same.append(unit)
    return found.values()


def _names(name: str, *matrices: str) -> Iterable[str]:
    """The names of some matrices and of their biases."""
    return (f"{name}.{matrix}.{part}" for matrix in matrices for part in ("weight", "bias"))


def _groups(plan: Plan) -> Ints:
    """A group number per dimension: at most one dimension of a group (a one-hot subspace) is not 0."""
    layout = plan.layout
    groups = np.arange(layout.n_embd)
    for subspace in plan.circuits.stream:
        if subspace.encoding is Encoding.ONE_HOT:
            first = layout.start[subspace]
            groups[first : first + subspace.width] = first
            if layout.is_mirrored:
                groups[first + subspace.width : first + 2 * subspace.width] = first + subspace.width
    return groups


def _embedded_groups(tokens: Stored, is_free: Flags, groups: Ints) -> Ints:
    """The groups before anything is written: dimensions that mark one token each also form one.

    Args:
        tokens: the embedding of the tokens.
        is_free: whether the embedding of the positions leaves a dimension out.
        groups: as `_groups` gives them.
    """
    marks = is_free & (np.bincount(tokens.columns, minlength=len(groups)) == 1)
    entry = np.flatnonzero(marks[tokens.columns])
    _, first = np.unique(tokens.rows[entry], return_index=True)
    columns = tokens.columns[entry[first]]
    found = groups.copy()
    found[columns] = columns.min(initial=len(groups) - 1)
    return found


def _is_varying(norm: NormInput, plan: Plan) -> Flags:
    """The dimensions whose squares are not in the static sum of squares of a norm."""
    layout = plan.layout
    found = np.zeros(layout.n_embd, dtype=bool)
    for subspace in norm.varying:
        for i in range(subspace.width):
            found[[layout.start[subspace] + i, layout.opposite(subspace, i) or 0]] = True
    return found
