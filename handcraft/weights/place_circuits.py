"""Circuits to placed weights: here `W_Q` becomes a third of `c_attn`, and a head a slice of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from handcraft.circuits import Bias, Block, Circuits, Head, LinearMap, Neuron, Number, Subspace
from handcraft.model import Shape
from handcraft.origin import Origin
from handcraft.weights.layout import Layout
from handcraft.weights.placement import PlacedTensor, Placement

PARTS: tuple[Literal["query", "key", "value"], ...] = ("query", "key", "value")
"""The three thirds of c_attn, in order."""

Starts: TypeAlias = Mapping[Subspace, int]


def shape_of(circuits: Circuits, layout: Layout) -> Shape:
    """The sizes of the model that holds the circuits."""
    return Shape(
        n_vocab=len(circuits.vocabulary),
        n_positions=circuits.context,
        n_embd=layout.n_embd,
        n_head=layout.n_head,
        n_inner=tuple(
            sum(_unit_count(neuron) for neuron in block.neurons) or (1 if block.neuron_bias else 0)
            for block in circuits.blocks
        ),
    )


def place_circuits(circuits: Circuits, layout: Layout, sharpness: Number) -> Placement:
    """Every nonzero weight of the circuits, exact, with its place and its origin.

    Args:
        circuits: the circuits.
        layout: where their subspaces lie.
        sharpness: the factor of W_Q in heads that leave theirs open; a symbol stays one.
    """
    tensors = _empty_tensors(circuits, layout)
    for table in circuits.embedding:
        tensor = tensors["wte.weight" if table.of == "token" else "wpe.weight"]
        origins = table.origins or (Origin(f"the {table.of} embedding"),)
        start = layout.start[table.subspace]
        for row, entries in enumerate(table.rows):
            for i, number in entries:
                tensor.add((row, start + i), number, origins)
    for number, block in enumerate(circuits.blocks):
        _place_attention(tensors, f"h.{number}.attn", block, layout, sharpness)
        if block.neurons or block.neuron_bias:
            _place_mlp(tensors, f"h.{number}.mlp", block, layout)
    return Placement(tensors)


def _empty_tensors(circuits: Circuits, layout: Layout) -> dict[str, PlacedTensor]:
    shape = shape_of(circuits, layout)
    stream = layout.dimension_names
    tokens = tuple(f"token {token}" for token in circuits.vocabulary.tokens)
    positions = tuple(f"position {i}" for i in range(circuits.context))
    tensors: dict[str, PlacedTensor] = {}
    for name, sizes in shape.tensors().items():
        if name == "wte.weight":
            axes: tuple[tuple[str, ...], ...] = (tokens, stream)
        elif name == "wpe.weight":
            axes = (positions, stream)
        else:
            block = circuits.blocks[int(name.split(".")[1])]
            part = name.removesuffix(".weight").removesuffix(".bias").split(".", 2)[2]
            reads, writes = {
                "attn.c_attn": lambda b: (stream, _qkv_names(b, layout)),
                "attn.c_proj": lambda b: (_value_names(b, layout), stream),
                "mlp.c_fc": lambda b: (stream, _unit_names(b)),
                "mlp.c_proj": lambda b: (_unit_names(b), stream),
            }[part](block)
            axes = (reads, writes) if name.endswith("weight") else (writes,)
        tensors[name] = PlacedTensor(name, sizes, axes)
    return tensors


def _place_attention(
    tensors: dict[str, PlacedTensor], name: str, block: Block, layout: Layout, sharpness: Number
) -> None:
    c_attn, c_proj = tensors[f"{name}.c_attn.weight"], tensors[f"{name}.c_proj.weight"]
    for number, head in enumerate(block.heads):
        matching, carried = layout.channel_start(head)
        first = number * layout.head_dim
        origins = head.origins or (Origin(f"head {head.name}"),)
        sharp = sharpness if head.sharpness is None else head.sharpness
        reads: tuple[tuple[str, tuple[LinearMap, ...], Starts, Number], ...] = (
            ("query", head.attends.query, matching, sharp),
            ("key", head.attends.key, matching, 1),
            ("value", head.moves, carried, 1),
        )
        for part, maps, channels, factor in reads:
            column = PARTS.index(part) * layout.n_embd + first
            _add_maps(c_attn, maps, layout.start, channels, (0, column), factor, origins)
        _add_maps(c_proj, head.writes, carried, layout.start, (first, 0), 1, origins)
    _add_biases(tensors[f"{name}.c_proj.bias"], block.attention_bias, layout)


def _place_mlp(tensors: dict[str, PlacedTensor], name: str, block: Block, layout: Layout) -> None:
    c_fc, c_proj = tensors[f"{name}.c_fc.weight"], tensors[f"{name}.c_proj.weight"]
    c_fc_bias = tensors[f"{name}.c_fc.bias"]
    unit = 0
    for neuron in block.neurons:
        origins = neuron.origins or (Origin(f"neuron {neuron.name}"),)
        for step in range(_unit_count(neuron)):
            sign = 1 if step == 0 else -1
            for read in neuron.reads:
                start = layout.start[read.subspace]
                for i, number in read.entries:
                    c_fc.add((start + i, unit), number, origins)
            c_fc_bias.add((unit,), 1 - neuron.at_least - step, origins)
            for write in neuron.writes:
                start = layout.start[write.subspace]
                for i, number in write.entries:
                    c_proj.add((unit, start + i), sign * number, origins)
            unit += 1
    _add_biases(tensors[f"{name}.c_proj.bias"], block.neuron_bias, layout)


def _unit_count(neuron: Neuron) -> int:
    """How many ReLU units make one threshold.

    For an integer s and a threshold m, relu(s - m + 1) - relu(s - m) is 1 where s >= m, else 0. The
    second term is 0 throughout where s never exceeds m, and is left out.
    """
    return 1 if neuron.highest <= neuron.at_least else 2


def _add_maps(
    tensor: PlacedTensor,
    maps: Iterable[LinearMap],
    sources: Starts,
    targets: Starts,
    corner: tuple[int, int],
    factor: Number,
    origins: tuple[Origin, ...],
) -> None:
    for linear in maps:
        row = corner[0] + sources[linear.source]
        column = corner[1] + targets[linear.target]
        for i, j, number in linear.entries:
            tensor.add((row + i, column + j), number * factor, linear.origins or origins)


def _add_biases(tensor: PlacedTensor, biases: Iterable[Bias], layout: Layout) -> None:
    for each in biases:
        start = layout.start[each.adds.subspace]
        for i, number in each.adds.entries:
            tensor.add((start + i,), number, each.origins or (Origin("bias"),))


def _qkv_names(block: Block, layout: Layout) -> tuple[str, ...]:
    names: list[str] = []
    for part in PARTS:
        for number in range(layout.n_head):
            head = block.heads[number] if number < len(block.heads) else None
            names += [f"{part} {n}" for n in _channel_names(head, layout, part == "value")]
    return tuple(names)


def _value_names(block: Block, layout: Layout) -> tuple[str, ...]:
    names: list[str] = []
    for number in range(layout.n_head):
        head = block.heads[number] if number < len(block.heads) else None
        names += [f"value {n}" for n in _channel_names(head, layout, True)]
    return tuple(names)


def _channel_names(head: Head | None, layout: Layout, is_value: bool) -> list[str]:
    if head is None:
        return ["unused"] * layout.head_dim
    names = layout.channel_names(layout.channel_start(head)[is_value])
    unused = "unused" if layout.n_head == 1 else f"unused of {head.name}"
    prefix = "" if layout.n_head == 1 else f"{head.name}: "
    return [f"{prefix}{names[i]}" if i in names else unused for i in range(layout.head_dim)]


def _unit_names(block: Block) -> tuple[str, ...]:
    names = [
        neuron.name if step == 0 else f"{neuron.name}, capped"
        for neuron in block.neurons
        for step in range(_unit_count(neuron))
    ]
    return tuple(names or ["unused"])
