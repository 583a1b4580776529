"""How the values of circuits are read from the residual stream of their model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from handcraft.circuits import Circuits, Encoding, Number, Subspace
from handcraft.circuits.lifetimes import written_by_heads, written_by_neurons
from handcraft.circuits.number import evaluate
from handcraft.model.stored import Stored
from handcraft.weights.layout import Cells
from handcraft.weights.plan import Plan

Read = Callable[[Subspace, int, Number], tuple[Cells, Number]]
"""The signature of `Layout.read`."""


def stored_values(plan: Plan) -> tuple[Stored, ...]:
    """The values that a planned model stores, in the order of its residual stream."""
    return read_stored(plan.circuits, plan.layout.read, plan.layout.n_embd, len(plan.layers))


def read_stored(circuits: Circuits, read: Read, n_embd: int, n_layer: int) -> tuple[Stored, ...]:
    """The values of circuits in a model whose layout reads them in a certain way.

    Args:
        circuits: whose values they are.
        read: as `Layout.read`.
        n_embd: the width of the model.
        n_layer: its blocks; if they are more than those of the circuits, it is not known where a value
            is written.
    """
    written, cleared = written_at(circuits)
    is_known = n_layer == len(circuits.blocks)
    fixed = _functions_of_the_position(circuits)
    return tuple(
        Stored(
            subspace.name,
            subspace.dimension_names,
            *_reading(subspace, circuits, read, n_embd),
            tuple(map(str, subspace.values)) if subspace.encoding is Encoding.ONE_HOT else (),
            frozenset(written.get(subspace, ())) if is_known else None,
            cleared.get(subspace) if is_known else None,
            subspace in fixed,
            subspace == circuits.unembedding,
        )
        for subspace in circuits.stream
    )


def _reading(
    subspace: Subspace, circuits: Circuits, read: Read, n_embd: int
) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and the constant that read one subspace."""
    matrix, constant = np.zeros((n_embd, subspace.width)), np.zeros(subspace.width)
    for i in range(subspace.width):
        cells, added = read(subspace, i, 1)
        constant[i] = float(evaluate(added, circuits.values))
        for dimension, factor in cells:
            matrix[dimension, i] = float(evaluate(factor, circuits.values))
    return matrix, constant


def written_at(circuits: Circuits) -> tuple[dict[Subspace, set[int]], dict[Subspace, int]]:
    """The stages at which each subspace is written, and the one at which it is cleared for another."""
    written: dict[Subspace, set[int]] = {}

    def write(subspaces: Iterable[Subspace], stage: int) -> None:
        for subspace in subspaces:
            written.setdefault(subspace, set()).add(stage)

    write((table.subspace for table in circuits.embedding), 0)
    for number, block in enumerate(circuits.blocks):
        write(written_by_heads(block), 2 * number + 1)
        write(written_by_neurons(block), 2 * number + 2)
    cleared: dict[Subspace, int] = {}
    for within in {reuse.within for reuse in circuits.reuses}:
        stages = written.get(within, set())
        if len(stages) > 1:  # the last time, its negative is written
            cleared[within] = max(stages)
            stages.discard(max(stages))
    return written, cleared


def _functions_of_the_position(circuits: Circuits) -> frozenset[Subspace]:
    """The subspaces that are embedded from the position, and written by nothing else."""
    of_token = {table.subspace for table in circuits.embedding if table.of == "token"}
    of_position = {table.subspace for table in circuits.embedding if table.of == "position"}
    stages, _ = written_at(circuits)
    return frozenset(s for s in of_position - of_token if stages[s] == {0})
