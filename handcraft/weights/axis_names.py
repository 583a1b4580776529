"""The names that a plan gives to the dimensions, the channels and the hidden units of its model."""

from __future__ import annotations

from collections.abc import Mapping

from handcraft.model import AxisNames, BlockNames, HeadNames
from handcraft.weights.layers import Layer
from handcraft.weights.layout import Layout
from handcraft.weights.plan import Plan
from handcraft.weights.rotary.packing import ONE, Column, Packing


def axis_names(plan: Plan) -> AxisNames:
    """What the rows and columns of every tensor of a planned model stand for."""
    if plan.rotary is not None:
        packing = plan.rotary.packing
        blocks = [
            BlockNames(
                _rotary_heads(packing, number),
                tuple(unit.name for unit in layer.units),
                constant_channel=bool(layer.attention_bias),
                constant_unit=bool(layer.mlp_bias),
            )
            for number, layer in enumerate(plan.layers)
        ]
    else:
        blocks = [_block(layer, plan.layout) for layer in plan.layers]
    return AxisNames(_stream(plan.layout), tuple(blocks))


def _stream(layout: Layout) -> tuple[str, ...]:
    stored: list[list[str]] = [[] for _ in layout.dimension_names]
    for subspace in layout.subspaces:
        for i, name in enumerate(subspace.dimension_names):
            known = name.startswith(subspace.name)
            of = name if known else f"{name} of the subspace `{subspace.name}`"
            opposite = layout.opposite(subspace, i)
            stored[layout.start[subspace] + i].append(of)
            if opposite is not None and opposite != layout.balance:
                stored[opposite].append(f"-{of}")
    return tuple(
        ", then ".join(of) or name for name, of in zip(layout.dimension_names, stored, strict=True)
    )


def _block(layer: Layer, layout: Layout) -> BlockNames:
    heads = []
    for head in layer.heads:
        matching, carried = map(layout.channel_names, layout.channel_start(head))
        heads.append(HeadNames(head.name, _in_order(matching), _in_order(carried)))
    return BlockNames(tuple(heads), tuple(unit.name for unit in layer.units))


def _rotary_heads(packing: Packing, layer: int) -> tuple[HeadNames, ...]:
    """The heads of a layer that do something: they compare frequencies, and carry what a group does."""
    half = packing.head_dim // 2
    turned = tuple(f"frequency {i % half}, {('cos', 'sin')[i // half]}" for i in range(2 * half))
    return tuple(
        HeadNames(head.name, turned, tuple(map(_read_by, group.columns)))
        for _, group, heads in packing.numbered(layer)
        for _, head in heads
    )


def _read_by(column: Column) -> str:
    """What one channel of a value reads, in words."""
    if column == ONE:
        return "the constant 1"
    return ", ".join(subspace.dimension_names[i] for subspace, i, _ in column)


def _in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names.get(i, "") for i in range(max(names, default=-1) + 1))
