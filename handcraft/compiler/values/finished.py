"""A finished model of values: its plan, its exact weights, and its stored weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from handcraft.circuits import Coefficients
from handcraft.circuits.number import evaluate
from handcraft.compiler.values.interval import Stored
from handcraft.compiler.values.stream_hull import Spans
from handcraft.model.layers.attention import Array
from handcraft.weights import Placement, Plan


@dataclass(frozen=True)
class Finished:
    """A finished model of values.

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

    def matrices(self, name: str, *matrices: str) -> list[Stored]:
        """Some matrices of a layer, each followed by its bias."""
        parts = ("weight", "bias")
        return [self.stored(f"{name}.{matrix}.{part}") for matrix in matrices for part in parts]


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
