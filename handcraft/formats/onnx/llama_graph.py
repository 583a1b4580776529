"""The ONNX graph of a Llama, in operators that every runtime has."""

from __future__ import annotations

from handcraft.formats.onnx.graph import Graph
from handcraft.model.forward.llama import gain_of
from handcraft.model.layers.rotary import frequencies


class LlamaGraph(Graph):
    """The forward pass of a Llama, node by node."""

    def embed(self) -> str:
        """Token embedding, and the cosines and sines of the positions beside it."""
        positions = self.places()
        shape, theta = self.model.shape, self.model.architecture.theta
        assert theta is not None
        if shape.n_layer:
            dtype = self.model.running_dtype
            turns = self.array("frequencies", frequencies(shape.head_dim, theta, dtype))
            upright = self.integers("upright", [-1, 1])
            places = self.op("Reshape", positions, upright, out="places")
            places = self.op("Cast", places, out="places.float", to=self.running)
            angles = self.op("Mul", places, turns, out="half_angles")  # [position, head_dim / 2]
            angles = self.op("Concat", angles, angles, out="angles", axis=-1)
            self.op("Cos", angles, out="cosines")  # [position, head_dim]
            self.op("Sin", angles, out="sines")
        return self.op("Gather", self.weight("embed_tokens.weight"), "input_ids", out="embedding")

    def attention(self, layer: int, x: str) -> str:
        """What attention adds to the stream: [batch, length, n_embd] -> the same."""
        name, shape = f"layers.{layer}.self_attn", self.model.shape
        shown = f"h.{layer}.attn"
        x = self.norm(f"h.{layer}.ln_1", x)
        parts = {}
        for part, heads in (
            ("query", shape.n_head),
            ("key", shape.kv_heads),
            ("value", shape.kv_heads),
        ):
            y = self.times(f"{name}.{part[0]}_proj", x, out=f"{shown}.{part}.flat")
            sizes = self.integers(f"{part}.heads", [0, 0, heads, shape.head_dim])
            y = self.op("Reshape", y, sizes, out=f"{shown}.{part}.heads")
            out = f"{shown}.value" if part == "value" else f"{shown}.{part}.still"
            y = self.op(
                "Transpose", y, out=out, perm=[0, 2, 1, 3]
            )  # [batch, heads, position, head_dim]
            parts[part] = y if part == "value" else self.rotated(y, out=f"{shown}.{part}")
        group = shape.n_head // shape.kv_heads
        if group > 1:
            read = [head // group for head in range(shape.n_head)]
            for part in ("key", "value"):
                which, out = self.integers("group_of_head", read), f"{shown}.{part}.repeated"
                parts[part] = self.op("Gather", parts[part], which, out=out, axis=1)
        x = self.attended(shown, layer, parts["query"], parts["key"], parts["value"])
        return self.times(f"{name}.o_proj", x, out=f"{shown}.output")

    def rotated(self, x: str, *, out: str) -> str:
        """Every pair (j, j + head_dim / 2) turned by its angle: the same shape."""
        half = self.model.shape.head_dim // 2
        left = self._slice(x, 0, half, out=f"{out}.left")
        right = self._slice(x, half, 2 * half, out=f"{out}.right")
        right = self.op("Neg", right, out=f"{out}.negated")
        turned = self.op("Concat", right, left, out=f"{out}.turned", axis=-1)
        straight = self.op("Mul", x, "cosines", out=f"{out}.straight")
        return self.op("Add", straight, self.op("Mul", turned, "sines", out=f"{out}.across"), out=out)

    def _slice(self, x: str, start: int, end: int, *, out: str) -> str:
        starts, ends = self.integers(f"{start}", [start]), self.integers(f"{end}", [end])
        return self.op("Slice", x, starts, ends, self.integers("last", [-1]), out=out)

    def mlp(self, layer: int, x: str) -> str:
        """What the gated units add to the stream: [batch, length, n_embd] -> the same."""
        name, shown = f"layers.{layer}.mlp", f"h.{layer}.mlp"
        x = self.norm(f"h.{layer}.ln_2", x)
        gate = self.times(f"{name}.gate_proj", x, out=f"{shown}.pre_activation")
        up = self.times(f"{name}.up_proj", x, out=f"{shown}.up")
        hidden = self.op("Mul", self.silu(gate, out=f"{shown}.gate"), up, out=f"{shown}.hidden")
        return self.times(f"{name}.down_proj", hidden, out=f"{shown}.output")

    def silu(self, x: str, *, out: str) -> str:
        """X / (1 + exp(-x)): the operator Sigmoid is never 0 in some runtimes."""
        power = self.op("Exp", self.op("Neg", x, out=f"{out}.negated"), out=f"{out}.power")
        return self.op(
            "Div", x, self.op("Add", power, self.number("unit", 1.0), out=f"{out}.sum"), out=out
        )

    def norm(self, name: str, x: str) -> str:
        """RMSNorm in plain operations: the same shape."""
        square = self.op("Mul", x, x, out=f"{name}.square")
        mean = self.op("ReduceMean", square, out=f"{name}.mean_square", axes=[-1], keepdims=1)
        epsilon = self.number("norm_epsilon", self.model.architecture.norm_epsilon)
        root = self.op("Sqrt", self.op("Add", mean, epsilon, out=f"{name}.widened"), out=f"{name}.root")
        scale = self.op("Reciprocal", root, out=f"{name}.scale")
        unit = self.op("Mul", x, scale, out=f"{name}.unit")
        return self.op("Mul", unit, self.weight(gain_of(name)), out=name)

    def times(self, name: str, x: str, *, out: str) -> str:
        """[.., in] times a matrix that is stored [out, in]."""
        turned = self.op("Transpose", self.weight(f"{name}.weight"), out=f"{name}.turned", perm=[1, 0])
        return self.op("MatMul", x, turned, out=out)

    def head(self) -> str:
        """The unembedding, [n_vocab, n_embd]."""
        return self.weight("embed_tokens.weight" if self.model.architecture.tied else "lm_head.weight")
