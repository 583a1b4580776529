"""Which values an edge carries: those that its source writes, and its reader reads."""

from __future__ import annotations

from collections.abc import Iterable

from handcraft.circuits import Subspace
from handcraft.ground_truth.circuit.edge_graph import Edge, Reader, Source
from handcraft.ground_truth.disguised import Disguised
from handcraft.ground_truth.subject import LaidOut
from handcraft.weights import Layer


def carried(subject: LaidOut, edge: Edge) -> tuple[str, ...]:
    """The names of the subspaces that the reader of an edge reads, and the source writes to.

    A source also writes to subspaces that it clears. Then another value is stored in the same
    dimensions, and that value is what the reader reads.
    """
    if isinstance(subject, Disguised):
        origin = subject.edges.origin(edge)
        if origin is None:
            return ()
        subject, edge = subject.original, origin
    written = {cell for s in _written(subject, edge.source) for cell in subject.cells[s.name]}
    read = dict.fromkeys(_read(subject, edge.reader))
    return tuple(s.name for s in read if written & subject.cells[s.name])


def _written(subject: LaidOut, source: Source) -> Iterable[Subspace]:
    if source.kind == "input":
        return [table.subspace for table in subject.circuits.embedding if table.of == "token"]
    layer = _layer(subject, source.layer)
    if source.kind == "mlp":
        return [write.subspace for unit in layer.units for write in unit.neuron.writes]
    heads = layer.heads[source.head : source.head + 1]
    return [linear.target for head in heads for linear in head.writes]


def _read(subject: LaidOut, reader: Reader) -> Iterable[Subspace]:
    if reader.reads == "logits":
        unembedding = subject.circuits.unembedding
        return [] if unembedding is None else [unembedding]
    layer = _layer(subject, reader.layer)
    if reader.reads == "mlp":
        return [read.subspace for unit in layer.units for read in unit.neuron.all_reads]
    maps = {"q": "query", "k": "key"}
    heads = layer.heads[reader.head : reader.head + 1]
    if reader.reads == "v":
        return [linear.source for head in heads for linear in head.moves]
    return [m.source for head in heads for m in getattr(head.attends, maps[reader.reads])]


def _layer(subject: LaidOut, number: int) -> Layer:
    """A block; one that was added to fill a larger shape has nothing in it."""
    return subject.layers[number] if number < len(subject.layers) else Layer()
