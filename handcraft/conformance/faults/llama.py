"""The network of Llama, step by step."""

from __future__ import annotations

import numpy as np

from handcraft.conformance.faults.reference import Ids, Reference
from handcraft.model.layers.attention import Array


class LlamaReference(Reference):
    """RMSNorm, rotated queries and keys, query groups, SwiGLU, no biases; matrices are [out, in]."""

    def embed(self, ids: Ids, positions: Ids) -> Array:
        return self.tensors["embed_tokens.weight"][ids]

    def norm_names(self, layer: int) -> tuple[str, str]:
        return f"layers.{layer}.input_layernorm", f"layers.{layer}.post_attention_layernorm"

    def norm(self, name: str, x: Array) -> Array:
        return self.kept(self.kept(self.normed(x)) * self.gain(name))

    def normed(self, x: Array) -> Array:
        """RMSNorm before its gain."""
        mean_square = np.square(x).mean(axis=-1, keepdims=True)
        root: Array = np.sqrt(mean_square + np.float32(self.epsilon()))
        return x / root

    def epsilon(self) -> float:
        """What is added to the mean square."""
        return self.model.architecture.norm_epsilon

    def gain(self, name: str) -> Array:
        """The gain of a norm."""
        return self.tensors[f"{name}.weight"]

    def matrix(self, name: str, x: Array) -> Array:
        """[.., in] -> [.., out]."""
        return self.kept(x @ self.tensors[f"{name}.weight"].T)

    def projections(self, layer: int, x: Array, positions: Ids) -> tuple[Array, Array, Array]:
        shape, part = self.model.shape, f"layers.{layer}.self_attn"
        query = self.split(self.matrix(f"{part}.q_proj", x), shape.n_head)
        key = self.split(self.matrix(f"{part}.k_proj", x), shape.kv_heads)
        value = self.split(self.matrix(f"{part}.v_proj", x), shape.kv_heads)
        return self.rotated(query, self.query_positions(positions)), self.rotated(key, positions), value

    def query_positions(self, positions: Ids) -> Ids:
        """By which positions queries are rotated."""
        return positions

    def rotated(self, x: Array, positions: Ids) -> Array:
        """Queries or keys, [batch, head, new, head_dim], turned by their positions, [batch, new]."""
        angles = self.angles(positions)[:, None]  # [batch, 1, new, head_dim / 2]
        cosines, sines = self.kept(np.cos(angles)), self.kept(np.sin(angles))
        first, second = self.pairs(x)
        return self.joined(
            self.kept(self.kept(first * cosines) - self.kept(second * sines)),
            self.kept(self.kept(second * cosines) + self.kept(first * sines)),
        )

    def angles(self, positions: Ids) -> Array:
        """The angle of each pair: [batch, new, head_dim / 2]."""
        angles: Array = positions[..., None].astype(np.float32) * self.frequencies()
        return angles

    def frequencies(self) -> Array:
        """The angle by which one position turns each pair."""
        head_dim = self.model.shape.head_dim
        exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
        found: Array = 1 / np.float32(self.theta()) ** exponents
        return found

    def theta(self) -> float:
        """The base of the frequencies."""
        theta = self.model.architecture.theta
        assert theta is not None
        return theta

    def pairs(self, x: Array) -> tuple[Array, Array]:
        """The two components of each pair: j and j + head_dim / 2."""
        first, second = np.split(x, 2, axis=-1)
        return first, second

    def joined(self, first: Array, second: Array) -> Array:
        """The reverse of `pairs`."""
        return np.concatenate([first, second], axis=-1)

    def write(self, layer: int, x: Array) -> Array:
        return self.matrix(f"layers.{layer}.self_attn.o_proj", x)

    def mlp(self, layer: int, x: Array) -> Array:
        gate, up = self.gate_and_up(layer, x)
        hidden = self.kept(self.kept(self.activation(gate)) * up)
        return self.matrix(f"layers.{layer}.mlp.down_proj", hidden)

    def gate_and_up(self, layer: int, x: Array) -> tuple[Array, Array]:
        """What the activation is taken of, and what it is multiplied with."""
        part = f"layers.{layer}.mlp"
        return self.matrix(f"{part}.gate_proj", x), self.matrix(f"{part}.up_proj", x)

    def activation(self, x: Array) -> Array:
        return np.asarray(x / (1 + np.exp(-x)), dtype=np.float32)

    def final_norm(self, x: Array) -> Array:
        return self.norm("norm", x)

    def unembedding(self) -> Array:
        tied = self.model.architecture.tied
        return self.tensors["embed_tokens.weight" if tied else "lm_head.weight"]
