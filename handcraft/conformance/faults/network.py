"""Faults of the network: attention, norms, MLPs and the unembedding."""

from __future__ import annotations

from math import sqrt

import numpy as np

from handcraft.conformance.faults.fault import Fault
from handcraft.conformance.faults.gpt2 import GPT2Reference
from handcraft.conformance.faults.reference import Flags, Ids, Reference, State
from handcraft.model.layers.activation import gelu_erf
from handcraft.model.layers.attention import Array


class NoScale(Reference):
    """Scores are not scaled."""

    def score_scale(self, layer: int) -> float:
        return 1.0


class ScaleTwice(Reference):
    """1/head_dim."""

    def score_scale(self, layer: int) -> float:
        return super().score_scale(layer) ** 2


class ScaleOfWidth(Reference):
    """1/sqrt(n_embd)."""

    def score_scale(self, layer: int) -> float:
        return 1 / sqrt(self.model.shape.n_embd)


class ScaleInverted(Reference):
    """sqrt(head_dim)."""

    def score_scale(self, layer: int) -> float:
        return 1 / super().score_scale(layer)


class ScaleByLayer(Reference):
    """Scores are also divided by the number of the block."""

    def score_scale(self, layer: int) -> float:
        return super().score_scale(layer) / (layer + 1)


class QueryKeyExchanged(Reference):
    """Queries are taken for keys."""

    def named(self, query: Array, key: Array, value: Array) -> tuple[Array, Array, Array]:
        return key, query, value


class KeyValueExchanged(GPT2Reference):
    """Keys are taken for values."""

    def thirds(self, qkv: Array) -> list[Array]:
        query, key, value = super().thirds(qkv)
        return [query, value, key]


class ThirdsPerHead(GPT2Reference):
    """Query, key and value are read head by head, not one after the other."""

    def thirds(self, qkv: Array) -> list[Array]:
        rows, new, width = qkv.shape
        heads = qkv.reshape(rows, new, self.model.shape.n_head, 3, -1)
        return [heads[..., part, :].reshape(rows, new, width // 3) for part in range(3)]


class HeadsInterleaved(Reference):
    """Channel c belongs to head c modulo the number of heads."""

    def split(self, x: Array, heads: int) -> Array:
        rows, new, _ = x.shape
        return np.moveaxis(x.reshape(rows, new, -1, heads), 3, 1)

    def merge(self, heads: Array) -> Array:
        rows, _, new, _ = heads.shape
        return np.moveaxis(heads, 1, 3).reshape(rows, new, -1)


class HeadsMergedWrong(Reference):
    """Heads are put side by side without exchanging the axes of heads and positions."""

    def merge(self, heads: Array) -> Array:
        rows, count, new, width = heads.shape
        return heads.reshape(rows, new, count * width)


class NoAttentionBias(GPT2Reference):
    """The biases of attention are left out."""

    def bias(self, name: str) -> Array:
        return super().bias(name) * np.float32(".attn." not in name)


class NoMlpBias(GPT2Reference):
    """The biases of MLPs are left out."""

    def bias(self, name: str) -> Array:
        return super().bias(name) * np.float32(".mlp." not in name)


class MatricesTurned(GPT2Reference):
    """Square matrices are read as [out, in]."""

    def matrix(self, name: str, x: Array) -> Array:
        weight = self.tensors[f"{name}.weight"]
        return x @ (weight.T if weight.shape[0] == weight.shape[1] else weight)


class BlocksReversed(Reference):
    """The last block runs first."""

    def layers(self) -> list[int]:
        return super().layers()[::-1]


class LastBlockMissing(Reference):
    """The last block does not run."""

    def layers(self) -> list[int]:
        return super().layers()[:-1]


class Parallel(Reference):
    """The MLP reads the stream before attention."""

    def block(self, layer: int, x: Array, state: State, visible: Flags, positions: Ids) -> Array:
        before, between = self.norm_names(layer)
        written = self.attention(layer, self.norm(before, x), state, visible, positions)
        return self.kept(x + written + self.mlp(layer, self.norm(between, x)))


class NormsAfter(Reference):
    """Norms are behind attention and MLP, as in the first transformer."""

    def block(self, layer: int, x: Array, state: State, visible: Flags, positions: Ids) -> Array:
        before, between = self.norm_names(layer)
        x = self.norm(before, self.kept(x + self.attention(layer, x, state, visible, positions)))
        return self.norm(between, self.kept(x + self.mlp(layer, x)))


class StreamOfNorms(Reference):
    """What a norm gave is added to, in place of the stream."""

    def block(self, layer: int, x: Array, state: State, visible: Flags, positions: Ids) -> Array:
        before, between = self.norm_names(layer)
        x = self.norm(before, x)
        x = self.norm(between, self.kept(x + self.attention(layer, x, state, visible, positions)))
        return self.kept(x + self.mlp(layer, x))


class NoFinalNorm(Reference):
    """The stream goes to the unembedding as it is."""

    def final_norm(self, x: Array) -> Array:
        return x


class NoCentring(GPT2Reference):
    """RMSNorm in place of LayerNorm."""

    def mean(self, x: Array) -> Array:
        return super().mean(x) * 0


class VarianceUnbiased(GPT2Reference):
    """The variance is over n - 1."""

    def variance(self, centred: Array) -> Array:
        n = centred.shape[-1]
        return super().variance(centred) * np.float32(n / (n - 1))


class EpsilonOutside(GPT2Reference):
    """Epsilon is added to the root."""

    def deviation(self, variance: Array) -> Array:
        return np.sqrt(variance) + np.float32(self.epsilon())


class NoNormBias(GPT2Reference):
    """The biases of norms are left out."""

    def norm_bias(self, name: str) -> Array:
        return super().norm_bias(name) * 0


class GainPlusOne(GPT2Reference):
    """Gains are stored as differences from 1."""

    def gain(self, name: str) -> Array:
        return super().gain(name) + 1


class GeluErf(GPT2Reference):
    """GELU by the error function."""

    def activation(self, x: Array) -> Array:
        return gelu_erf(x)


class GeluQuick(GPT2Reference):
    """x sigmoid(1.702 x)."""

    def activation(self, x: Array) -> Array:
        return np.asarray(x / (1 + np.exp(-1.702 * x)), dtype=np.float32)


class Silu(GPT2Reference):
    """x sigmoid(x)."""

    def activation(self, x: Array) -> Array:
        return np.asarray(x / (1 + np.exp(-x)), dtype=np.float32)


class Relu(GPT2Reference):
    """max(0, x)."""

    def activation(self, x: Array) -> Array:
        return np.maximum(x, 0)


class HeadTied(GPT2Reference):
    """The embedding is taken for the unembedding."""

    def unembedding(self) -> Array:
        return self.tensors["wte.weight"]


class IdsOneOff(Reference):
    """The logits are those of the next id."""

    def unembed(self, x: Array) -> Array:
        return np.roll(super().unembed(x), 1, axis=-1)


def epsilon_of(number: float) -> Fault:
    """Another epsilon."""

    class Epsilon(GPT2Reference):
        def epsilon(self) -> float:
            return number

    return Fault(
        f"epsilon-{number:g}", f"adds {number:g} to variances, not what config.json says", Epsilon
    )


ATTENTION_FAULTS = (
    Fault("no-scale", "does not divide scores by sqrt(head_dim)", NoScale),
    Fault("scale-head-dim", "divides scores by head_dim, not by its root", ScaleTwice),
    Fault("scale-width", "divides scores by sqrt(n_embd), not by sqrt(head_dim)", ScaleOfWidth),
    Fault("scale-inverted", "multiplies scores by sqrt(head_dim)", ScaleInverted),
    Fault("scale-by-layer", "divides scores by the number of the block too", ScaleByLayer),
    Fault("heads-interleaved", "deals channels out to heads in turn", HeadsInterleaved),
    Fault(
        "heads-merged-wrong", "merges heads without exchanging heads and positions", HeadsMergedWrong
    ),
    Fault("blocks-reversed", "runs blocks in reverse order", BlocksReversed),
    Fault("last-block-missing", "leaves out the last block", LastBlockMissing),
    Fault("parallel", "gives the MLP the stream before attention", Parallel),
    Fault("norms-after", "norms after attention and MLP, not before", NormsAfter),
    Fault("stream-of-norms", "adds to the normed stream, not to the stream", StreamOfNorms),
    Fault("no-final-norm", "leaves out the norm before the unembedding", NoFinalNorm),
    Fault("ids-one-off", "gives every logit to the next id", IdsOneOff),
)

GPT2_FAULTS = (
    Fault("query-key-exchanged", "takes queries for keys", QueryKeyExchanged),
    Fault("key-value-exchanged", "takes keys for values", KeyValueExchanged),
    Fault("thirds-per-head", "reads query, key and value head by head", ThirdsPerHead),
    Fault("matrices-turned", "reads square matrices as [out, in]", MatricesTurned),
    Fault("no-attention-bias", "leaves out the biases of attention", NoAttentionBias),
    Fault("no-mlp-bias", "leaves out the biases of MLPs", NoMlpBias),
    Fault("no-centring", "does not subtract the mean in LayerNorm", NoCentring),
    Fault("variance-unbiased", "divides variances by n - 1", VarianceUnbiased),
    Fault("epsilon-outside", "adds epsilon outside of the root", EpsilonOutside),
    Fault("no-norm-bias", "leaves out the biases of LayerNorm", NoNormBias),
    Fault("gain-plus-one", "adds 1 to the gains of LayerNorm", GainPlusOne),
    Fault("gelu-erf", "computes GELU by erf where the config asks for tanh", GeluErf),
    Fault("gelu-quick", "computes GELU as x sigmoid(1.702 x)", GeluQuick),
    Fault("silu", "computes SiLU in place of GELU", Silu),
    Fault("relu", "computes ReLU in place of GELU", Relu),
    Fault("head-tied", "takes the embedding for an unembedding of its own", HeadTied),
    *(epsilon_of(number) for number in (1e-6, 1e-12, 1e-3)),
)
