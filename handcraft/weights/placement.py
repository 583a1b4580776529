"""Placed weights, not yet arrays: exact numbers, each with its row, its column and its origins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from handcraft.circuits import Number
from handcraft.display import short_repr
from handcraft.origin import Origin
from handcraft.weights.axis_names import axis_names
from handcraft.weights.layers import Layer
from handcraft.weights.layout import Layout
from handcraft.weights.plan import Plan

Index = tuple[int, ...]


@short_repr
@dataclass
class PlacedTensor:
    """The nonzero entries of one tensor.

    Args:
        name: as in GPT-2 checkpoints.
        shape: its sizes.
        axes: for each axis, what every index along it stands for.
        values: the exact number at each index that is not 0.
        origins: what each of them serves.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[tuple[str, ...], ...]
    values: dict[Index, Number] = field(default_factory=dict)
    origins: dict[Index, tuple[Origin, ...]] = field(default_factory=dict)

    def add(self, index: Index, number: Number, origins: Iterable[Origin]) -> None:
        """Add `number` at `index`; numbers at the same index add up, and their origins are joined."""
        if number == 0:
            return
        if index in self.values:
            total = self.values[index] + number
            if total == 0:
                del self.values[index], self.origins[index]
                return
            self.values[index] = total
            known = self.origins[index]
            new = tuple(origin for origin in origins if origin not in known)
            self.origins[index] = known + new
        else:
            self.values[index] = number
            self.origins[index] = tuple(origins)

    def add_row(
        self, row: int, cells: Iterable[tuple[int, Number]], origins: tuple[Origin, ...]
    ) -> None:
        """Add numbers along a row, each with its column."""
        values, known = self.values, self.origins
        for column, number in cells:
            index = (row, column)
            if index in values or number == 0:
                self.add(index, number, origins)
            else:
                values[index], known[index] = number, origins

    def describe(self, index: Index) -> str:
        """The place in words: what the row and the column stand for."""
        return " -> ".join(axis[i] for axis, i in zip(self.axes, index, strict=True))


@short_repr
@dataclass(frozen=True)
class Placement:
    """All tensors of a model as exact entries, by name, in the order of the checkpoint."""

    tensors: dict[str, PlacedTensor]


def empty_tensors(plan: Plan) -> dict[str, PlacedTensor]:
    """The tensors of a planned model, with nothing in them yet."""
    names = axis_names(plan)

    def axes(name: str, sizes: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
        if plan.rotary is None:
            return _axes(name, plan)
        known = plan.shape, plan.circuits.vocabulary
        return tuple(
            tuple(names.describe(name, axis, i, *known) for i in range(size))
            for axis, size in enumerate(sizes)
        )

    return {
        name: PlacedTensor(name, sizes, axes(name, sizes))
        for name, sizes in plan.shape.tensors(plan.architecture).items()
    }


def _axes(name: str, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """What the rows and columns of a tensor of a GPT-2 stand for."""
    stream = plan.layout.dimension_names
    if name == "wte.weight":
        return tuple(f"token {token}" for token in plan.token_names), stream
    if name == "wpe.weight":
        return tuple(f"position {i}" for i in range(plan.circuits.context)), stream
    if ".attn." not in name and ".mlp." not in name:
        return (stream,)
    number = int(name.split(".")[1])
    layer = plan.layers[number]
    if ".c_attn." in name:
        reads, writes = stream, _qkv_names(layer, plan.layout)
    elif ".attn.c_proj." in name:
        reads, writes = _channel_names(layer, plan.layout, "value"), stream
    elif ".c_fc." in name:
        reads, writes = stream, _unit_names(layer, plan.shape.n_inner[number])
    else:
        reads, writes = _unit_names(layer, plan.shape.n_inner[number]), stream
    return (reads, writes) if name.endswith("weight") else (writes,)


def _qkv_names(layer: Layer, layout: Layout) -> tuple[str, ...]:
    return tuple(
        name for part in ("query", "key", "value") for name in _channel_names(layer, layout, part)
    )


def _channel_names(layer: Layer, layout: Layout, part: str) -> tuple[str, ...]:
    """What the channels of all heads of a layer store, heads side by side."""
    names: list[str] = []
    for number in range(layout.n_head):
        if number >= len(layer.heads):
            names += [f"{part} unused"] * layout.head_dim
            continue
        head = layer.heads[number]
        known = layout.channel_names(layout.channel_start(head)[part == "value"])
        of_head = "" if layout.n_head == 1 else f"{head.name}: "
        names += [f"{part} {of_head}{known.get(i, 'unused')}" for i in range(layout.head_dim)]
    return tuple(names)


def _unit_names(layer: Layer, count: int) -> tuple[str, ...]:
    names = [unit.name for unit in layer.units][:count]
    return tuple(names + ["unused"] * (count - len(names)))
