"""The parts of a run that pictures show: its stages, its heads, and the values of the stream."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from handcraft.model import Stored, Trace
from handcraft.model.layers.attention import Array

MOST_UNNAMED = 48
"""Up to so many dimensions without a name are drawn."""

SMALLEST = 0.0005
"""Numbers below this count as 0: rounding leaves such."""


def block_count(trace: Trace) -> int:
    """How many blocks a run has."""
    return sum(name.endswith(".output") and name.count(".") == 2 for name in trace)


def stages_of(trace: Trace) -> Iterable[tuple[str, Array]]:
    """The residual stream after the embedding and each half of a block."""
    stream = trace["embedding"]
    yield "embedding", stream
    for block in range(block_count(trace)):
        for name, half in ((f"h.{block}.after_attention", "attention"), (f"h.{block}.output", "MLP")):
            stream = trace.get(name, stream)
            yield f"block {block}, {half}", stream


def heads_of(trace: Trace, block: int) -> list[tuple[int, str]]:
    """The heads of a block that are used, each with its name."""
    if f"h.{block}.attn.pattern" not in trace:
        return []
    names = trace.axes(f"h.{block}.attn.pattern")[0]
    if trace.names is None:
        return [(i, f"head {name}") for i, name in enumerate(names)]
    used = len(trace.names.blocks[block].heads) if block < len(trace.names.blocks) else 0
    return [(i, f"head: {names[i]}") for i in range(used)]


def stored_in(trace: Trace) -> tuple[Stored, ...]:
    """The values of the stream; where they are not known, every dimension that is not always 0."""
    if trace.stored:
        return trace.stored
    names = trace.axes("embedding")[1]
    unit = np.eye(len(names))
    ever = np.any([stream.any(axis=0) for _, stream in stages_of(trace)], axis=0)
    labels = names if trace.names is not None else [f"dimension {name}" for name in names]
    return tuple(
        Stored(labels[i], (labels[i],), unit[:, [i]], np.zeros(1))
        for i in np.flatnonzero(ever).tolist()
    )
