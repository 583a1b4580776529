"""Where every head attends on one prompt, and because of which values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from handcraft.circuits import Head
from handcraft.explain.explanation import HeadUse, Look, Source
from handcraft.explain.served import Served
from handcraft.explain.stored import Stored
from handcraft.language.graph.domain import Value
from handcraft.model import AxisNames, Model, Trace
from handcraft.model.attention import Array

SEEN = 1e-6
"""An attention weight that is smaller is as good as 0: in float32, a millionth of a sum is rounding."""

LISTED = 16
"""How many sources of one destination are listed."""


def head_uses(
    model: Model,
    trace: Trace,
    names: AxisNames | None,
    stored: Stored | None,
    served: Served,
    selects: Mapping[str, Sequence[Value]],
) -> tuple[HeadUse, ...]:
    """What every head does that writes anything.

    Args:
        model: the model.
        trace: of the prompt.
        names: what the heads are called; None for a foreign model.
        stored: what the residual stream stores before each block; None for a foreign model.
        served: which rules each weight serves.
        selects: for conditions by which heads attend, whether a source satisfies each at each
            destination.
    """
    used = {len(trace.tokens) - 1}
    found: list[HeadUse] = []
    number = len(stored.heads) if stored is not None else 0
    for block in reversed(range(model.shape.n_layer)):
        known = names.blocks[block].heads if names is not None and block < len(names.blocks) else ()
        circuits: Sequence[Head] = ()
        if known and stored is not None:
            number -= 1
            circuits = stored.heads[number]
        patterns = trace[f"h.{block}.attn.pattern"]  # [head, destination, source]
        tensor = f"h.{block}.attn.c_proj.weight"
        rows = model.tensors[tensor].reshape(len(patterns), model.shape.head_dim, -1)
        read: set[int] = set()
        here: list[HeadUse] = []
        for head, pattern in enumerate(patterns):
            if not rows[head].any() or (names is not None and head >= len(known)):
                continue
            circuit = circuits[head] if head < len(circuits) else None
            found_any = selects.get(circuit.attends.label) if circuit is not None else None
            looks = tuple(
                replace(
                    _look(pattern[at], at, trace.tokens, at in used, circuit, stored, number),
                    is_empty=found_any is not None and not found_any[at],
                )
                for at in range(len(trace.tokens))
            )
            for at in used:
                read |= set(np.flatnonzero(pattern[at] > SEEN).tolist())
            size = model.shape.head_dim
            serves = served.rows(tensor, range(head * size, (head + 1) * size))
            here.append(
                HeadUse(
                    block,
                    head,
                    known[head].name if known else f"head {head}",
                    circuit.attends.label if circuit is not None else "",
                    serves,
                    looks,
                )
            )
        found = here + found
        used |= read
    return tuple(found)


def _look(
    weights: Array,
    at: int,
    tokens: Sequence[str],
    is_used: bool,
    circuit: Head | None,
    stored: Stored | None,
    number: int,
) -> Look:
    """Where a head attends from one position; `weights` are the attention weights: [source]."""
    order = np.argsort(-weights, kind="stable").tolist()
    sources = [there for there in order if weights[there] > SEEN]
    queries: Mapping[str, Value] = {}
    keys: dict[int, Mapping[str, Value]] = {}
    if circuit is not None and stored is not None:
        queries = stored.read(number, circuit.attends.query, at)
        keys = {there: stored.read(number, circuit.attends.key, there) for there in sources[:LISTED]}
    listed = tuple(
        Source(there, tokens[there], float(weights[there]), keys.get(there, {}))
        for there in sources[:LISTED]
    )
    return Look(at, tokens[at], queries, listed, len(sources) - len(listed), is_used)
