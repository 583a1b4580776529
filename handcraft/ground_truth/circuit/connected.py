"""Which edges the weights connect, and what is proved of those that they do not.

A reader is a matrix, after a norm where there is one: queries, keys, values, hidden units or logits.
What a source adds is in the row space of another matrix: the token embedding, W_O of a head, or the
second matrix of an MLP. If the product of the two is 0, nothing that the source adds is read.
LayerNorm also subtracts the mean, which stays the same if the rows of the source sum to 0. And it
divides by the standard deviation, which may change: this is the only effect that such an edge can have.
RMSNorm subtracts no mean, and divides by the root of the mean square.

In a Llama, which has no biases, some channels and hidden units read constants alone: what they add is
the same in every run but for the scale of the norm before them. Nothing else of it can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from handcraft.ground_truth.circuit.edge_graph import Edge, EdgeGraph, Reader, Source
from handcraft.ground_truth.circuit.matrices import (
    HeadMatrices,
    Matrix,
    MlpMatrices,
    embedding_of,
    gain_in,
    head_matrices,
    mlp_matrices,
    unembedding_of,
)
from handcraft.model import Model
from handcraft.model.layers.attention import Array, Flags

Connection: TypeAlias = Literal["read", "unused", "unread", "scale", "moved", "added"]
"""What the weights say of an edge: the reader reads what the source adds; the source adds nothing, or
nothing depends on the reader; nothing of it is read, and there is no norm; or nothing of it is
read, and only the scale of a norm can move. Of an edge of a disguise: it was made of an edge
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
        if not read.shape[1]:
            return "unused"
        if not len(written):
            return "scale" if self._adds_constants(edge.source) else "unused"
        if _meets(written, read):
            return "read"
        if not self.model.architecture.has_norm:
            return "unread"
        is_mean = self.model.architecture.norm == "layer"  # which RMSNorm does not subtract
        if is_mean and self._moves_mean[edge.source] and self._reads_mean(edge.reader):
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

    def _adds_constants(self, source: Source) -> bool:
        """Whether a source adds something, of which nothing can change but by the scale of a norm."""
        if not self.model.architecture.is_rotary or source.kind == "input":
            return False
        if source.kind == "head":
            head = self._heads[source.layer][source.head]
            return bool(head.out[head.v.used].any())
        mlp = self._mlps[source.layer]
        return mlp is not None and bool(mlp.live.any())

    def _rows(self, source: Source) -> Array:
        if source.kind == "input":  # a difference of two tokens
            return _nonzero_rows(self._differences)
        if source.kind == "head":
            head = self._heads[source.layer][source.head]
            return _nonzero_rows(head.out[self._varies(head.v)].astype(np.float64))
        mlp = self._mlps[source.layer]
        if mlp is None:
            return np.zeros((0, self.graph.n_embd))
        moves = self._varies(mlp.read)
        if mlp.up is not None:
            moves = (moves | self._varies(mlp.up)) & mlp.live
        return _nonzero_rows(mlp.write.weight[moves].astype(np.float64))

    def _varies(self, matrix: Matrix) -> Flags:
        """Which outputs of a matrix read more than constants: [out]."""
        varies: Flags = np.any(matrix.weight[self._varying] != 0, axis=0)
        return varies

    @cached_property
    def _varying(self) -> Flags:
        """The dimensions that may differ between texts or positions: in a GPT-2 all of them."""
        if not self.model.architecture.is_rotary:
            return np.ones(self.graph.n_embd, dtype=bool)
        embedding = embedding_of(self.model, self.model.tensors)
        tokens = embedding[[*self.model.vocabulary.numbers, self.model.begin_id or 0]]
        heads = [head.out for heads in self._heads for head in heads]
        units = [mlp.write.weight for mlp in self._mlps if mlp is not None]
        varying: Flags = np.any(
            [each.any(axis=0) for each in (tokens[1:] - tokens[:1], *heads, *units)], axis=0
        )
        return varying

    @cached_property
    def _differences(self) -> Array:
        """By what the embeddings of tokens differ from that of the first one: [token, n_embd]."""
        embedded = embedding_of(self.model, self.model.tensors)[list(self.model.vocabulary.numbers)]
        embedded = embedded.astype(np.float64)
        differences: Array = embedded[1:] - embedded[:1]
        return differences

    @cached_property
    def _heads(self) -> list[list[HeadMatrices]]:
        return [head_matrices(self.model, self.model.tensors, i) for i in range(self.graph.n_layer)]

    @cached_property
    def _mlps(self) -> list[MlpMatrices | None]:
        return [mlp_matrices(self.model, self.model.tensors, i) for i in range(self.graph.n_layer)]

    def _columns(self, reader: Reader) -> Array:
        if reader.reads == "logits":
            return self._gained("ln_f", unembedding_of(self.model, self.model.tensors).T)
        if reader.reads == "mlp":
            mlp = self._mlps[reader.layer]
            if mlp is None:
                return np.zeros((self.graph.n_embd, 0))
            read = [each.weight[:, mlp.live] for each in (mlp.read, mlp.up) if each is not None]
            return self._gained(f"h.{reader.layer}.ln_2", np.hstack(read))
        head = self._heads[reader.layer][reader.head]
        used = head.out.any(axis=1) & head.v.used
        norm = f"h.{reader.layer}.ln_1"
        if reader.reads == "v":
            return self._gained(norm, head.v.weight[:, used])
        own, other = (head.q, head.k) if reader.reads == "q" else (head.k, head.q)
        return self._gained(norm, own.weight[:, self._matched(other.used) & used.any()])

    def _matched(self, other: Flags) -> Flags:
        """The channels of queries whose products with keys can be other than 0, or the other way round.

        A score is the sum of products channel by channel. A rotation mixes the channels of a pair.
        """
        if not self.model.architecture.is_rotary:
            return other
        half = len(other) // 2
        return np.tile(other[:half] | other[half:], 2)

    def _gained(self, norm: str, weight: Array) -> Array:
        """A matrix with the gain of the norm before it, without columns that are 0."""
        columns = weight.astype(np.float64)
        if self.model.architecture.has_norm:
            gain = gain_in(self.model, self.model.tensors, norm)
            columns = gain.astype(np.float64)[:, None] * columns
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
