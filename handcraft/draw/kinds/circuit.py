"""The picture of a circuit: block after block, what its heads and neurons read and write.

The residual stream is drawn as lanes, one for each subspace or for several that play the same part.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Head,
    LinearMap,
    Neuron,
    Ramp,
    Subspace,
)
from handcraft.display import count
from handcraft.draw.canvas.lanes import Lane, Part, draw_panel
from handcraft.draw.canvas.scene import Picture, Scene
from handcraft.draw.graphs.dataflow import circuits_graph
from handcraft.draw.graphs.effects import (
    added,
    bias_fields,
    dimension,
    head_rows,
    neuron_fields,
    rules_of,
    shape_of,
    signed,
)
from handcraft.draw.graphs.groups import Family, grouped, with_one_position
from handcraft.draw.graphs.label import some, visible
from handcraft.errors import DrawError
from handcraft.phrase import phrase, setting
from handcraft.vocabulary import shorten

Detail = Literal["program", "circuit", "weights"]

DETAILS: tuple[Detail, ...] = ("program", "circuit", "weights")

_MOST_NAMES = 3
_MOST_ENTRIES = 12

_ABOUT = (
    "Lanes are values of the residual stream. A head reads Q here and K at the positions that it "
    "compares with, and moves V from where it attends. An arrowhead marks a lane that is written."
)


def circuit_picture(
    circuits: Circuits, *, detail: Detail = "circuit", rule: str | None = None, title: str = "Circuit"
) -> Picture:
    """The heads and neurons of each block, from top to bottom, beside the values that they read.

    Args:
        circuits: what to draw.
        detail: with ``program``, heads and neurons that read and write the same are one box without
            numbers; with ``circuit``, what each head and each group of neurons adds; with ``weights``,
            every neuron and every number. The first two leave out what only clears dimensions.
        rule: draw only the heads, neurons and biases that serve this piece of the program, by its text.
        title: the text above.

    Raises:
        DrawError: there is no such detail, nothing serves the rule, or the picture is too tall.
    """
    if detail not in DETAILS:
        raise DrawError(f"there is no detail {detail!r}", fix=f"use one of: {', '.join(DETAILS)}")
    drawing = _Drawing(circuits, detail)
    blocks = [_of_rule(block, rule) for block in circuits.blocks]
    if rule is not None and not any(map(_parts_of, blocks)):
        what = f"no head, neuron or bias serves {rule!r}"
        raise DrawError(what, fix=phrase("leave out ", setting("rule", rule)))
    scene = Scene(title, _ABOUT)
    symbols = [f"{name} = {value}" for name, value in circuits.values.items()]
    if symbols:
        scene.paragraph(", ".join(some(symbols, _MOST_NAMES)))
    drawing.draw_inputs(scene)
    for number, block in enumerate(blocks):
        drawing.draw_block(scene, number, block)
    drawing.draw_output(scene)
    if drawing.left_out:
        scene.paragraph(
            f"Left out: {count(drawing.left_out, 'part')} of the MLPs whose work is to clear "
            "dimensions that are used again. The detail `weights` shows them."
        )
    return scene.picture(circuits_graph(circuits))


class _Drawing:
    """What all blocks share while they are drawn."""

    def __init__(self, circuits: Circuits, detail: Detail) -> None:
        self.circuits, self.detail = circuits, detail
        self.left_out = 0
        each = tuple(Family((subspace,)) for subspace in circuits.stream)
        families = each if detail == "weights" else with_one_position(circuits)
        self._family_of = {subspace: family for family in families for subspace in family.members}
        order = {subspace: i for i, subspace in enumerate(circuits.stream)}
        families = tuple(sorted(families, key=lambda family: order[family.members[0]]))
        self._names: dict[Lane, str] = {family: self._name(family) for family in families}
        self._reused = frozenset(reuse.within for reuse in circuits.reuses)

    def draw_inputs(self, scene: Scene) -> None:
        """The token and its position, and what they are embedded into."""
        tokens = [visible(token) for token in self.circuits.vocabulary.tokens]
        begin = self.circuits.begin
        before = "" if begin is None else f"; before the text the begin token {begin}"
        values = {
            "token": shorten(tokens, most=8) + before,
            "position": f"0 to {self.circuits.context - 1}",
        }
        parts = []
        for of, shown in values.items():
            written = [table.subspace for table in self.circuits.embedding if table.of == of]
            if written:
                parts.append(Part("input", f"input: {of}", [shown], writes=self._lanes(written)))
        self._panel(scene, "embedding", parts)

    def draw_block(self, scene: Scene, number: int, block: Block) -> None:
        """One block: heads, then neurons."""
        kept = block
        if self.detail != "weights":
            kept = replace(
                block,
                neurons=tuple(n for n in block.neurons if not self._is_clearing(n)),
                neuron_bias=tuple(b for b in block.neuron_bias if not self._is_clearing_bias(b)),
            )
            self.left_out += len(_parts_of(block)) - len(_parts_of(kept))
        parts = [
            *self._heads(kept.heads),
            *self._biases(kept.attention_bias),
            *self._neurons(kept.neurons),
            *self._biases(kept.neuron_bias),
        ]
        self._panel(scene, f"block {number}", parts or [Part("idle", "nothing here")])

    def draw_output(self, scene: Scene) -> None:
        """The subspace that becomes the logits."""
        read = self.circuits.unembedding
        if read is not None:
            lane = self._family_of[read]
            part = Part("output", "next token", ["the one with the highest logit"], reads={lane: ""})
            self._panel(scene, "unembedding", [part])

    def _panel(self, scene: Scene, heading: str, parts: Sequence[Part]) -> None:
        draw_panel(scene, heading, parts, self._names)

    def _name(self, family: Family) -> str:
        names = ", ".join(some([subspace.name for subspace in family.members], _MOST_NAMES))
        tables = [t for t in self.circuits.embedding if t.subspace in family.members]
        if len(family.members) > 1 and tables and all(t.of == "position" for t in tables):
            return (
                "position" if self.detail == "program" else f"position, as {shape_of(family.members)}"
            )
        return names if self.detail == "program" else f"{names}: {shape_of(family.members)}"

    def _lanes(self, subspaces: Iterable[Subspace]) -> list[Lane]:
        return list(dict.fromkeys(self._family_of[subspace] for subspace in subspaces))

    def _heads(self, heads: Sequence[Head]) -> list[Part]:
        if self.detail == "weights":
            return [self._head(head) for head in heads]
        keys = (
            (lambda i: i) if self.detail == "circuit" else self._alike(heads),
            self._alike(heads),
            lambda i: tuple(self._lanes(m.target for m in heads[i].writes)),
            lambda i: None,
        )
        return [
            self._head(group[0]) if len(group) == 1 else self._several_heads(group)
            for group in grouped(heads, keys)
        ]

    def _alike(self, heads: Sequence[Head]) -> Callable[[int], Hashable]:
        def key(i: int) -> Hashable:
            head = heads[i]
            return tuple(self._marks([head]).items()), tuple(self._lanes(m.target for m in head.writes))

        return key

    def _marks(self, heads: Iterable[Head]) -> dict[Lane, str]:
        """The lanes that heads read, each with the letters of what reads it."""
        marks: dict[Lane, str] = {}
        for head in heads:
            for letter, maps in (("Q", head.attends.query), ("K", head.attends.key), ("V", head.moves)):
                for lane in self._lanes(m.source for m in maps):
                    known = marks.get(lane, "")
                    marks[lane] = known if letter in known else known + letter
        return {lane: "".join(sorted(mark, key="QKV".index)) for lane, mark in marks.items()}

    def _head(self, head: Head) -> Part:
        details = [f"attends to: {head.attends.label}"]
        if self.detail == "circuit":
            details += [*head_rows(head), *rules_of(head, but=head.name)]
        elif self.detail == "weights":
            relation = head.attends
            for name, maps in (("Q", relation.query), ("K", relation.key), ("V", head.moves)):
                details += [f"{name}: {_entries(linear)}" for linear in maps]
            for name, constants in (("Q", relation.query_bias), ("K", relation.key_bias)):
                details += [f"{name}: {added([each])} everywhere" for each in constants]
            details += [f"writes: {_entries(linear)}" for linear in head.writes]
            details += rules_of(head)
        writes = self._lanes(m.target for m in head.writes)
        return Part("head", f"head: {head.name}", details, self._marks([head]), writes)

    def _several_heads(self, heads: Sequence[Head]) -> Part:
        named = some([f"{h.name}, attends to: {h.attends.label}" for h in heads], _MOST_NAMES)
        writes = self._lanes(m.target for head in heads for m in head.writes)
        return Part("head", count(len(heads), "head"), named, self._marks(heads), writes)

    def _neurons(self, neurons: Sequence[Neuron | Ramp]) -> list[Part]:
        if self.detail == "weights":
            return [self._neuron(neuron) for neuron in neurons]
        reads = [self._lanes(r.subspace for r in n.all_reads) for n in neurons]
        writes = [self._lanes(w.subspace for w in n.writes) for n in neurons]
        keys: tuple[Callable[[int], Hashable], ...] = (
            lambda i: (frozenset(reads[i]), frozenset(writes[i])),
            lambda i: frozenset(writes[i]),
            lambda i: None,
        )
        parts = []
        for group in grouped(range(len(neurons)), keys):
            alike = [neurons[i] for i in group]
            fields = neuron_fields(alike) if self.detail == "circuit" else [rules_of_all(alike)]
            parts.append(
                Part(
                    "neurons",
                    count(len(alike), "neuron"),
                    [line for field in fields for line in field],
                    dict.fromkeys((lane for i in group for lane in reads[i]), ""),
                    list(dict.fromkeys(lane for i in group for lane in writes[i])),
                )
            )
        return parts

    def _neuron(self, neuron: Neuron | Ramp) -> Part:
        if isinstance(neuron, Neuron):
            does = f"1 where {added(neuron.reads)} is {neuron.at_least} or more"
        else:
            does = f"{added(neuron.reads)} {signed(neuron.constant)}, where {added(neuron.gate)} "
            does += f"{signed(neuron.gate_constant)} is 1"
        details = [does, f"writes: {added(neuron.writes)}", *rules_of_all([neuron])]
        reads = dict.fromkeys(self._lanes(r.subspace for r in neuron.all_reads), "")
        writes = self._lanes(w.subspace for w in neuron.writes)
        return Part("neurons", f"neuron: {neuron.name}", details, reads, writes)

    def _biases(self, biases: Sequence[Bias]) -> list[Part]:
        by_lane: dict[Lane, list[Bias]] = {}
        for bias in biases:
            by_lane.setdefault(self._family_of[bias.adds.subspace], []).append(bias)
        parts = []
        for lane, found in by_lane.items():
            fields = [] if self.detail == "program" else bias_fields(found)
            details = [line for each in fields for line in each]
            parts.append(Part("bias", "bias", details, writes=[lane]))
        return parts

    def _is_clearing(self, neuron: Neuron | Ramp) -> bool:
        """Whether a neuron only sets to 0 what it reads, so that its dimensions are used again."""
        written = {write.subspace for write in neuron.writes}
        read = {read.subspace for read in neuron.all_reads}
        return bool(written) and written == read and written <= self._reused

    def _is_clearing_bias(self, bias: Bias) -> bool:
        """Whether a bias belongs to such a neuron: the compiler added it to a subspace in reuse."""
        is_ours = bool(bias.origins) and all(origin.place is None for origin in bias.origins)
        return is_ours and bias.adds.subspace in self._reused


def rules_of_all(neurons: Sequence[Neuron | Ramp]) -> list[str]:
    """Some of what neurons serve."""
    served = dict.fromkeys(origin.what for neuron in neurons for origin in neuron.origins)
    return some([f"for: {what}" for what in served], _MOST_NAMES)


def _entries(linear: LinearMap) -> str:
    """Every number of a map, the first ones where there are many."""
    source, target = linear.source, linear.target
    parts = [
        f"{dimension(source, i)} → {dimension(target, j)} {signed(number)}"
        for i, j, number in linear.entries
    ]
    return ", ".join(some(parts, _MOST_ENTRIES))


def _parts_of(block: Block) -> tuple[object, ...]:
    return (*block.heads, *block.attention_bias, *block.neurons, *block.neuron_bias)


def _of_rule(block: Block, rule: str | None) -> Block:
    """What serves one rule of a block."""
    if rule is None:
        return block

    def serves(part: Head | Neuron | Ramp | Bias) -> bool:
        maps: Iterable[LinearMap | Head | Neuron | Ramp | Bias] = [part]
        if isinstance(part, Head):
            maps = [part, *part.all_reads, *part.writes]
        return any(origin.what == rule for each in maps for origin in each.origins)

    return Block(
        tuple(filter(serves, block.heads)),
        tuple(filter(serves, block.attention_bias)),
        tuple(filter(serves, block.neurons)),
        tuple(filter(serves, block.neuron_bias)),
    )
