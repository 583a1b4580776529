"""What the ONNX graphs of all models have in common: nodes, weights, constants, attention."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from math import prod
from typing import Any

import numpy as np

from handcraft.dtype import dtype_named
from handcraft.model import Model

WEIGHTS = "model.onnx.data"
"""The name of the file of weights, if they are not in the graph."""

OPSET = 13
"""Enough for every operation here, and old enough for runtimes of 2020 on."""

IR_VERSION = 7
"""The version of the file format that came with the opset."""


class Graph(ABC):
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
        if self.model.begin_id is not None:
            facts["begin"] = str(self.model.begin_id)
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
        unembedding = self.op("Transpose", self.head(), out="unembedding", perm=[1, 0])
        self.op("MatMul", x, unembedding, out="logits")  # [.., n_embd] @ [n_embd, n_vocab]

    @abstractmethod
    def embed(self) -> str:
        """The residual stream at the start: [batch, length] -> [batch, length, n_embd]."""

    @abstractmethod
    def attention(self, layer: int, x: str) -> str:
        """What attention adds to the stream: [batch, length, n_embd] -> the same."""

    @abstractmethod
    def mlp(self, layer: int, x: str) -> str:
        """What the MLP adds to the stream: [batch, length, n_embd] -> the same."""

    @abstractmethod
    def norm(self, name: str, x: str) -> str:
        """What a norm makes of the stream, by its name in a `Trace`: the same shape."""

    @abstractmethod
    def head(self) -> str:
        """The unembedding, [n_vocab, n_embd]."""

    def places(self) -> str:
        """The numbers of the positions, [length], and where a later one is hidden from an earlier."""
        sizes = self.op("Shape", "input_ids", out="sizes")
        length = self.op("Gather", sizes, self.integers("second", 1), out="length")
        positions = self.op(
            "Range", self.integers("zero", 0), length, self.integers("one", 1), out="positions"
        )
        architecture = self.model.architecture
        if architecture.causal and self.model.shape.n_layer:
            destination = self.op(
                "Reshape", positions, self.integers("upright", [-1, 1]), out="upright"
            )
            later = "is_later" if architecture.window is None else "is_after"
            self.op("Greater", positions, destination, out=later)  # [destination, source]
            if architecture.window is not None:
                reach = self.integers("window", architecture.window - 1)
                first = self.op("Sub", destination, reach, out="first_seen")
                self.op("Less", positions, first, out="is_out_of_window")
                self.op("Or", later, "is_out_of_window", out="is_later")
        return positions

    def attended(self, name: str, layer: int, query: str, key: str, value: str) -> str:
        """Scaled dot-product attention, heads side by side.

        Args:
            name: that the values have in a `Trace`.
            layer: the number of the block.
            query: [batch, n_head, position, head_dim].
            key: the same.
            value: the same.

        Returns:
            [batch, position, n_head head_dim].
        """
        shape = self.model.shape
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
        merged = self.integers("merged", [0, 0, shape.n_head * shape.head_dim])
        return self.op("Reshape", x, merged, out=f"{name}.merged")

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
        return self.array(name, np.asarray(value, dtype=self.model.running_dtype))

    def array(self, name: str, values: np.ndarray[Any, Any]) -> str:
        """Constants of the type that is computed in."""
        return self._constant(name, values)

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
