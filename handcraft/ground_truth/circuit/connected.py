"""Which edges the weights connect, and what is proved of those that they do not.

A reader is a matrix, after a LayerNorm where there is one: queries, keys, values, hidden units or
logits. What a source adds is in the row space of another matrix: the token embedding, W_O of a head,
or the second matrix of an MLP. If the product of the two is 0, nothing that the source adds is read.
LayerNorm also subtracts the mean, which stays the same if the rows of the source sum to 0. And it
divides by the standard deviation, which may change: this is the only effect that such an edge can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from handcraft.ground_truth.circuit.edge_graph import Edge, EdgeGraph, Reader, Source
from handcraft.model import Model
from handcraft.model.layers.attention import Array

Connection: TypeAlias = Literal["read", "unused", "unread", "scale", "moved", "added"]
"""What the weights say of an edge: the reader reads what the source adds; the source adds nothing, or
nothing depends on the reader; nothing of it is read, and there is no LayerNorm; or nothing of it is
read, and only the scale of the LayerNorm can move. Of an edge of a disguise: it was made of an edge
that carries nothing that is read; or an end of it was added, so that the original has no such edge."""


@dataclass(frozen=True, eq=False)
class Connections:
    """The connections of a model.

    Args:
        model: the model.
        graph: its sources and readers.
    """

    model: Model
    graph: EdgeGraph

    def of(self, edge: Edge) -> Connection:
        """What the weights prove about an edge: decided exactly, from the numbers that are not 0."""
        written, read = self._written[edge.source], self._read[edge.reader]
        if not len(written) or not read.shape[1]:
            return "unused"
        if _meets(written, read):
            return "read"
        if not self.model.architecture.has_norm:
            return "unread"
        if self._moves_mean[edge.source] and self._reads_mean(edge.reader):
            return "read"
        return "scale"

    @cached_property
    def _written(self) -> Mapping[Source, Array]:
        """What each source can add: rows of [.., n_embd]."""
        return {source: self._rows(source) for source in self.graph.sources}

    @cached_property
    def _read(self) -> Mapping[Reader, Array]:
        """What each reader reads: columns of [n_embd, ..], gains of norms included."""
        return {reader: self._columns(reader) for reader in self.graph.readers}

    @cached_property
    def _moves_mean(self) -> Mapping[Source, bool]:
        """Whether what a source adds can have a mean that is not 0."""
        return {
            source: any(sum(map(Fraction, row)) for row in _distinct(rows))
            for source, rows in self._written.items()
        }

    def _reads_mean(self, reader: Reader) -> bool:
        """Whether a reader sees it when the same number is added to every dimension."""
        return any(sum(map(Fraction, column)) for column in _distinct(self._read[reader].T))

    def _rows(self, source: Source) -> Array:
        tensors = self.model.tensors
        if source.kind == "input":  # a difference of two tokens
            embedded: Array = tensors["wte.weight"][list(self.model.vocabulary.numbers)]
            embedded = embedded.astype(np.float64)
            return _nonzero_rows(embedded[1:] - embedded[:1])
        if source.kind == "head":
            size = self.model.shape.head_dim
            channels = slice(source.head * size, (source.head + 1) * size)
            first = 2 * self.graph.n_embd + source.head * size
            name = f"h.{source.layer}.attn"
            moves = tensors[f"{name}.c_attn.weight"][:, first : first + size].any(axis=0)
            rows = tensors[f"{name}.c_proj.weight"][channels][moves]
            return _nonzero_rows(rows.astype(np.float64))
        if not self.model.shape.n_inner[source.layer]:
            return np.zeros((0, self.graph.n_embd))
        name = f"h.{source.layer}.mlp"
        moves = tensors[f"{name}.c_fc.weight"].any(axis=0)
        return _nonzero_rows(tensors[f"{name}.c_proj.weight"][moves].astype(np.float64))

    def _columns(self, reader: Reader) -> Array:
        tensors, architecture = self.model.tensors, self.model.architecture
        if reader.reads == "logits":
            head = tensors["wte.weight" if architecture.tied else "lm_head.weight"]
            return self._gained("ln_f", head.T)
        if reader.reads == "mlp":
            if not self.model.shape.n_inner[reader.layer]:
                return np.zeros((self.graph.n_embd, 0))
            name = f"h.{reader.layer}.mlp"
            used = tensors[f"{name}.c_proj.weight"].any(axis=1)
            return self._gained(f"h.{reader.layer}.ln_2", tensors[f"{name}.c_fc.weight"][:, used])
        size, name = self.model.shape.head_dim, f"h.{reader.layer}.attn"
        weight, bias = tensors[f"{name}.c_attn.weight"], tensors[f"{name}.c_attn.bias"]
        thirds = [third * self.graph.n_embd + reader.head * size for third in range(3)]
        q, k, v = (slice(start, start + size) for start in thirds)
        channels = slice(reader.head * size, (reader.head + 1) * size)
        used = tensors[f"{name}.c_proj.weight"][channels].any(axis=1)
        used &= weight[:, v].any(axis=0) | (bias[v] != 0)
        norm = f"h.{reader.layer}.ln_1"
        if reader.reads == "v":
            return self._gained(norm, weight[:, v][:, used])
        other = k if reader.reads == "q" else q  # a score is the product of the two
        used_scores = (weight[:, other].any(axis=0) | (bias[other] != 0)) & used.any()
        return self._gained(norm, weight[:, q if reader.reads == "q" else k][:, used_scores])

    def _gained(self, norm: str, weight: Array) -> Array:
        """A matrix with the gain of the norm before it, without columns that are 0."""
        columns = weight.astype(np.float64)
        if self.model.architecture.has_norm:
            columns = self.model.tensors[f"{norm}.weight"].astype(np.float64)[:, None] * columns
        kept: Array = columns[:, columns.any(axis=0)]
        return kept


def _meets(written: Array, read: Array) -> bool:
    """Whether a product of some rows and some columns has an entry that is not 0, exactly."""
    dimensions = written.any(axis=0) & read.any(axis=1)
    if not dimensions.any():
        return False
    rows, columns = written[:, dimensions], read[dimensions]
    if (rows @ columns).any():
        return True  # at worst a 0 that is rounded: then no pair of prompts will show the edge
    doubtful = np.argwhere(np.abs(rows) @ np.abs(columns))
    return any(_exact(rows[i].tolist(), columns[:, j].tolist()) for i, j in doubtful)


def _exact(row: Sequence[float], column: Sequence[float]) -> Fraction:
    """An inner product without rounding."""
    terms = (Fraction(a) * Fraction(b) for a, b in zip(row, column, strict=True) if a and b)
    return sum(terms, Fraction(0))


def _distinct(rows: Array) -> Iterator[tuple[float, ...]]:
    """The rows, each once."""
    yield from dict.fromkeys(map(tuple, rows.tolist()))


def _nonzero_rows(rows: Array) -> Array:
    kept: Array = rows[rows.any(axis=1)]
    return kept
