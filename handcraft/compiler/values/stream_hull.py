"""The range of each dimension of the residual stream, state by state, in a model of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from math import ceil

import numpy as np

from handcraft.circuits import Ramp, Subspace
from handcraft.circuits.lifetimes import lifetimes
from handcraft.circuits.number import Plain, evaluate
from handcraft.model.layers.attention import Array
from handcraft.weights import Plan
from handcraft.weights.layers import Layer

Spans = Mapping[tuple[Subspace, int], tuple[Plain, Plain]]
"""For dimensions of subspaces, the least and the greatest number in them."""

Hull = tuple[Array, Array]
"""For each dimension no number is smaller than the first, and none larger than the second."""


class StreamHull:
    """The hulls of a model; states are those of `circuits.lifetimes`.

    Args:
        plan: its layout and its blocks.
        spans: the ranges of the dimensions of its subspaces.
    """

    def __init__(self, plan: Plan, spans: Spans) -> None:
        self.plan = plan
        self.spans = spans
        self.born = {subspace: life.born for subspace, life in lifetimes(plan.circuits).items()}
        self.at = cache(self._at)
        self.between = cache(self._between)

    def _at(self, state: int) -> Hull:
        """The hull in one state; of the subspaces that share a dimension, the latest counts."""
        layout = self.plan.layout
        low, high = np.zeros(layout.n_embd), np.zeros(layout.n_embd)
        for subspace, born in sorted(self.born.items(), key=lambda item: item[1]):
            for i in range(subspace.width) if born <= state else ():
                place = layout.start[subspace] + i
                ends = self.spans.get((subspace, i), (0, 0))
                low[place], high[place] = min(0.0, float(ends[0])), max(0.0, float(ends[1]))
        return self._completed(low, high)

    def _between(self, block: int) -> Hull:
        """The hull between layers that share the neurons of a block: only some have written yet."""
        layout = self.plan.layout
        before, after = self.at(2 * block + 1), self.at(2 * block + 2)
        low, high = np.minimum(before[0], after[0]), np.maximum(before[1], after[1])
        for neuron in self.plan.circuits.blocks[block].neurons:
            most = float(neuron.most) if isinstance(neuron, Ramp) else 1.0
            for write in neuron.writes:
                for i, number in write.entries:
                    place = layout.start[write.subspace] + i
                    step = most * float(evaluate(number, {}))
                    low[place], high[place] = low[place] + min(step, 0), high[place] + max(step, 0)
        return self._completed(low, high)

    def _completed(self, low: Array, high: Array) -> Hull:
        """The hull with opposites, the balance and constants filled in."""
        layout = self.plan.layout
        scalars = np.ones(layout.n_embd, dtype=bool)
        for subspace in self.plan.circuits.stream if layout.is_mirrored else ():
            for i in range(subspace.width):
                own, opposite = layout.start[subspace] + i, layout.opposite(subspace, i)
                if opposite is not None and opposite != layout.balance:
                    low[opposite], high[opposite] = -high[own], -low[own]
                    scalars[[own, opposite]] = False
        for dimension, number in layout.constants:
            low[dimension] = high[dimension] = number
            scalars[dimension] = False
        if layout.balance is not None:
            scalars[layout.balance] = False
            low[layout.balance] = -float(high[scalars].sum())
            high[layout.balance] = -float(low[scalars].sum())
        return low, high


def block_of_each_layer(plan: Plan) -> Iterator[tuple[Layer, int, bool]]:
    """Every layer with the number of its block, and whether it is the last layer of that block."""
    most = 4 * plan.layout.n_embd if plan.has_norm else None
    layers = iter(plan.layers)
    if not plan.circuits.blocks:
        yield next(layers), 0, True
    for number, block in enumerate(plan.circuits.blocks):
        own = set(map(id, block.neurons))
        units = sum(id(u.neuron) in own for layer in plan.layers for u in layer.units)
        count = max(1, ceil(units / most)) if most else 1
        for place in range(count):
            yield next(layers), number, place == count - 1
