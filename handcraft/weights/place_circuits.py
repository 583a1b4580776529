"""Circuits to placed weights: `W_Q` becomes a third of `c_attn`, and a head a slice of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache, partial
from math import e, log

from handcraft.circuits import Bias, Coefficients, LinearMap, Number, Ramp, Subspace
from handcraft.origin import Origin
from handcraft.progress import advance
from handcraft.weights.layers import Layer
from handcraft.weights.layout import Layout
from handcraft.weights.place_embedding import constants_of
from handcraft.weights.place_norms import place_norms
from handcraft.weights.placement import PlacedTensor, Placement, empty_tensors
from handcraft.weights.plan import Plan

EVERY_ROWS = 1024
"""How many rows of the embeddings there are between two reports of progress."""

PARTS, KINDS = ("attn", "mlp"), ("weight", "bias")

Starts = Mapping[Subspace, int]
Tensors = dict[str, PlacedTensor]


def place_circuits(plan: Plan, sharpness: Number) -> Placement:
    """Every nonzero weight of a planned model, exact, with its place and its origin.

    `sharpness` is the factor of W_Q in heads without one of their own; a symbol stays a symbol.
    """
    tensors = empty_tensors(plan)
    if plan.rotary is not None:
        from handcraft.weights.rotary.place_rotary import place_rotary

        place_rotary(tensors, plan)
        place_norms(tensors, plan)
        return Placement(tensors)
    _place_embedding(tensors, plan)
    for number, layer in enumerate(plan.layers):
        advance("place blocks", number, len(plan.layers))
        logit_scale = Fraction(1 / plan.architecture.score_scale(plan.layout.head_dim, number))
        blank = _blank_dimension(tensors, number, layer, plan.layout)
        _place_attention(tensors, f"h.{number}.attn", layer, plan.layout, sharpness, logit_scale, blank)
        if layer.has_mlp:
            _place_mlp(tensors, f"h.{number}.mlp", layer, plan.layout)
    if plan.has_norm:
        place_norms(tensors, plan)
    return Placement(tensors)


def _place_embedding(tensors: Tensors, plan: Plan) -> None:
    """Place the tables, and constants at every position."""
    layout, wpe = plan.layout, tensors["wpe.weight"]
    for dimension, number, origin in constants_of(plan):
        cells = ((dimension, number),)
        for position in range(plan.circuits.context):
            wpe.add_row(position, cells, (origin,))
    rows = sum(len(table.rows) for table in plan.circuits.embedding)
    placed = 0
    for table in plan.circuits.embedding:
        tensor = tensors["wte.weight" if table.of == "token" else "wpe.weight"]
        origins = table.origins or (Origin(f"the {table.of} embedding"),)
        written = cache(partial(layout.write, table.subspace))  # many rows have the same numbers
        for row, entries in enumerate(table.rows):
            placed += 1
            if placed % EVERY_ROWS == 0:
                advance("place embeddings", placed, rows)
            tensor.add_row(row, [cell for entry in entries for cell in written(*entry)], origins)


def _blank_dimension(tensors: Tensors, number: int, layer: Layer, layout: Layout) -> int | None:
    """A dimension that is 0 in front of a layer; None if none is needed, or there is none.

    Queries and keys subtract it, so that an error of LayerNorm's mean cancels. Beside ballast, that
    mean is off by up to 2e-4, and this moves every dimension by the same amount. It matters if scores
    differ by logarithms of attention weights: a score of 85 nats would be off by up to 0.2.
    """
    if not layout.has_ballast or all(head.attends.attention_weights is None for head in layer.heads):
        return None
    before = [f"h.{i}.{part}.c_proj.{kind}" for i in range(number) for part in PARTS for kind in KINDS]
    written = {
        index[-1] for name in ("wte.weight", "wpe.weight", *before) for index in tensors[name].values
    }
    return next((i for i in range(layout.n_embd) if i not in written), None)


def _place_attention(
    tensors: Tensors,
    name: str,
    layer: Layer,
    layout: Layout,
    sharpness: Number,
    logit_scale: Number,
    blank: int | None,
) -> None:
    """The heads of a layer side by side; where attention is soft, scores are logarithms of weights."""
    weight, bias = tensors[f"{name}.c_attn.weight"], tensors[f"{name}.c_attn.bias"]
    for number, head in enumerate(layer.heads):
        matching, carried = layout.channel_start(head)
        first = number * layout.head_dim
        origins = head.origins or (Origin(f"head {head.name}"),)
        open_sharpness = (
            sharpness if head.attends.is_hard else logit_scale * Fraction(log(head.attends.base or e))
        )
        sharp = open_sharpness if head.sharpness is None else head.sharpness
        maps_of: tuple[tuple[int, tuple[LinearMap, ...], Starts, Number], ...] = (
            (0, head.attends.query, matching, sharp),
            (1, head.attends.key, matching, 1),
            (2, head.moves, carried, 1),
        )
        for third, maps, channels, factor in maps_of:
            column = third * layout.n_embd + first
            for linear in maps:
                served = linear.origins or origins
                for i, j, coefficient in linear.entries:
                    cells, constant = layout.read(
                        linear.source,
                        i,
                        coefficient * factor,
                        cancels_mean=third < 2,
                        blank=None if third == 2 or head.attends.attention_weights is None else blank,
                    )
                    channel = column + channels[linear.target] + j
                    for row, read in cells:
                        weight.add((row, channel), read, served)
                    bias.add((channel,), constant, served)
        for added in head.attends.query_bias:
            for i, amount in added.entries:
                bias.add((first + matching[added.subspace] + i,), amount * sharp, origins)
        for offered in head.attends.key_bias:
            for i, amount in offered.entries:
                bias.add((layout.n_embd + first + matching[offered.subspace] + i,), amount, origins)
        for linear in head.writes:
            served = linear.origins or origins
            for i, j, coefficient in linear.entries:
                channel = first + carried[linear.source] + i
                for dimension, written in layout.write(linear.target, j, coefficient):
                    tensors[f"{name}.c_proj.weight"].add((channel, dimension), written, served)
    _place_biases(tensors[f"{name}.c_proj.bias"], layer.attention_bias, layout)


def _place_mlp(tensors: Tensors, name: str, layer: Layer, layout: Layout) -> None:
    weight, bias = tensors[f"{name}.c_fc.weight"], tensors[f"{name}.c_fc.bias"]
    c_proj = tensors[f"{name}.c_proj.weight"]

    @cache  # neurons by the thousand read the same
    def read(part: Coefficients, gain: Number) -> tuple[list[tuple[int, Number]], Number]:
        found = [layout.read(part.subspace, i, number * gain) for i, number in part.entries]
        return [cell for cells, _ in found for cell in cells], sum(constant for _, constant in found)

    @cache
    def written(part: Coefficients, times: Number) -> list[tuple[int, Number]]:
        return [(dimension, number * times) for dimension, number in _written((part,), layout)]

    for column, unit in enumerate(layer.units):
        origins = unit.neuron.origins or (Origin(f"neuron {unit.neuron.name}"),)
        constant: Number = unit.constant
        reads: list[tuple[Coefficients, Number]] = [(each, unit.gain) for each in unit.neuron.reads]
        if isinstance(unit.neuron, Ramp):
            reads += [(each, unit.gate_gain) for each in unit.neuron.gate]
        for each, gain in reads:
            rows, rest = read(each, gain)
            if rest != 0:
                constant += rest
            for row, factor in rows:
                weight.add((row, column), factor, origins)
        bias.add((column,), constant, origins)
        for part in unit.neuron.writes:
            for dimension, number in written(part, unit.weight):
                c_proj.add((column, dimension), number, origins)
    _place_biases(tensors[f"{name}.c_proj.bias"], layer.mlp_bias, layout)


def _place_biases(tensor: PlacedTensor, biases: Iterable[Bias], layout: Layout) -> None:
    for each in biases:
        for dimension, written in _written((each.adds,), layout):
            tensor.add((dimension,), written, each.origins or (Origin("bias"),))


def _written(parts: Iterable[Coefficients], layout: Layout) -> Iterable[tuple[int, Number]]:
    for part in parts:
        for i, number in part.entries:
            yield from layout.write(part.subspace, i, number)
