"""The data flow of circuits as a graph: what every head and neuron reads, and where it writes.

A subspace of the residual stream is drawn anew each time something writes to it, so that everything
flows one way; a broad pale line joins its earlier box to the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from handcraft.circuits import Bias, Block, Circuits, Head, Subspace
from handcraft.display import count
from handcraft.draw.canvas.style import (
    BLOCK,
    EDGE,
    GRAPH,
    LEGEND,
    NODE,
    Flow,
    Kind,
    edge_style,
    node_style,
)
from handcraft.draw.graphs.effects import bias_fields, head_rows, neuron_fields, rules_of, shape_of
from handcraft.draw.graphs.groups import Family, NeuronGroup, neuron_groups, subspace_families
from handcraft.draw.graphs.label import box, caption, some, visible
from handcraft.vocabulary import shorten

if TYPE_CHECKING:
    import graphviz

_Written = dict[Family, list[str]]
"""For each family that is written to, the boxes that do."""

_MOST_NAMES = 3
_MOST_TOKENS = 8

_GAP = "\u00a0\u00a0"
"""No-break spaces between a line and its label, which fonts wider than Helvetica need."""


def circuits_graph(circuits: Circuits) -> graphviz.Digraph:
    """The data flow of `circuits`, from the token and its position down to the next token.

    Dashed lines show what decides where a head attends (its QK circuit), solid lines what it moves and
    where it writes (its OV circuit). Neurons that read and write the same are one box, and so are many
    subspaces with the same role.

    Returns:
        A graph whose `source` is the same for the same circuits; `handcraft.draw.graphs.render` makes a
        picture of it.
    """
    import graphviz

    graph = graphviz.Digraph("dataflow", graph_attr=GRAPH, node_attr=NODE, edge_attr=EDGE)
    symbols = [f"{name} = {value}" for name, value in circuits.values.items()]
    graph.attr(label=caption(*LEGEND, *some(symbols, _MOST_NAMES)))
    drawing = _Drawing(graph, circuits)
    drawing.draw_embedding()
    for number, block in enumerate(circuits.blocks):
        drawing.draw_block(number, block)
    drawing.draw_unembedding()
    return graph


class _Drawing:
    """The graph while it is drawn, and what box each part of the residual stream is in by now."""

    def __init__(self, graph: graphviz.Digraph, circuits: Circuits) -> None:
        self._graph = graph
        self._circuits = circuits
        self._families = subspace_families(circuits)
        self._family_of = {subspace: family for family in self._families for subspace in family.members}
        self._number = {family: i for i, family in enumerate(self._families)}
        self._now: dict[Family, str] = {}
        self._versions = dict.fromkeys(self._families, 0)

    def draw_embedding(self) -> None:
        """The token and the position, and the subspaces that they are embedded into."""
        vocabulary = self._circuits.vocabulary.tokens
        inputs = {
            "token": shorten([visible(token) for token in vocabulary], most=_MOST_TOKENS),
            "position": f"0 to {self._circuits.context - 1}",
        }
        for of, values in inputs.items():
            tables = [table for table in self._circuits.embedding if table.of == of]
            if not tables:
                continue
            self._node(self._graph, of, "input", [f"input: {of}"], [values])
            for family in dict.fromkeys(self._family_of[table.subspace] for table in tables):
                if family not in self._now:
                    self._subspace(self._graph, family, "")
                self._edge(of, self._now[family], "embed")
        self._idle()

    def draw_block(self, number: int, block: Block) -> None:
        """One block: heads and neurons, with what they read and write."""
        with self._graph.subgraph(name=f"cluster_block_{number}") as cluster:
            cluster.attr(label=f"block {number}", **BLOCK)
            if not (block.heads or block.attention_bias or block.neurons or block.neuron_bias):
                self._node(cluster, f"block {number} empty", "idle", ["nothing here"])
            written: _Written = {}
            for place, head in enumerate(block.heads):
                self._head(cluster, f"block {number} head {place}", head, written)
            self._biases(cluster, f"block {number} attention bias", block.attention_bias, written)
            if not (block.neurons or block.neuron_bias):
                self._update(self._graph, written, f"after block {number}")
                return
            self._update(cluster, written, f"after the heads of block {number}")
            above = next((boxes[0] for boxes in written.values()), None)
            written = {}
            for place, group in enumerate(neuron_groups(block.neurons, self._family_of)):
                self._neurons(cluster, f"block {number} neurons {place}", group, written)
            self._biases(cluster, f"block {number} neuron bias", block.neuron_bias, written)
            if above is not None:  # neurons come after heads, also those that read no head's work
                for node in dict.fromkeys(node for boxes in written.values() for node in boxes):
                    self._graph.edge(above, node, style="invis", minlen="2", weight="0")
            self._update(self._graph, written, f"after block {number}")

    def draw_unembedding(self) -> None:
        """The subspace that becomes the logits, and the next token."""
        read = self._circuits.unembedding
        if read is None:
            return
        to_logits, to_token = f"{read} becomes the logits", "the one with the highest logit"
        self._node(self._graph, "unembedding", "output", ["unembedding"], [to_logits])
        self._edge(self._current(self._family_of[read]), "unembedding", "move")
        self._node(self._graph, "next token", "output", ["next token"], [to_token])
        self._edge("unembedding", "next token", "write")

    def _head(self, graph: graphviz.Digraph, node: str, head: Head, written: _Written) -> None:
        names = [f"head: {head.name}", f"attends to: {head.attends.label}"]
        self._node(graph, node, "head", names, head_rows(head), rules_of(head))
        queried = self._families_of(m.source for m in head.attends.query)
        keyed = self._families_of(m.source for m in head.attends.key)
        for family in dict.fromkeys((*queried, *keyed)):
            read_as = [name for name, read in (("Q", queried), ("K", keyed)) if family in read]
            self._edge(self._current(family), node, "attend", " ".join(read_as))
        for family in self._families_of(m.source for m in head.moves):
            self._edge(self._current(family), node, "move", "V")
        for family in self._families_of(m.target for m in head.writes):
            written.setdefault(family, []).append(node)

    def _neurons(
        self, graph: graphviz.Digraph, node: str, group: NeuronGroup, written: _Written
    ) -> None:
        title = count(len(group.neurons), "neuron")
        self._node(graph, node, "neurons", [title], *neuron_fields(group.neurons))
        for family in group.reads:
            self._edge(self._current(family), node, "move")
        for family in group.writes:
            written.setdefault(family, []).append(node)

    def _biases(
        self, graph: graphviz.Digraph, node: str, biases: Sequence[Bias], written: _Written
    ) -> None:
        by_family: dict[Family, list[Bias]] = {}
        for bias in biases:
            by_family.setdefault(self._family_of[bias.adds.subspace], []).append(bias)
        for place, (family, found) in enumerate(by_family.items()):
            self._node(graph, f"{node} {place}", "bias", ["bias"], *bias_fields(found))
            written.setdefault(family, []).append(f"{node} {place}")

    def _update(self, graph: graphviz.Digraph, written: _Written, when: str) -> None:
        """Draw anew what was written to, below what it was."""
        for family, writers in written.items():
            before = self._now.get(family)
            self._subspace(graph, family, when if before is not None else "")
            if before is not None:
                self._edge(before, self._now[family], "stream")
            for writer in writers:
                self._edge(writer, self._now[family], "write")

    def _idle(self) -> None:
        """The subspaces that nothing reads and nothing writes to."""
        carried = {
            carrier
            for block in self._circuits.blocks
            for head in block.heads
            for carrier in head.carried
        }
        for family in self._families:
            if family.is_idle:
                inside = not carried.isdisjoint(family.members)
                use = "used inside heads only" if inside else "never used"
                self._box_of(self._graph, f"subspace {self._number[family]}", "idle", family, use)
                if self._circuits.embedding:
                    node = self._circuits.embedding[0].of
                    self._graph.edge(node, f"subspace {self._number[family]}", style="invis")

    def _current(self, family: Family) -> str:
        """The current box of a family."""
        if family not in self._now:
            self._subspace(self._graph, family, "0 so far")
        return self._now[family]

    def _subspace(self, graph: graphviz.Digraph, family: Family, when: str) -> None:
        version = self._versions[family]
        self._versions[family] += 1
        self._now[family] = f"subspace {self._number[family]} version {version}"
        self._box_of(graph, self._now[family], "subspace", family, when)

    def _box_of(
        self, graph: graphviz.Digraph, node: str, kind: Kind, family: Family, when: str
    ) -> None:
        names = some([subspace.name for subspace in family.members], _MOST_NAMES)
        self._node(graph, node, kind, names, [shape_of(family.members), *([when] if when else [])])

    def _node(self, graph: graphviz.Digraph, node: str, kind: Kind, *fields: Sequence[str]) -> None:
        graph.node(node, **box(*fields), **node_style(kind))

    def _edge(self, tail: str, head: str, flow: Flow, label: str = "") -> None:
        self._graph.edge(tail, head, label=f"{_GAP}{label}" if label else None, **edge_style(flow))

    def _families_of(self, subspaces: Iterable[Subspace]) -> tuple[Family, ...]:
        return tuple(dict.fromkeys(self._family_of[subspace] for subspace in subspaces))
