"""Which edge of the original each edge of a disguise was made of.

A head that was split is several nodes, so one edge becomes several.
"""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.disguise.carried import Carried
from handcraft.ground_truth.circuit.edge_graph import Edge, EdgeGraph, Reader, Source


@dataclass(frozen=True, eq=False)
class CarriedEdges:
    """The edges of a disguise, and those of its original that they were made of.

    Args:
        carried: the map.
    """

    carried: Carried

    def origin(self, edge: Edge) -> Edge | None:
        """The edge of the original that an edge was made of; None where an end of it was added."""
        old = EdgeGraph.of(self.carried.old)
        source, reader = self._source(edge.source, old), self._reader(edge.reader, old)
        return None if source is None or reader is None else Edge(source, reader)

    def _source(self, source: Source, old: EdgeGraph) -> Source | None:
        if source.kind == "input":
            return old.sources[0]
        at = self._place(source.layer, source.head if source.kind == "head" else None)
        same = (s for s in old.sources if s.kind == source.kind and (s.layer, s.head) == at)
        return next(same, None)

    def _reader(self, reader: Reader, old: EdgeGraph) -> Reader | None:
        if reader.reads == "logits":
            return old.readers[-1]
        at = self._place(reader.layer, None if reader.reads == "mlp" else reader.head)
        same = (r for r in old.readers if r.reads == reader.reads and (r.layer, r.head) == at)
        return next(same, None)

    def _place(self, layer: int, head: int | None) -> tuple[int, int] | None:
        """The old block and head of a head, or of an MLP."""
        if head is not None:
            copy = self.carried.heads[layer][head]
            return None if copy is None else (copy.source.block, copy.source.number)
        block = self.carried.blocks[layer]
        return None if block is None else (block, 0)
