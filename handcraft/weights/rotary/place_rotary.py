"""Circuits to placed weights of a Llama: matrices are stored [out, in], and nothing has a bias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache

from handcraft.circuits import Bias, Coefficients, Head, LinearMap, Number, Ramp, Subspace
from handcraft.origin import Origin
from handcraft.rotary.score import RotaryScore
from handcraft.rotary.select import ContentScore
from handcraft.weights.layers import GATE_STEEPNESS, Layer
from handcraft.weights.layout import Layout
from handcraft.weights.place_embedding import constants_of
from handcraft.weights.placement import PlacedTensor
from handcraft.weights.plan import Plan
from handcraft.weights.rotary.packing import ONE, Group, channels_of, columns_of

Tensors = dict[str, PlacedTensor]

ADDED = Origin("what attention adds whatever it attends to")

OPEN_GATE = Fraction(GATE_STEEPNESS, 4)
"""A gate that is always open: what it writes serves as the bias of the MLP."""


def place_rotary(tensors: Tensors, plan: Plan) -> None:
    """Place everything but the norms."""
    assert plan.rotary is not None
    _place_embedding(tensors, plan)
    for number, layer in enumerate(plan.layers):
        _place_attention(tensors, f"layers.{number}.self_attn", number, layer, plan)
        _place_mlp(tensors, f"layers.{number}.mlp", layer, plan.layout)


def _place_embedding(tensors: Tensors, plan: Plan) -> None:
    """Place the tables of the token, and constants in every row; an untied head reads its subspace."""
    layout, circuits = plan.layout, plan.circuits
    embedding = tensors["embed_tokens.weight"]
    for dimension, number, origin in constants_of(plan):
        for row in range(len(circuits.embedded_tokens)):
            embedding.add((row, dimension), number, (origin,))
    for table in circuits.embedding:
        origins = table.origins or (Origin("the token embedding"),)
        head = tensors.get("lm_head.weight") if table.subspace == circuits.unembedding else None
        for row, entries in enumerate(table.rows):
            cells = [cell for entry in entries for cell in layout.write(table.subspace, *entry)]
            embedding.add_row(row, cells, origins)
            if head is not None:
                head.add_row(row, cells, origins)


def _place_attention(tensors: Tensors, name: str, number: int, layer: Layer, plan: Plan) -> None:
    """The queries of every head, the keys and values of every group, and what the heads write."""
    assert plan.rotary is not None
    packing, layout = plan.rotary.packing, plan.layout
    queries, keys = (tensors[f"{name}.{which}_proj.weight"] for which in "qk")
    values, outputs = (tensors[f"{name}.{which}_proj.weight"] for which in "vo")
    for k, group, heads in packing.numbered(number):
        first = k * packing.head_dim
        _place_keys(keys, first, group, plan, plan.rotary.at_begin[layer.block])
        _place_values(values, first, group, layout)
        for place, head in heads:
            start = place * packing.head_dim
            origins = _origins(head)
            _place_queries(queries, start, head, plan)
            for linear in head.writes:
                for i, j, factor in linear.entries:
                    channel = start + group.channel(head, linear.source, i)
                    for dimension, written in layout.write(linear.target, j, factor):
                        outputs.add((dimension, channel), written, linear.origins or origins)
    for each in layer.attention_bias:  # the first channel of the first head is 1
        for dimension, written in _written((each.adds,), layout):
            outputs.add((dimension, 0), written, each.origins or (ADDED,))


def _place_queries(queries: PlacedTensor, start: int, head: Head, plan: Plan) -> None:
    """The query of a head: constants, and in the last pairs what its channels read."""
    assert plan.rotary is not None
    score, origins = plan.rotary.score(head), _origins(head)
    channels = _channels(score, head)
    for j, parts in enumerate(score.queries):
        for i, part in enumerate(parts):
            row = start + j + i * plan.rotary.packing.head_dim // 2
            if j not in channels:
                _add_constant(queries, row, part, plan.layout, origins)
            else:
                attends = head.attends
                _add_channel(
                    queries, row, attends.query, attends.query_bias, channels[j], part, plan, origins
                )


def _channels(score: RotaryScore | ContentScore, head: Head) -> dict[int, Subspace]:
    """The channel that each of the last pairs of a head holds."""
    if isinstance(score, RotaryScore):
        return {}
    return dict(enumerate(channels_of(head), score.constants))


def _add_channel(
    tensor: PlacedTensor,
    row: int,
    maps: Iterable[LinearMap],
    constants: Iterable[Coefficients],
    channel: Subspace,
    factor: Number,
    plan: Plan,
    origins: tuple[Origin, ...],
) -> None:
    """Add what a channel reads to a row, times a factor."""
    total: Number = 0
    for linear in maps:
        if linear.target == channel:
            for i, _, number in linear.entries:
                cells, rest = plan.layout.read(linear.source, i, number * factor)
                total += rest
                for dimension, each in cells:
                    tensor.add((row, dimension), each, origins)
    total += sum(n * factor for part in constants if part.subspace == channel for _, n in part.entries)
    _add_constant(tensor, row, total, plan.layout, origins)


def _place_keys(
    keys: PlacedTensor,
    first: int,
    group: Group,
    plan: Plan,
    at_begin: Mapping[Subspace, tuple[Number, ...]],
) -> None:
    """The keys of a group: the same for every token, and more for the begin token."""
    assert plan.rotary is not None
    layout = plan.layout
    head = group.heads[0]
    score, attends = plan.rotary.score(head), head.attends
    channels = _channels(score, head)
    origins = tuple(dict.fromkeys(origin for head in group.heads for origin in _origins(head)))
    for j, (everywhere, more) in enumerate(zip(score.keys, score.begin, strict=True)):
        if j in channels:
            _add_channel(
                keys, first + j, attends.key, attends.key_bias, channels[j], everywhere, plan, origins
            )
            more = -everywhere * _key_at_begin(head, channels[j], at_begin)
        else:
            _add_constant(keys, first + j, everywhere, layout, origins)
        if more:
            cells, constant = begin_cells(plan)
            for dimension, factor in cells:
                keys.add((first + j, dimension), factor * more, origins)
            _add_constant(keys, first + j, constant * more, layout, origins)


def _key_at_begin(
    head: Head, channel: Subspace, at_begin: Mapping[Subspace, tuple[Number, ...]]
) -> Number:
    """What a channel reads at the begin token, which is taken off there."""
    attends = head.attends
    total: Number = 0
    for linear in attends.key:
        if linear.target == channel:
            total += sum(number * at_begin[linear.source][i] for i, _, number in linear.entries)
    return total + sum(
        number for part in attends.key_bias if part.subspace == channel for _, number in part.entries
    )


def begin_cells(plan: Plan) -> tuple[tuple[tuple[int, Number], ...], Number]:
    """How the stream says that a token is the begin token: 1 there, and 0 elsewhere."""
    circuits = plan.circuits
    begin = len(circuits.vocabulary)
    for table in circuits.embedding:
        for i, number in table.rows[begin]:
            alone = all((i, number) not in row for row in table.rows[:begin])
            if alone and all(i not in dict(row) for row in table.rows[:begin]):
                return plan.layout.read(table.subspace, i, 1)
    raise AssertionError("no dimension tells the begin token from others")


def _place_values(values: PlacedTensor, first: int, group: Group, layout: Layout) -> None:
    """What each channel of a group reads at the source."""
    serving: dict[int, dict[Origin, None]] = {}
    for head in group.heads:
        for column in columns_of(head).values():
            served = serving.setdefault(group.columns.index(column), {})
            served |= dict.fromkeys(_origins(head))
    for channel, column in enumerate(group.columns):
        row = first + channel
        origins = tuple(serving.get(channel, {ADDED: None}))
        if column == ONE:
            _add_constant(values, row, 1, layout, origins)
        for subspace, i, factor in column:
            cells, constant = layout.read(subspace, i, factor)
            for dimension, number in cells:
                values.add((row, dimension), number, origins)
            _add_constant(values, row, constant, layout, origins)


def _place_mlp(tensors: Tensors, name: str, layer: Layer, layout: Layout) -> None:
    """The gate, the number that it multiplies, and what each hidden unit writes."""
    gates, numbers = tensors[f"{name}.gate_proj.weight"], tensors[f"{name}.up_proj.weight"]
    outputs = tensors[f"{name}.down_proj.weight"]

    @cache
    def read(part: Coefficients, gain: Number) -> tuple[list[tuple[int, Number]], Number]:
        found = [layout.read(part.subspace, i, number * gain) for i, number in part.entries]
        return [cell for cells, _ in found for cell in cells], sum(constant for _, constant in found)

    def place(
        tensor: PlacedTensor, row: int, parts: Iterable[Coefficients], gain: Number, constant: Number
    ) -> None:
        for part in parts:
            cells, rest = read(part, gain)
            constant += rest
            for dimension, factor in cells:
                tensor.add((row, dimension), factor, origins)
        _add_constant(tensor, row, constant, layout, origins)

    for row, unit in enumerate(layer.units):
        neuron = unit.neuron
        origins = neuron.origins or (Origin(f"neuron {neuron.name}"),)
        if isinstance(neuron, Ramp):
            place(gates, row, neuron.gate, unit.gate_gain, unit.constant)
            place(numbers, row, neuron.reads, unit.gain, neuron.constant)
        else:
            place(gates, row, neuron.reads, unit.gain, unit.constant)
            place(numbers, row, (), 1, 1)
        for dimension, number in _written(neuron.writes, layout):
            outputs.add((dimension, row), number * unit.weight, origins)
    if layer.mlp_bias:
        row = len(layer.units)
        origins = tuple(dict.fromkeys(origin for each in layer.mlp_bias for origin in _bias(each)))
        _add_constant(gates, row, OPEN_GATE, layout, origins)
        _add_constant(numbers, row, 1 / OPEN_GATE, layout, origins)
        for each in layer.mlp_bias:
            for dimension, number in _written((each.adds,), layout):
                outputs.add((dimension, row), number, _bias(each))


def _add_constant(
    tensor: PlacedTensor, row: int, number: Number, layout: Layout, origins: tuple[Origin, ...]
) -> None:
    """Add a number to a row by way of the constant dimension."""
    if not number:
        return
    dimension, stored = layout.constants[0]
    tensor.add((row, dimension), number * Fraction(1, stored), origins)


def _origins(head: Head) -> tuple[Origin, ...]:
    return head.origins or (Origin(f"head {head.name}"),)


def _bias(each: Bias) -> tuple[Origin, ...]:
    return each.origins or (Origin("bias"),)


def _written(parts: Iterable[Coefficients], layout: Layout) -> Iterable[tuple[int, Number]]:
    for part in parts:
        for i, number in part.entries:
            yield from layout.write(part.subspace, i, number)
