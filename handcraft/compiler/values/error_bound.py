"""How far what a finished model holds may be from what its circuits mean, bounded without running it.

The residual stream is followed from block to block: what storing its numbers rounded, what each sum
rounds in whatever order its terms are added, what LayerNorm makes of a mean that is not 0 and of a sum
of squares that is not static, and what scores that should be equal make of a mean over their sources.
Sums of multiples of one power of two are exact as long as a float holds them, so most models of whole
numbers are off by nothing at all.

Three things are assumed. Attention finds its sources, and neurons decide right: `Precision` checked
that where scores and thresholds were made. A bias is added last, and numbers are summed in the order of
NumPy. And the two units of a step, which lie side by side, are added one after the other, so that no
partial sum over hidden units is larger than one unit and what all neurons write.
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
    tie_off,
)
from handcraft.compiler.values.stream_hull import Hull, Spans, StreamHull, block_of_each_layer
from handcraft.dtype import dtype_named
from handcraft.model.attention import Array
from handcraft.weights import Placement, Plan
from handcraft.weights.layers import STEEPNESS, Layer, Unit
from handcraft.weights.norms import BALLAST, NormInput

BENT = 0.4005
"""GELU and its tanh form differ from ReLU at x by less than this times exp(-x x / 2)."""

SAFE = 1.01
"""For products of two errors, which are left out: errors are a 100th of what they are errors of."""


def roundings(count: int) -> int:
    """How often NumPy rounds a sum that holds one of two neighbours which cancel, and not the other.

    Fewer than 8 numbers are added in order: adding the second neighbour is exact. More are added as 8
    partial sums, which are added in pairs; each neighbour is then in up to 3 sums that are rounded.
    More than 128 are halved first, and the halves are added.
    """
    if count < 8:
        return 1
    return 6 + 2 * max(0, ceil(log2(count / 128)))


@dataclass(frozen=True)
class Finished:
    """A model of values, and all that is known of how it was made.

    Args:
        plan: its layout and its layers.
        placement: its exact weights.
        tensors: what is stored of them.
        spans: what the dimensions of its subspaces hold.
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
    """By how much each dimension of the residual stream may be off after the last block: [n_embd].

    Args:
        model: of values, with subspaces that are scalars or one-hot.
    """
    stream = _Stream(model)
    for number, (layer, block, is_last) in enumerate(block_of_each_layer(model.plan)):
        if layer.heads or layer.attention_bias:
            stream.attend(number, layer, stream.hulls.at(2 * block + 1))
        if layer.has_mlp:
            hulls = stream.hulls
            stream.think(number, layer, hulls.at(2 * block + 2) if is_last else hulls.between(block))
    return SAFE * (stream.off + stream.own * stream.largest)


def read_off(parts: Iterable[Coefficients], plan: Plan, off: Array) -> float:
    """By how much a sum over the residual stream may be off.

    Args:
        parts: the sum.
        plan: says where its terms lie.
        off: by how much each dimension may be off: [n_embd].
    """
    total = 0.0
    for part in parts:
        for i, number in part.entries:
            for dimension, factor in plan.layout.read(part.subspace, i, number)[0]:
                total += abs(float(evaluate(factor, {}))) * float(off[dimension])
    return total


class _Stream:
    """What the residual stream holds on its way through a model, and how far off."""

    def __init__(self, model: Finished) -> None:
        self.model, self.plan = model, model.plan
        self.arithmetic = Arithmetic(dtype_named(model.dtype).running.significand)
        self.hulls = StreamHull(model.plan, model.spans)
        self.low, self.high = self.hulls.at(0)
        self.groups = _groups(model.plan)
        n_embd = len(self.low)
        self.off, self.own, self.grid = np.zeros(n_embd), np.zeros(n_embd), np.full(n_embd, ANY_GRID)
        tokens, positions = map(model.stored, ("wte.weight", "wpe.weight"))
        rows = np.bincount(positions.columns, minlength=n_embd)
        self.is_mark: Flags = (rows == 1) & (np.bincount(tokens.columns, minlength=n_embd) == 0)
        self.embedded_groups = _embedded_groups(tokens, rows == 0, self.groups)
        off, grid = np.zeros(n_embd), np.minimum(*(t.coarsest(t.grid) for t in (tokens, positions)))
        for table in (tokens, positions):
            most = np.zeros(n_embd)
            np.maximum.at(most, table.columns, table.off)
            off += most
        exact = (off == 0) & self.arithmetic.is_exact(self.largest, grid)
        both = np.isin(np.arange(n_embd), tokens.columns) & (rows > 0) & ~exact
        rounded = np.where(both, self.arithmetic.unit * (self.largest + off), 0.0)
        self.off = off + rounded
        sums = (np.bincount(table.rows, weights=table.numbers) for table in (tokens, positions))
        self.unbalanced = float(sum(np.abs(each).max(initial=0) for each in sums) + rounded.sum())
        self.grid = np.where(exact, grid, -ANY_GRID)

    @property
    def largest(self) -> Array:
        """No exact number of a dimension is larger, whatever its sign."""
        found: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return found

    def add(self, written: Bounded, touched: Flags, hull: Hull) -> None:
        """Add something to the dimensions that are touched, after which the stream has another hull.

        What is added to 0 is not rounded.
        """
        fresh = touched & (self.largest == 0) & (self.off == 0)
        own = np.where(touched, 0.0, self.own)
        off = self.off + np.where(touched, self.own * self.largest + written.all_off, 0.0)
        grid = np.minimum(self.grid, np.where(touched, written.grid, ANY_GRID))
        self.low, self.high = hull
        exact = (off == 0) & (own == 0) & self.arithmetic.is_exact(self.largest, grid)
        rounded = np.where(touched & ~exact & ~fresh, self.arithmetic.unit * (self.largest + off), 0.0)
        self.unbalanced += float(rounded.sum())
        off += rounded
        self.off, self.own = np.where(fresh, written.off, off), np.where(fresh, written.own, own)
        self.grid = np.where((self.off == 0) & (self.own == 0), grid, -ANY_GRID)
        self.is_mark = self.is_mark & ~touched

    def read(self, number: int, which: int) -> Bounded:
        """What attention (0) or the MLP (1) of a layer reads: the stream, or LayerNorm of it."""
        if not self.plan.has_norm:
            return Bounded(self.low, self.high, self.off, self.own, self.grid)
        norm, unit = self.plan.norms[2 * number + which], self.arithmetic.unit
        all_off = self.off + self.own * self.largest
        n_embd, largest = len(all_off), self.largest + all_off
        mean = min(self.unbalanced, float(all_off.sum())) / n_embd + self._noise(all_off)
        # The gain knows the static sum of squares: half the part of the rest is missing in the scale.
        varying = _is_varying(norm, self.plan)
        squares = float((largest[varying] ** 2).sum()) + n_embd * mean**2
        squares += float((2 * largest * all_off)[~varying].sum())
        gain = self.model.stored(f"{norm.name}.weight")
        part = squares / (2 * float(norm.sum_of_squares)) + unit * (n_embd + 10)
        part += float((gain.off / np.abs(gain.numbers)).max(initial=0))
        off = np.where(self.largest > 0, self.off, 0.0) + mean
        return Bounded(self.low, self.high, off * (1 + part), self.own, self.grid, part)

    def _noise(self, off: Array) -> float:
        """What rounding makes of the mean, which is 0 in exact arithmetic.

        No partial sum exceeds the positive or the negative numbers together, and where all is on one
        grid none is rounded. Else few are rounded while they hold one half of the ballast only.
        """
        half = max(float(np.maximum(self.high, 0).sum()), float(np.maximum(-self.low, 0).sum()))
        half += float(off.sum())
        grid = self.grid.min(keepdims=True)
        if not off.any() and self.arithmetic.is_exact(np.array([half]), grid)[0]:
            return 0.0
        n_embd = len(off)
        small = half - BALLAST if self.plan.layout.has_ballast else half
        return self.arithmetic.unit * (small + roundings(n_embd) * half / n_embd)

    def attend(self, number: int, layer: Layer, hull: Hull) -> None:
        """Take in what the heads of a layer write, after which the stream has another hull."""
        name = f"h.{number}.attn"
        weight, bias, out, added = map(self.model.stored, _names(name, "c_attn", "c_proj"))
        x = self.read(number, 0)
        qkv = linear(weight, bias, x, self.groups, self.arithmetic)
        always = bias.per_column(bias.numbers)
        is_mark = weight.per_column((~self.is_mark)[weight.rows].astype(np.float64)) == 0
        is_mark &= (weight.terms(self.groups) == 1) & (always == 0)
        carried = self._carried(number, layer, (weight, x), qkv, always, is_mark[2 * len(self.off) :])
        written = linear(out, added, carried, np.arange(len(self.off)), self.arithmetic)
        touched = np.isin(np.arange(len(self.off)), [*out.columns, *added.columns])
        size = out.per_column(np.abs(out.numbers) * carried.largest[out.rows])
        terms = out.terms(np.arange(len(self.off))) + 1
        self.unbalanced += float((self.arithmetic.unit * terms * size)[~written.is_exact].sum())
        self._unbalance(out, added, carried.largest + carried.all_off)
        self.add(written, touched, hull)

    def _unbalance(self, out: Stored, added: Stored, most: Array) -> None:
        """Count what numbers, no larger than `most`, and a bias add to the sum of all dimensions."""
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
        """What the heads read at their sources, or the mean of it: [n_embd].

        Args:
            number: of the layer.
            layer: with its heads.
            factors: the matrix of which `qkv` is the product, and what it is multiplied with.
            qkv: queries, keys and values: [3 n_embd].
            always: what every query has besides: [3 n_embd].
            is_mark: whether a value is not 0 at one source at most: [n_embd].
        """
        n_embd, width = len(self.off), self.plan.layout.head_dim
        scale = self.plan.architecture.score_scale(width, number)
        context, unit = self.plan.circuits.context, self.arithmetic.unit
        value = qkv.slice(2 * n_embd, 3 * n_embd)
        off, own, grid = value.off.copy(), value.own + value.part, value.grid.copy()
        for place, head in enumerate(layer.heads):
            first = place * width
            here, ends = slice(first, first + width), (first, first + width)
            query, key = (qkv.slice(*(end + i * n_embd for end in ends)) for i in (0, 1))
            if not head.attends.picks_one:  # weights that should be equal, rounded, and added up
                weight, x = factors[0].slice(*ends), factors[1]
                groups = self.groups if number else self.embedded_groups
                most = bound_products(weight, always[here], x, key, groups)
                apart = tie_off(query, key, always[here], most, scale, self.arithmetic)
                if not head.attends.is_hard:  # weights that are added up are rounded, too
                    apart += unit * (context + 2)
                spread, largest, mark = (
                    (value.high - value.low)[here],
                    value.largest[here],
                    is_mark[here],
                )
                mean = (
                    own[here] * largest + spread * min(1.0, apart / 4) + unit * (context + 2) * largest
                )
                off[here] += np.where(mark, 0.0, mean)
                own[here] = np.where(mark, own[here] + apart + 3 * unit, 0.0)
        grid = np.where((off == 0) & (own == 0), grid, -ANY_GRID)
        return Bounded(value.low, value.high, off, own, grid)

    def think(self, number: int, layer: Layer, hull: Hull) -> None:
        """Take in what the hidden units of a layer write, after which the stream has another hull."""
        out, added = map(self.model.stored, _names(f"h.{number}.mlp", "c_proj"))
        hidden = self._hidden(number, layer)
        sizes, rows, unit = np.abs(out.numbers), out.rows, self.arithmetic.unit
        constant = added.per_column(np.abs(added.numbers))
        net = out.per_column(sizes * hidden.net[rows]) + constant
        peak = out.per_column(sizes * hidden.peak[rows]) + constant
        off = out.per_column(sizes * hidden.off[rows] + out.off * hidden.net[rows])
        shared = hidden.shared_off(out)
        off += added.per_column(added.off) + shared
        grid = np.minimum(out.coarsest(out.grid + hidden.grid[rows]), added.coarsest(added.grid))
        exact = (off == 0) & self.arithmetic.is_exact(peak, grid)
        # the units of steps cancel, and were rounded apart; all others are rounded as they are added
        is_step = (hidden.shared[rows] > 0) & is_power_of_two(out.numbers)
        alone = np.where(is_step | (hidden.peak[rows] == 0), 0.0, 1.0)
        terms = out.per_column(alone) + 2
        rounded = out.per_column(alone * sizes * hidden.peak[rows]) + constant + terms * net
        rounded = np.where(exact, 0.0, unit * rounded)
        off += rounded
        self.unbalanced += float(rounded.sum() + shared.sum())
        self._unbalance(out, added, hidden.net + hidden.off)
        written = Bounded(-net, net, off, 0 * off, np.where(off == 0, grid, -ANY_GRID))
        self.add(written, net > 0, hull)

    def _hidden(self, number: int, layer: Layer) -> _Hidden:
        """What the hidden units of a layer hold."""
        width = self.plan.shape.n_inner[number]
        whole: Ints = np.zeros(width, dtype=np.int64)
        net, off, peak, shared = np.zeros((4, width))
        hidden = _Hidden(net, off, peak, shared, whole, whole + ANY_GRID)
        if not layer.units:
            return hidden
        reads, bias = map(self.model.stored, _names(f"h.{number}.mlp", "c_fc"))
        x = self.read(number, 1)
        sums = linear(reads, bias.none(), x, self.groups, self.arithmetic)
        constant, constant_off = bias.per_column(bias.numbers), bias.per_column(bias.off)
        constant_rounded = bias.per_column(bias.rounded)
        is_bent, unit = self.plan.architecture.activation != "relu", self.arithmetic.unit
        hidden.peak[:] = np.maximum(sums.high + constant, 0) + sums.all_off
        grid = np.minimum(sums.grid, bias.coarsest(bias.grid))
        exact = sums.is_exact & (constant_off == 0) & (not is_bent)
        exact &= self.arithmetic.is_exact(sums.largest + np.abs(constant), grid)
        hidden.grid[:] = np.where(exact, grid, -ANY_GRID)
        stored = reads.per_column(reads.off * x.largest[reads.rows])
        step_functions: dict[object, list[int]] = {}
        for places, units in _by_neuron(layer.units):
            neuron, first, gain = units[0].neuron, places[0], float(units[0].gain)
            is_ramp = isinstance(neuron, Ramp)
            gap = 1.0 if isinstance(neuron, Ramp) or neuron.gap is None else float(neuron.gap)
            hidden.net[first] = gain * (float(neuron.most) if isinstance(neuron, Ramp) else gap / 2)
            if exact[places].all():
                continue
            if len(places) == 1:
                hidden.off[first] = sums.all_off[first] + unit * hidden.peak[first]
                continue
            hidden.off[first] = abs(float(constant_rounded[places[0]] - constant_rounded[places[1]]))
            if is_bent:  # sums that decide are less than half a gap off, so three quarters are left
                hidden.off[first] += 2 * BENT * exp(-((3 / 16 * STEEPNESS / 2) ** 2) / 2)
            if is_ramp:
                alone = gain * read_off(neuron.reads, self.plan, x.all_off) + float(stored[first])
                hidden.off[first] += alone + unit * float(hidden.peak[places].sum())
            else:
                step_functions.setdefault((neuron.origins, gap), []).append(first)
        for k, firsts in enumerate(step_functions.values()):
            every = [*firsts, *(first + 1 for first in firsts)]
            hidden.step_function[every] = k
            hidden.shared[every] = 7 * unit * 2.0 ** floor(log2(max(hidden.peak[every].max(), 1)))
        return hidden


@dataclass(frozen=True)
class _Hidden:
    """The hidden units of a layer; what a neuron comes to stands at the first of its units.

    A unit is rounded when its constant is added. The two units of a step are rounded alike, as both add
    a constant to the same sum, unless a power of two lies between them; and they cancel in what they
    write, unless one lies between what is written with one of them and without. The steps of a step
    function lie apart. So one step is counted for each power of two: below the largest unit all of
    them are off by 3 and by 4 halves of its last place together.

    Args:
        net: the most that the units of a neuron come to together.
        off: by how much that may be off.
        peak: the most that a unit holds.
        shared: by how much the steps of a step function may be off besides, all of them together.
        step_function: a number for each of those step functions.
        grid: each unit is a multiple of two to this power, where it is exact.
    """

    net: Array
    off: Array
    peak: Array
    shared: Array
    step_function: Ints
    grid: Ints

    def shared_off(self, out: Stored) -> Array:
        """By how much the steps of step functions put off what a matrix makes of the units: [out]."""
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
    """Dimensions of which at most one is not 0 have the same number: those of a one-hot subspace."""
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
    """The same before anything is written: dimensions that mark one token each, all different ones.

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
    """The dimensions whose squares the gain of a norm does not know of."""
    layout = plan.layout
    found = np.zeros(layout.n_embd, dtype=bool)
    for subspace in norm.varying:
        for i in range(subspace.width):
            found[[layout.start[subspace] + i, layout.opposite(subspace, i) or 0]] = True
    return found
