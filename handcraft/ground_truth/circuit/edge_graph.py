"""The nodes and edges of a model, as EAP-IG and MIB count and name them.

A *source* adds to the residual stream: the embedding of the input, a head, an MLP. A *reader* reads
it: the query, the key or the value of a head, an MLP, or the logits. The input of a reader is the sum
of the outputs of all earlier sources, so each pair of an earlier source and a reader is an edge. Biases
and positions are the same in every run, and belong to no source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from handcraft.model import Shape

Kind: TypeAlias = Literal["input", "head", "mlp"]
Reads: TypeAlias = Literal["q", "k", "v", "mlp", "logits"]


@dataclass(frozen=True, order=True)
class Source:
    """What adds to the residual stream.

    Args:
        number: its place among the sources, in the order of the forward pass.
        layer: its block; -1 for the input.
        kind: what it is.
        head: which head of the block.
    """

    number: int
    layer: int
    kind: Kind
    head: int = 0

    @property
    def name(self) -> str:
        """As EAP-IG names it: ``input``, ``a0.h1``, ``m0``."""
        if self.kind == "input":
            return "input"
        return f"a{self.layer}.h{self.head}" if self.kind == "head" else f"m{self.layer}"


@dataclass(frozen=True, order=True)
class Reader:
    """What reads the residual stream.

    Args:
        number: its place among the readers, in the order of the forward pass.
        layer: its block; as many as there are blocks for the logits.
        reads: what of a head it is, or the MLP, or the logits.
        head: which head of the block.
        before: how many sources come before it.
    """

    number: int
    layer: int
    reads: Reads
    head: int
    before: int

    @property
    def node(self) -> str:
        """The node that it belongs to, as EAP-IG names it."""
        if self.reads == "logits":
            return "logits"
        return f"m{self.layer}" if self.reads == "mlp" else f"a{self.layer}.h{self.head}"

    @property
    def suffix(self) -> str:
        """What follows the node in the name of an edge: ``<q>`` and so on for heads."""
        return f"<{self.reads}>" if self.reads in ("q", "k", "v") else ""


@dataclass(frozen=True, order=True)
class Edge:
    """One reader, and one source before it."""

    source: Source
    reader: Reader

    @property
    def name(self) -> str:
        """As EAP-IG names it, such as ``a0.h0->a1.h0<q>``."""
        return f"{self.source.name}->{self.reader.node}{self.reader.suffix}"


@dataclass(frozen=True)
class EdgeGraph:
    """All sources, readers and edges of a model.

    Args:
        n_layer: its blocks.
        n_head: the heads of each block.
        n_embd: its width.
    """

    n_layer: int
    n_head: int
    n_embd: int

    @classmethod
    def of(cls, shape: Shape) -> EdgeGraph:
        """The graph of a model of these sizes."""
        return cls(shape.n_layer, shape.n_head, shape.n_embd)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """In the order of the forward pass."""
        found = [Source(0, -1, "input")]
        for layer in range(self.n_layer):
            found += [Source(len(found) + h, layer, "head", h) for h in range(self.n_head)]
            found.append(Source(len(found), layer, "mlp"))
        return tuple(found)

    @cached_property
    def readers(self) -> tuple[Reader, ...]:
        """In the order of the forward pass."""
        found: list[Reader] = []
        for layer in range(self.n_layer):
            before = 1 + layer * (self.n_head + 1)
            for head in range(self.n_head):
                for reads in READS:
                    found.append(Reader(len(found), layer, reads, head, before))
            found.append(Reader(len(found), layer, "mlp", 0, before + self.n_head))
        found.append(Reader(len(found), self.n_layer, "logits", 0, len(self.sources)))
        return tuple(found)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Reader by reader."""
        return tuple(self._edges())

    def _edges(self) -> Iterator[Edge]:
        for reader in self.readers:
            for source in self.sources[: reader.before]:
                yield Edge(source, reader)

    @property
    def config(self) -> dict[str, object]:
        """The sizes by the names of TransformerLens."""
        return {
            "n_layers": self.n_layer,
            "n_heads": self.n_head,
            "parallel_attn_mlp": False,
            "d_model": self.n_embd,
        }


READS: tuple[Literal["q", "k", "v"], ...] = ("q", "k", "v")
