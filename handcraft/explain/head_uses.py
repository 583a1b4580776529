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
from handcraft.model.layers.attention import Array

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
    lead = 0 if model.begin_id is None else 1  # the begin token comes before position 0
    used = {len(trace.tokens) - 1}
    found: list[HeadUse] = []
    computed = _computed(model, names, stored)
    for block in reversed(range(model.shape.n_layer)):
        known = () if names is None else names.block(block).heads
        number = computed.get(block)
        circuits = stored.heads[number] if stored is not None and number is not None else ()
        patterns = trace[f"h.{block}.attn.pattern"]  # [head, destination, source]
        rows = model.written(block, "attn").reshape(len(patterns), model.shape.head_dim, -1)
        read: set[int] = set()
        here: list[HeadUse] = []
        for head, pattern in enumerate(patterns):
            if not rows[head].any() or (names is not None and head >= len(known)):
                continue
            circuit = circuits[head] if head < len(circuits) else None
            found_any = selects.get(circuit.attends.label) if circuit is not None else None
            looks = tuple(
                replace(
                    _look(
                        pattern[at], at, lead, trace.tokens, at in used, circuit, stored, number or 0
                    ),
                    is_empty=found_any is not None and not found_any[at - lead],
                )
                for at in range(lead, len(trace.tokens))
            )
            for at in used:
                read |= set(np.flatnonzero(pattern[at] > SEEN).tolist())
            size = model.shape.head_dim
            serves = served.rows(
                model.output_matrix(block, "attn"), range(head * size, (head + 1) * size)
            )
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


def _computed(model: Model, names: AxisNames | None, stored: Stored | None) -> Mapping[int, int]:
    """For each block with heads the block of the circuits that it computes, where that is known.

    One block of circuits may take several of the model; its heads are in one of them.
    """
    if names is None or stored is None:
        return {}
    if len(stored.heads) == model.shape.n_layer:
        return {block: block for block in range(model.shape.n_layer)}
    with_heads = [block for block, each in enumerate(names.blocks) if each.heads]
    own = [number for number, heads in enumerate(stored.heads) if heads]
    return dict(zip(with_heads, own, strict=True))


def _look(
    weights: Array,
    at: int,
    lead: int,
    tokens: Sequence[str],
    is_used: bool,
    circuit: Head | None,
    stored: Stored | None,
    number: int,
) -> Look:
    """Where a head attends from one place of a trace; `weights` are the attention weights: [source].

    Positions are those of the text, which the trace has `lead` places later.
    """
    order = np.argsort(-weights, kind="stable").tolist()
    sources = [there for there in order if weights[there] > SEEN]
    queries: Mapping[str, Value] = {}
    keys: dict[int, Mapping[str, Value]] = {}
    if circuit is not None and stored is not None:
        queries = stored.read(number, circuit.attends.query, at - lead)
        keys = {
            there: stored.read(number, circuit.attends.key, there - lead) for there in sources[:LISTED]
        }
    listed = tuple(
        Source(there - lead, tokens[there], float(weights[there]), keys.get(there, {}))
        for there in sources[:LISTED]
    )
    return Look(at - lead, tokens[at], queries, listed, len(sources) - len(listed), is_used)
