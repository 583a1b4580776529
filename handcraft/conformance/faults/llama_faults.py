"""Faults that only a Llama can show: rotation, query groups, windows, RMSNorm, SwiGLU."""

from __future__ import annotations

import numpy as np

from handcraft.conformance.faults.fault import Fault
from handcraft.conformance.faults.llama import LlamaReference
from handcraft.conformance.faults.reference import Ids, Reference, State
from handcraft.model.layers.activation import gelu_tanh
from handcraft.model.layers.attention import Array


class PairsInterleaved(LlamaReference):
    """Pair j is components 2 j and 2 j + 1."""

    def pairs(self, x: Array) -> tuple[Array, Array]:
        return x[..., 0::2], x[..., 1::2]

    def joined(self, first: Array, second: Array) -> Array:
        return np.stack([first, second], axis=-1).reshape(*first.shape[:-1], -1)


class RotatesBackwards(LlamaReference):
    """Angles are negative."""

    def angles(self, positions: Ids) -> Array:
        return -super().angles(positions)


class PositionsHalved(LlamaReference):
    """Angles are half as large, as by linear scaling with the factor 2."""

    def angles(self, positions: Ids) -> Array:
        return super().angles(positions) / 2


class ThetaDefault(LlamaReference):
    """theta is 10,000."""

    def theta(self) -> float:
        return 10_000.0


class QueryOneLate(LlamaReference):
    """Queries are rotated one position too far."""

    def query_positions(self, positions: Ids) -> Ids:
        return positions + 1


class QueryOneEarly(LlamaReference):
    """Queries are rotated one position too little."""

    def query_positions(self, positions: Ids) -> Ids:
        return positions - 1


class NotRotated(LlamaReference):
    """Nothing is rotated."""

    def angles(self, positions: Ids) -> Array:
        return super().angles(positions) * 0


class KeysTiled(Reference):
    """Key head i serves the queries i, i + kv_heads, ..., not those in a row."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        keys, values = super().remember(state, layer, key, value)
        group = self.model.shape.n_head // keys.shape[1]
        return np.tile(keys, (1, group, 1, 1)), np.repeat(values, group, axis=1)


class ValuesTiled(Reference):
    """The same with values."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        keys, values = super().remember(state, layer, key, value)
        group = self.model.shape.n_head // keys.shape[1]
        return np.repeat(keys, group, axis=1), np.tile(values, (1, group, 1, 1))


class BothTiled(Reference):
    """The same with both."""

    def shared(self, heads: Array, group: int) -> Array:
        return np.tile(heads, (1, group, 1, 1))


def window_of(difference: int) -> Fault:
    """A window that is larger or smaller."""

    class Window(Reference):
        def window(self) -> int | None:
            window = super().window()
            return None if window is None else window + difference

    size = f"{abs(difference)} {'larger' if difference > 0 else 'smaller'}"
    return Fault(f"window{difference:+d}", f"has a window that is {size} than config.json says", Window)


class NoWindow(Reference):
    """All earlier positions are seen."""

    def window(self) -> int | None:
        return None


class Centred(LlamaReference):
    """LayerNorm in place of RMSNorm."""

    def normed(self, x: Array) -> Array:
        return super().normed(x - x.mean(axis=-1, keepdims=True))


class GainPlusOne(LlamaReference):
    """Gains are differences from 1."""

    def gain(self, name: str) -> Array:
        return super().gain(name) + 1


class RmsEpsilonOutside(LlamaReference):
    """Epsilon is added to the root."""

    def normed(self, x: Array) -> Array:
        root = np.sqrt(np.square(x).mean(axis=-1, keepdims=True)) + np.float32(self.epsilon())
        return np.asarray(x / root, dtype=np.float32)


class GateUpExchanged(LlamaReference):
    """The activation is taken of the other matrix."""

    def gate_and_up(self, layer: int, x: Array) -> tuple[Array, Array]:
        gate, up = super().gate_and_up(layer, x)
        return up, gate


class GeluGate(LlamaReference):
    """GELU in place of SiLU."""

    def activation(self, x: Array) -> Array:
        return gelu_tanh(x)


class ReluGate(LlamaReference):
    """ReLU in place of SiLU."""

    def activation(self, x: Array) -> Array:
        return np.maximum(x, 0)


class LlamaHeadTied(LlamaReference):
    """The embedding is taken for the unembedding."""

    def unembedding(self) -> Array:
        return self.tensors["embed_tokens.weight"]


def rms_epsilon(number: float) -> Fault:
    """Another epsilon."""

    class Epsilon(LlamaReference):
        def epsilon(self) -> float:
            return number

    says = f"adds {number:g} to mean squares, not what config.json says"
    return Fault(f"rms-epsilon-{number:g}", says, Epsilon)


WINDOWS = (-3, -2, -1, 1, 2, 3)
"""How far off the window of an engine may be and still be named."""

LLAMA_FAULTS = (
    Fault("rope-pairs-interleaved", "rotates components 2 j and 2 j + 1 as a pair", PairsInterleaved),
    Fault("rope-theta-10000", "rotates by frequencies of theta 10,000", ThetaDefault),
    Fault("rope-backwards", "rotates backwards", RotatesBackwards),
    Fault("rope-scaled-by-2", "halves positions before it rotates by them", PositionsHalved),
    Fault("rope-query-one-late", "rotates queries one position too far", QueryOneLate),
    Fault("rope-query-one-early", "rotates queries one position too little", QueryOneEarly),
    Fault("no-rope", "does not rotate queries and keys", NotRotated),
    Fault("keys-tiled", "deals key heads out to queries in turn", KeysTiled),
    Fault("values-tiled", "deals value heads out to queries in turn", ValuesTiled),
    Fault("both-tiled", "deals key and value heads out to queries in turn", BothTiled),
    *(window_of(difference) for difference in WINDOWS),
    Fault("no-window", "has no sliding window", NoWindow),
    Fault("rms-centred", "subtracts the mean in RMSNorm", Centred),
    Fault("rms-gain-plus-one", "adds 1 to the gains of RMSNorm", GainPlusOne),
    Fault("rms-epsilon-outside", "adds epsilon outside of the root in RMSNorm", RmsEpsilonOutside),
    *(rms_epsilon(number) for number in (1e-6, 1e-12, 1e-3)),
    Fault("gate-up-exchanged", "takes the activation of up_proj, not of gate_proj", GateUpExchanged),
    Fault("gelu-gate", "computes GELU in place of SiLU", GeluGate),
    Fault("relu-gate", "computes ReLU in place of SiLU", ReluGate),
    Fault(
        "llama-head-tied", "takes the embedding of a Llama for an unembedding of its own", LlamaHeadTied
    ),
)
