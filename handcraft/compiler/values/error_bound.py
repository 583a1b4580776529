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

from math import ceil, log2

import numpy as np

from handcraft.circuits import Encoding
from handcraft.compiler.values.finished import Finished
from handcraft.compiler.values.hidden_error import bound_hidden_units
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
from handcraft.compiler.values.stream_hull import Hull, StreamHull, block_of_each_layer
from handcraft.dtype import dtype_named
from handcraft.model.layers.attention import Array
from handcraft.weights import Plan
from handcraft.weights.layers import Layer
from handcraft.weights.layout import BALLAST
from handcraft.weights.norms import NormInput

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
        weight, bias, out, added = self.model.matrices(name, "c_attn", "c_proj")
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
        out, added = self.model.matrices(f"h.{number}.mlp", "c_proj")
        x = self.read(number, 1)
        hidden = bound_hidden_units(self.model, number, layer, x, self.groups, self.arithmetic)
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
