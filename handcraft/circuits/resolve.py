"""Circuits with every symbol replaced by its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from handcraft.circuits.circuits import Bias, Block, Circuits, Table
from handcraft.circuits.head import Head, Relation
from handcraft.circuits.linear_map import LinearMap
from handcraft.circuits.neuron import Neuron, Ramp
from handcraft.circuits.number import Plain, evaluate
from handcraft.circuits.subspace import Coefficients

PARTS = (Table, Block, Head, Relation, LinearMap, Neuron, Ramp, Bias, Coefficients)
"""The parts of circuits that contain numbers."""


def resolve(circuits: Circuits) -> Circuits:
    """The same circuits with plain numbers only."""
    if not circuits.values:
        return circuits
    values = circuits.values
    embedding, blocks = (_resolved(part, values) for part in (circuits.embedding, circuits.blocks))
    return replace(circuits, embedding=embedding, blocks=blocks, values={})


def _resolved(part: Any, values: Mapping[str, Plain]) -> Any:
    if isinstance(part, tuple):
        return tuple([_resolved(each, values) for each in part])
    if isinstance(part, PARTS):
        return replace(part, **{f.name: _resolved(getattr(part, f.name), values) for f in fields(part)})
    return evaluate(part, values) if hasattr(part, "free_symbols") else part
