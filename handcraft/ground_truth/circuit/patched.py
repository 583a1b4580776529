"""A forward pass in which edges are patched: their readers see what the source adds in another run.

This is edge patching as EAP-IG evaluates circuits. A patched edge replaces, in the input of one
reader, the output of one source by its output in the corrupted run. The reader applies LayerNorm to the
changed sum, and everything after it is computed again: an edge that is not patched carries the output
of its source in the patched run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.ground_truth.circuit.edge_graph import Edge, EdgeGraph, Reader
from handcraft.model import Model
from handcraft.model.layers.activation import ACTIVATIONS
from handcraft.model.layers.attention import Array, attend
from handcraft.model.layers.linear import Linear
from handcraft.model.layers.norm import layer_norm
from handcraft.model.layers.product import product

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of some texts, and what each source adds in it.

    Args:
        outputs: what each source adds, [text, position, n_embd] each.
        streams: the residual stream that the readers of each stage see: before the heads and before
            the MLP of every block, and before the logits; [text, position, n_embd] each.
        logits: [text, position, n_vocab].
    """

    outputs: tuple[Array, ...]
    streams: tuple[Array, ...]
    logits: Array

    def only(self, texts: Sequence[int] | npt.NDArray[np.bool_]) -> Run:
        """The same for some of the texts."""
        return Run(
            tuple(each[texts] for each in self.outputs),
            tuple(each[texts] for each in self.streams),
            self.logits[texts],
        )


@dataclass(frozen=True, eq=False)
class PatchedModel:
    """A model that can be run with patched edges.

    Args:
        model: the model.
    """

    model: Model
    graph: EdgeGraph = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", EdgeGraph.of(self.model.shape))

    def run(self, ids: Ids) -> Run:
        """Run some texts as they are.

        Args:
            ids: [text, position].
        """
        tensors = self._tensors
        embedded = tensors["wte.weight"][ids]
        outputs: list[Array] = [embedded]
        streams: list[Array] = []
        x = embedded + tensors["wpe.weight"][: ids.shape[1]]
        for layer in range(self.graph.n_layer):
            streams.append(x)
            for head in range(self.graph.n_head):
                normed = self._norm(f"h.{layer}.ln_1", x)
                outputs.append(self._head(layer, head, normed, normed, normed))
            x = x + tensors[f"h.{layer}.attn.c_proj.bias"]
            for output in outputs[len(outputs) - self.graph.n_head :]:
                x = x + output
            streams.append(x)
            outputs.append(self._mlp(layer, x))
            x = x + outputs[-1]
        streams.append(x)
        return Run(tuple(outputs), tuple(streams), self._logits(x))

    def patched(self, clean: Run, corrupted: Run, edges: Iterable[Edge]) -> Array:
        """The logits of a clean run in which some edges carry what they carry in a corrupted run.

        Args:
            clean: a run of texts.
            corrupted: a run of as many texts of the same lengths.
            edges: the edges that are patched.

        Returns:
            [text, position, n_vocab].
        """
        patches: dict[Reader, list[int]] = {}
        for edge in dict.fromkeys(edges):
            patches.setdefault(edge.reader, []).append(edge.source.number)
        now: dict[int, Array] = {}  # the outputs that are not those of the clean run
        stage = -1
        stream = clean.streams[0]

        def seen(reader: Reader) -> Array:
            """The input of a reader."""
            x = stream
            for number in patches.get(reader, ()):
                x = x + (corrupted.outputs[number] - now.get(number, clean.outputs[number]))
            return x

        for readers in self._nodes:
            first = readers[0]
            if (at := _stage(first)) != stage:
                stage, stream = at, clean.streams[at]
                for number, output in now.items():
                    stream = stream + (output - clean.outputs[number])
            if not now and not any(reader in patches for reader in readers):
                continue
            if first.reads == "logits":
                return self._logits(seen(first))
            if first.reads == "mlp":
                found, number = self._mlp(first.layer, seen(first)), first.before
                if not np.array_equal(found, clean.outputs[number]):
                    now[number] = found
                continue
            name = f"h.{first.layer}.ln_1"
            shared = None if all(reader in patches for reader in readers) else self._norm(name, stream)
            q, k, v = (
                self._norm(name, seen(reader)) if reader in patches or shared is None else shared
                for reader in readers
            )
            found, number = self._head(first.layer, first.head, q, k, v), first.before + first.head
            if not np.array_equal(found, clean.outputs[number]):
                now[number] = found
        return clean.logits

    @cached_property
    def _nodes(self) -> tuple[tuple[Reader, ...], ...]:
        """The readers of each node, in the order of the forward pass."""
        nodes: dict[str, list[Reader]] = {}
        for reader in self.graph.readers:
            nodes.setdefault(reader.node, []).append(reader)
        return tuple(map(tuple, nodes.values()))

    def _head(self, layer: int, head: int, q: Array, k: Array, v: Array) -> Array:
        """What a head adds, without the bias, where it reads these: [text, position, n_embd]."""
        heads, out = self._heads[layer][head]
        queries, keys, values = (read(x) for read, x in zip(heads, (q, k, v), strict=True))
        if not out.size:
            return np.zeros((*v.shape[:-1], self.graph.n_embd), dtype=v.dtype)
        architecture = self.model.architecture
        scale = architecture.score_scale(self.model.shape.head_dim, layer)
        _, _, moved = attend(queries, keys, values, scale=scale, causal=architecture.causal)
        return product(moved, out)

    def _mlp(self, layer: int, x: Array) -> Array:
        """What an MLP adds, with its bias: [text, position, n_embd] -> [text, position, n_embd]."""
        found = self._mlps[layer]
        if found is None:
            return np.zeros_like(x)
        read, write = found
        if not write.weight.size:
            return np.zeros_like(x) + write.bias
        hidden = ACTIVATIONS[self.model.architecture.activation](read(self._norm(f"h.{layer}.ln_2", x)))
        written: Array = write(hidden)
        return written

    def _logits(self, x: Array) -> Array:
        tensors = self._tensors
        head = tensors["wte.weight" if self.model.architecture.tied else "lm_head.weight"]
        return product(self._norm("ln_f", x), head.T)

    def _norm(self, name: str, x: Array) -> Array:
        architecture, tensors = self.model.architecture, self._tensors
        if not architecture.has_norm:
            return x
        gain, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return layer_norm(x, gain, bias, architecture.norm_epsilon)

    @cached_property
    def _tensors(self) -> Mapping[str, Array]:
        dtype = self.model.running_dtype
        return {name: tensor.astype(dtype, copy=False) for name, tensor in self.model.tensors.items()}

    @cached_property
    def _heads(self) -> list[list[tuple[tuple[Linear, Linear, Linear], Array]]]:
        """How each head reads query, key and value, and W_O; without rows and channels that are 0."""
        size, found = self.model.shape.head_dim, []
        for layer in range(self.graph.n_layer):
            weight, bias, out = (
                self._tensors[f"h.{layer}.attn.{name}"]
                for name in ("c_attn.weight", "c_attn.bias", "c_proj.weight")
            )
            heads = []
            for head in range(self.graph.n_head):
                starts = [third * self.graph.n_embd + head * size for third in range(3)]
                q, k, v = (np.arange(start, start + size) for start in starts)
                used = weight[:, q].any(axis=0) | (bias[q] != 0)
                used &= weight[:, k].any(axis=0) | (bias[k] != 0)
                moved = out[head * size : (head + 1) * size].any(axis=1)
                reads = tuple(
                    _reading(weight[:, columns], bias[columns])
                    for columns in (q[used], k[used], v[moved])
                )
                heads.append((reads, out[head * size : (head + 1) * size][moved]))
            found.append(heads)
        return found  # type: ignore[return-value]

    @cached_property
    def _mlps(self) -> list[tuple[Linear, Linear] | None]:
        """How each MLP reads and writes, without units that write nothing; None where there is none."""
        found: list[tuple[Linear, Linear] | None] = []
        for layer, inner in enumerate(self.model.shape.n_inner):
            if not inner:
                found.append(None)
                continue
            names = ("c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias")
            c_fc, c_fc_bias, c_proj, bias = (self._tensors[f"h.{layer}.mlp.{n}"] for n in names)
            units = np.flatnonzero(c_proj.any(axis=1))
            found.append((_reading(c_fc[:, units], c_fc_bias[units]), Linear(c_proj[units], bias)))
        return found


def _stage(reader: Reader) -> int:
    """Which stream a reader sees: before heads, before the MLP, and so on."""
    return 2 * reader.layer + (reader.reads == "mlp")


def _reading(weight: Array, bias: Array) -> Linear:
    """A matrix without the rows that are 0."""
    rows = np.flatnonzero(weight.any(axis=1))
    return Linear(np.ascontiguousarray(weight[rows]), bias, rows)
