"""Compare the residual stream of a model with its ideal circuits, on random texts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from handcraft.circuits import Subspace
from handcraft.circuits.ideal import ideal_stream
from handcraft.compiler import Compiled
from handcraft.errors import PrecisionError
from handcraft.model.layers.attention import Array
from handcraft.weights.layout import Layout

TEXTS = 8
"""How many random texts are run at each of a few lengths."""

CELLS_UP_TO = 20_000
"""The most pairs of positions of one length that are run; the ideal interpreter is exact and slow."""

TOLERANCE = 1e-2
"""The largest error of a number in the residual stream. Whole numbers and steps are a unit apart."""


def check_stream(compiled: Compiled, seed: int = 0) -> int:
    """Compare the residual stream after the last block with that of the ideal circuits.

    Returns:
        How many texts were run.
    """
    circuits, model = compiled.circuits, compiled.model
    random = np.random.default_rng(seed)
    lengths = sorted({1, 2, (circuits.context + 1) // 2, circuits.context})
    last = f"h.{model.shape.n_layer - 1}.output"
    tried = 0
    for length in lengths:
        rows = max(1, min(TEXTS, CELLS_UP_TO // length**2))
        texts = random.integers(0, len(circuits.vocabulary), size=(rows, length))
        kept: dict[str, Array] = {}
        model.watch(texts, lambda name, value, kept=kept: kept.update({name: value.copy()}))  # type: ignore[misc]
        ideal = ideal_stream(circuits, texts)
        for subspace, i in _last_in_each_dimension(compiled.layout):
            cells, constant = compiled.layout.read(subspace, i, 1)
            stored = sum(kept[last][..., d] * float(factor) for d, factor in cells) + float(constant)
            exact = np.broadcast_to(ideal[subspace][..., i], texts.shape).astype(np.float64)
            error = float((np.abs(stored - exact) / np.maximum(1, np.abs(exact))).max())
            if error > TOLERANCE:
                raise PrecisionError(
                    f"in {model.dtype.name} `{subspace}` has an error of {error:.2g}",
                    where=circuits.place,
                    fix="use a wider dtype",
                )
        tried += rows
    return tried


def _last_in_each_dimension(layout: Layout) -> Iterable[tuple[Subspace, int]]:
    """For every dimension in use, the last subspace in it, and the coordinate there."""
    found = {
        layout.start[subspace] + i: (subspace, i)
        for subspace in layout.subspaces
        for i in range(subspace.width)
    }
    return found.values()
