"""The network of GPT-2, step by step."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from handcraft.conformance.faults.reference import Ids, Reference
from handcraft.model.layers.attention import Array


class GPT2Reference(Reference):
    """LayerNorm, learned positions, biases, GELU by tanh."""

    def embed(self, ids: Ids, positions: Ids) -> Array:
        return self.kept(self.tensors["wte.weight"][ids] + self.position_rows(positions))

    def position_rows(self, positions: Ids) -> Array:
        """The embeddings of positions; those beyond the last have the last one's."""
        last = len(self.tensors["wpe.weight"]) - 1
        return self.tensors["wpe.weight"][np.clip(positions, 0, last)]

    def norm_names(self, layer: int) -> tuple[str, str]:
        return f"h.{layer}.ln_1", f"h.{layer}.ln_2"

    def norm(self, name: str, x: Array) -> Array:
        return self.kept(self.normed(x) * self.gain(name) + self.norm_bias(name))

    def normed(self, x: Array) -> Array:
        """LayerNorm before gain and bias."""
        centred = x - self.mean(x)
        return centred / self.deviation(self.variance(centred))

    def mean(self, x: Array) -> Array:
        """What LayerNorm subtracts."""
        mean: Array = x.mean(axis=-1, keepdims=True)
        return mean

    def variance(self, centred: Array) -> Array:
        """The mean of the squares."""
        variance: Array = np.square(centred).mean(axis=-1, keepdims=True)
        return variance

    def deviation(self, variance: Array) -> Array:
        """What LayerNorm divides by."""
        deviation: Array = np.sqrt(variance + np.float32(self.epsilon()))
        return deviation

    def epsilon(self) -> float:
        """What is added to the variance."""
        return self.model.architecture.norm_epsilon

    def gain(self, name: str) -> Array:
        """The gain of a norm."""
        return self.tensors[f"{name}.weight"]

    def norm_bias(self, name: str) -> Array:
        """The bias of a norm."""
        return self.tensors[f"{name}.bias"]

    def projections(self, layer: int, x: Array, positions: Ids) -> tuple[Array, Array, Array]:
        qkv = self.linear(f"h.{layer}.attn.c_attn", x)
        query, key, value = (self.split(part, self.model.shape.n_head) for part in self.thirds(qkv))
        return query, key, value

    def thirds(self, qkv: Array) -> list[Array]:
        """Queries, keys and values side by side, apart."""
        return np.split(qkv, 3, axis=-1)

    def linear(self, name: str, x: Array) -> Array:
        """[.., in] -> [.., out]; matrices of GPT-2 are stored [in, out]."""
        return self.kept(self.matrix(name, x) + self.bias(name))

    def matrix(self, name: str, x: Array) -> Array:
        """The product alone."""
        return x @ self.tensors[f"{name}.weight"]

    def bias(self, name: str) -> Array:
        """What is added to a product."""
        return self.tensors[f"{name}.bias"]

    def write(self, layer: int, x: Array) -> Array:
        return self.linear(f"h.{layer}.attn.c_proj", x)

    def mlp(self, layer: int, x: Array) -> Array:
        hidden = self.activation(self.linear(f"h.{layer}.mlp.c_fc", x))
        return self.linear(f"h.{layer}.mlp.c_proj", self.kept(hidden))

    def activation(self, x: Array) -> Array:
        cubes = self.kept(np.float32(0.044715) * self.kept(x * x * x))
        inner = self.kept(np.float32(sqrt(2 / pi)) * self.kept(x + cubes))
        return self.kept(np.float32(0.5) * x) * self.kept(1 + self.kept(np.tanh(inner)))

    def final_norm(self, x: Array) -> Array:
        return self.norm("ln_f", x)

    def unembedding(self) -> Array:
        return self.tensors["wte.weight" if self.model.architecture.tied else "lm_head.weight"]
