"""A model as an ONNX graph, built node by node."""

from __future__ import annotations

import json
from math import pi, prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.dtype import dtype_named
from handcraft.formats.foreign_files import import_extra
from handcraft.model import Model

FILE = "model.onnx"
"""The graph, with the weights in it unless they are too many."""

WEIGHTS = "model.onnx.data"
"""The name of the file of weights, if they are not in the graph."""

INLINE = 1 << 27
"""The most bytes of weights that a graph contains itself: it is made in memory, and at most 2 GiB."""

OPSET = 13
"""Enough for every operation here, and old enough for runtimes of 2020 on."""

IR_VERSION = 7
"""The version of the file format that came with the opset."""


def write_onnx(model: Model, folder: Path, *, with_stream: bool = False) -> None:
    """Write a model as an ONNX graph: ``input_ids`` in, ``logits`` out.

    ``input_ids`` is int64 [batch, length] with both axes dynamic; ``logits`` is [batch, length,
    n_vocab], float64 for a float64 model and float32 for any other. The weights keep their names and
    their type; float16 and bfloat16 are cast to float32 before anything is computed with them, as in
    `Model.forward`. Intermediates have their names in `Model.trace`. The tokens are in the metadata
    under ``vocabulary``, a JSON object with the id of each. More than `INLINE` bytes of weights go to a
    file beside the graph, one tensor at a time.

    Every architecture is supported, causal or not. The caller must check ids and lengths: an id below 0
    counts from the end of the vocabulary, one above it or a length above n_positions fails. In float64
    ONNX Runtime rounds the scale of scores to float32, which costs 1e-8, and has no Erf for gelu_erf.

    `with_stream` adds the output ``residual``, [batch, length, n_embd]: the residual stream after the
    last block, from which the values of a model without logits are read.
    """
    path = folder / FILE
    onnx = import_extra("onnx", "ONNX")
    stands_alone = model.parameters * model.dtype.itemsize <= INLINE
    graph = _Graph(onnx, model, stands_alone=stands_alone, with_stream=with_stream)
    graph.build()
    if not stands_alone:
        with (folder / WEIGHTS).open("wb") as file:
            for name in graph.shapes:
                np.ascontiguousarray(model.tensors[name]).tofile(file)
    path.write_bytes(graph.proto().SerializeToString(deterministic=True))


class _Graph:
    """The nodes and the constants of one model, each node named after its only output.

    Args:
        onnx: the package.
        model: what the graph computes.
        stands_alone: whether the weights are in the graph, not in a file beside it.
        with_stream: whether the last residual stream comes out too.
    """

    def __init__(
        self, onnx: Any, model: Model, *, stands_alone: bool, with_stream: bool = False
    ) -> None:
        self.onnx = onnx
        self.model = model
        self.with_stream = with_stream
        self.shapes = model.shape.tensors(model.architecture)
        self.running = _type_code(onnx, model.running_dtype)
        self.nodes: list[Any] = []
        self.weights = self._inside() if stands_alone else self._beside()
        self.constants: dict[str, Any] = {}
        self.cast: set[str] = set()

    def proto(self) -> Any:
        """The finished model."""
        helper, shape = self.onnx.helper, self.model.shape
        integers = self.onnx.TensorProto.INT64
        widths = {"logits": shape.n_vocab} | ({"residual": shape.n_embd} if self.with_stream else {})
        graph = helper.make_graph(
            self.nodes,
            "handcraft",
            [helper.make_tensor_value_info("input_ids", integers, ["batch", "length"])],
            [
                helper.make_tensor_value_info(name, self.running, ["batch", "length", width])
                for name, width in widths.items()
            ],
            [*self.weights, *self.constants.values()],
        )
        proto = helper.make_model(
            graph,
            producer_name="handcraft",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        vocabulary = self.model.vocabulary
        ids = dict(zip(vocabulary.tokens, vocabulary.numbers, strict=True))
        facts = {
            "architecture": self.model.architecture.name,
            "n_positions": str(shape.n_positions),
            "vocabulary": json.dumps(ids, ensure_ascii=False),
        }
        helper.set_model_props(proto, facts)
        return proto

    def build(self) -> None:
        """Lay out the whole forward pass."""
        model = self.model
        x = self.embed()
        for layer in range(model.shape.n_layer):
            x = self.op("Add", x, self.attention(layer, x), out=f"h.{layer}.after_attention")
            if model.shape.n_inner[layer]:
                x = self.op("Add", x, self.mlp(layer, x), out=f"h.{layer}.output")
        if self.with_stream:
            self.op("Identity", x, out="residual")
        x = self.norm("ln_f", x)
        head = self.weight("wte.weight" if model.architecture.tied else "lm_head.weight")
        unembedding = self.op("Transpose", head, out="unembedding", perm=[1, 0])
        self.op("MatMul", x, unembedding, out="logits")  # [.., n_embd] @ [n_embd, n_vocab]

    def embed(self) -> str:
        """Token and position embedding: [batch, length] -> [batch, length, n_embd]."""
        sizes = self.op("Shape", "input_ids", out="sizes")
        length = self.op("Gather", sizes, self.integers("second", 1), out="length")
        positions = self.op(
            "Range", self.integers("zero", 0), length, self.integers("one", 1), out="positions"
        )
        tokens = self.op("Gather", self.weight("wte.weight"), "input_ids", out="token_embedding")
        places = self.op("Gather", self.weight("wpe.weight"), positions, out="position_embedding")
        if self.model.architecture.causal and self.model.shape.n_layer:
            destination = self.op(
                "Reshape", positions, self.integers("upright", [-1, 1]), out="upright"
            )
            self.op("Greater", positions, destination, out="is_later")  # [destination, source]
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
        scale = self.model.architecture.score_scale(shape.head_dim, layer)
        key = self.op("Transpose", key, out=f"{name}.key_transposed", perm=[0, 1, 3, 2])
        scores = self.op("MatMul", query, key, out=f"{name}.products")  # [.., destination, source]
        scores = self.op("Mul", scores, self.number(f"{name}.scale", scale), out=f"{name}.scores")
        if self.model.architecture.causal:
            never = self.number("never", -np.inf)
            scores = self.op("Where", "is_later", never, scores, out=f"{name}.seen")
        pattern = self.op("Softmax", scores, out=f"{name}.pattern", axis=-1)
        x = self.op("MatMul", pattern, value, out=f"{name}.head_output")
        x = self.op("Transpose", x, out=f"{name}.side_by_side", perm=[0, 2, 1, 3])
        x = self.op("Reshape", x, self.integers("merged", [0, 0, shape.n_embd]), out=f"{name}.merged")
        return self.linear(f"{name}.c_proj", x, out=f"{name}.output")

    def mlp(self, layer: int, x: str) -> str:
        """What the MLP adds to the stream: [batch, length, n_embd] -> the same."""
        name = f"h.{layer}.mlp"
        x = self.norm(f"h.{layer}.ln_2", x)
        x = self.linear(f"{name}.c_fc", x, out=f"{name}.pre_activation")  # [batch, length, n_inner]
        x = self.activation(x, out=f"{name}.hidden")
        return self.linear(f"{name}.c_proj", x, out=f"{name}.output")

    def activation(self, x: str, *, out: str) -> str:
        """The function of the MLP, as `handcraft.model.activation` has it."""
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

    def weight(self, name: str) -> str:
        """A tensor of the model, in the type that is computed in."""
        if self.model.dtype == self.model.running_dtype:
            return name
        wide = f"{name}.{self.model.running_dtype.name}"
        if name not in self.cast:
            self.cast.add(name)
            self.op("Cast", name, out=wide, to=self.running)
        return wide

    def number(self, name: str, value: float) -> str:
        """A constant of the type that is computed in."""
        return self._constant(name, np.asarray(value, dtype=self.model.running_dtype))

    def integers(self, name: str, value: int | list[int]) -> str:
        """One constant integer, or a list of them."""
        return self._constant(f"{name}.integer", np.asarray(value, dtype=np.int64))

    def op(self, kind: str, *inputs: str, out: str, **attributes: Any) -> str:
        """A node with one output, which is returned."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [out], name=out, **attributes))
        return out

    def _constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        self.constants.setdefault(name, self.onnx.numpy_helper.from_array(value, name))
        return name

    def _inside(self) -> list[Any]:
        """All weights with their numbers."""
        code = _type_code(self.onnx, self.model.dtype)
        tensors = self.model.tensors
        return [
            self.onnx.helper.make_tensor(name, code, sizes, tensors[name].tobytes(), raw=True)
            for name, sizes in self.shapes.items()
        ]

    def _beside(self) -> list[Any]:
        """All weights as places in the file beside the graph, one after the other."""
        protos: list[Any] = []
        offset = 0
        for name, sizes in self.shapes.items():
            proto = self.onnx.TensorProto(
                name=name,
                data_type=_type_code(self.onnx, self.model.dtype),
                dims=sizes,
                data_location=self.onnx.TensorProto.EXTERNAL,
            )
            length = prod(sizes) * self.model.dtype.itemsize
            for key, value in (("location", WEIGHTS), ("offset", offset), ("length", length)):
                proto.external_data.add(key=key, value=str(value))
            offset += length
            protos.append(proto)
        return protos


def _type_code(onnx: Any, dtype: np.dtype[Any]) -> Any:
    return getattr(onnx.TensorProto, dtype_named(dtype.name).onnx)
