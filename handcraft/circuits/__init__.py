"""Circuits: heads and neurons over named subspaces of the residual stream."""

from handcraft.circuits.circuits import (
    Bias,
    Block,
    Circuits,
    LogitScale,
    Reuse,
    Table,
    bias,
    embed_position,
    embed_token,
)
from handcraft.circuits.content import ByContent
from handcraft.circuits.distance import LookBack
from handcraft.circuits.head import AttentionWeights, Head, Relation, equal, look_back, window
from handcraft.circuits.ideal import ideal_logits, ideal_next, ideal_stream, stream_at_begin
from handcraft.circuits.linear_map import LinearMap, copy, project, value_map
from handcraft.circuits.neuron import Neuron, Ramp
from handcraft.circuits.number import Number, exact
from handcraft.circuits.subspace import (
    Codes,
    Coefficients,
    Encoding,
    Subspace,
    coded,
    flag,
    one_hot,
    scalar,
    signed_bits,
    sinusoidal,
    small,
)

__all__ = [
    "AttentionWeights",
    "Bias",
    "Block",
    "ByContent",
    "Circuits",
    "Codes",
    "Coefficients",
    "Encoding",
    "Head",
    "LinearMap",
    "LogitScale",
    "LookBack",
    "Neuron",
    "Number",
    "Ramp",
    "Relation",
    "Reuse",
    "Subspace",
    "Table",
    "bias",
    "coded",
    "copy",
    "embed_position",
    "embed_token",
    "equal",
    "exact",
    "flag",
    "ideal_logits",
    "ideal_next",
    "ideal_stream",
    "look_back",
    "one_hot",
    "project",
    "scalar",
    "signed_bits",
    "sinusoidal",
    "small",
    "stream_at_begin",
    "value_map",
    "window",
]
