"""The ONNX graph of a GPT-2, or of a bare block."""

from __future__ import annotations

from math import pi, sqrt

from handcraft.formats.onnx.graph import Graph


class Gpt2Graph(Graph):
    """The forward pass of a GPT-2, node by node."""

    def embed(self) -> str:
        """Token and position embedding: [batch, length] -> [batch, length, n_embd]."""
        positions = self.places()
        tokens = self.op("Gather", self.weight("wte.weight"), "input_ids", out="token_embedding")
        places = self.op("Gather", self.weight("wpe.weight"), positions, out="position_embedding")
        return self.op("Add", tokens, places, out="embedding")

    def attention(self, layer: int, x: str) -> str:
        """What attention adds to the stream: [batch, length, n_embd] -> the same."""
        name, shape = f"h.{layer}.attn", self.model.shape
        x = self.norm(f"h.{layer}.ln_1", x)
        x = self.linear(f"{name}.c_attn", x, out=f"{name}.qkv")  # [batch, length, 3 n_embd]
        heads = self.integers("heads", [0, 0, 3, shape.n_head, shape.head_dim])
        x = self.op("Reshape", x, heads, out=f"{name}.heads")
        x = self.op("Transpose", x, out=f"{name}.heads_first", perm=[2, 0, 3, 1, 4])
        query, key, value = (  # [batch, head, position, head_dim]
            self.op("Gather", x, self.integers(part, which), out=f"{name}.{part}", axis=0)
            for which, part in enumerate(("query", "key", "value"))
        )
        x = self.attended(name, layer, query, key, value)
        return self.linear(f"{name}.c_proj", x, out=f"{name}.output")

    def mlp(self, layer: int, x: str) -> str:
        """What the MLP adds to the stream: [batch, length, n_embd] -> the same."""
        name = f"h.{layer}.mlp"
        x = self.norm(f"h.{layer}.ln_2", x)
        x = self.linear(f"{name}.c_fc", x, out=f"{name}.pre_activation")  # [batch, length, n_inner]
        x = self.activation(x, out=f"{name}.hidden")
        return self.linear(f"{name}.c_proj", x, out=f"{name}.output")

    def activation(self, x: str, *, out: str) -> str:
        """The function of the MLP, as `handcraft.model.layers.activation` has it."""
        kind = self.model.architecture.activation
        if kind == "relu":
            return self.op("Relu", x, out=out)
        if kind == "gelu_tanh":
            cube = self.op("Mul", x, self.op("Mul", x, x, out=f"{out}.square"), out=f"{out}.cube")
            cube = self.op("Mul", cube, self.number("gelu.cubic", 0.044715), out=f"{out}.cubic")
            inner = self.op("Add", x, cube, out=f"{out}.sum")
            inner = self.op("Mul", inner, self.number("gelu.scale", sqrt(2 / pi)), out=f"{out}.inner")
            gate = self.op("Tanh", inner, out=f"{out}.tanh")
        else:
            inner = self.op("Mul", x, self.number("gelu.scale", sqrt(0.5)), out=f"{out}.inner")
            gate = self.op("Erf", inner, out=f"{out}.erf")
        gate = self.op("Add", gate, self.number("gelu.one", 1.0), out=f"{out}.gate")
        half = self.op("Mul", x, self.number("gelu.half", 0.5), out=f"{out}.half")
        return self.op("Mul", half, gate, out=out)

    def norm(self, name: str, x: str) -> str:
        """LayerNorm in plain operations, where the architecture has one: the same shape.

        The operator of that name came with opset 17 only, and may take the variance as a difference
        of two large numbers.
        """
        architecture = self.model.architecture
        if not architecture.has_norm:
            return x
        mean = self.op("ReduceMean", x, out=f"{name}.mean", axes=[-1], keepdims=1)
        centred = self.op("Sub", x, mean, out=f"{name}.centred")
        square = self.op("Mul", centred, centred, out=f"{name}.square")
        variance = self.op("ReduceMean", square, out=f"{name}.variance", axes=[-1], keepdims=1)
        epsilon = self.number("norm_epsilon", architecture.norm_epsilon)
        variance = self.op("Add", variance, epsilon, out=f"{name}.widened")
        deviation = self.op("Sqrt", variance, out=f"{name}.deviation")
        unit = self.op("Div", centred, deviation, out=f"{name}.unit")
        scaled = self.op("Mul", unit, self.weight(f"{name}.weight"), out=f"{name}.scaled")
        return self.op("Add", scaled, self.weight(f"{name}.bias"), out=name)

    def linear(self, name: str, x: str, *, out: str) -> str:
        """[.., in] @ [in, out] + [out]."""
        product = self.op("MatMul", x, self.weight(f"{name}.weight"), out=f"{name}.product")
        return self.op("Add", product, self.weight(f"{name}.bias"), out=out)

    def head(self) -> str:
        """The unembedding, [n_vocab, n_embd]."""
        return self.weight("wte.weight" if self.model.architecture.tied else "lm_head.weight")
