"""Circuits with every symbol replaced by its value."""

from __future__ import annotations

from dataclasses import replace

from handcraft.circuits.circuits import Bias, Block, Circuits, Table
from handcraft.circuits.head import Head
from handcraft.circuits.linear_map import LinearMap
from handcraft.circuits.neuron import Neuron, Ramp
from handcraft.circuits.number import Number, evaluate
from handcraft.circuits.subspace import Coefficients


def resolve(circuits: Circuits) -> Circuits:
    """The same circuits with plain numbers only.

    Raises:
        CircuitError: a symbol has no value.
    """
    if not circuits.values:
        return circuits
    value = _Value(circuits)
    return Circuits(
        circuits.vocabulary,
        circuits.context,
        embedding=[value.table(table) for table in circuits.embedding],
        blocks=[value.block(block) for block in circuits.blocks],
        unembedding=circuits.unembedding,
        scratch=circuits.scratch,
        causal=circuits.causal,
        logit_scale=circuits.logit_scale,
        results=circuits.results,
        reuses=circuits.reuses,
        place=circuits.place,
    )


class _Value:
    """Knows what every symbol stands for."""

    def __init__(self, circuits: Circuits) -> None:
        self.values = circuits.values

    def number(self, number: Number) -> Number:
        return evaluate(number, self.values)

    def table(self, table: Table) -> Table:
        rows = tuple(tuple((i, self.number(n)) for i, n in row) for row in table.rows)
        return replace(table, rows=rows)

    def coefficients(self, part: Coefficients) -> Coefficients:
        return replace(part, entries=tuple((i, self.number(n)) for i, n in part.entries))

    def linear(self, maps: tuple[LinearMap, ...]) -> tuple[LinearMap, ...]:
        return tuple(
            replace(m, entries=tuple((i, j, self.number(n)) for i, j, n in m.entries)) for m in maps
        )

    def head(self, head: Head) -> Head:
        relation = replace(
            head.attends,
            query=self.linear(head.attends.query),
            key=self.linear(head.attends.key),
            gap=self.number(head.attends.gap),
            query_bias=tuple(map(self.coefficients, head.attends.query_bias)),
            key_bias=tuple(map(self.coefficients, head.attends.key_bias)),
        )
        return replace(
            head,
            attends=relation,
            moves=self.linear(head.moves),
            writes=self.linear(head.writes),
            sharpness=None if head.sharpness is None else self.number(head.sharpness),
        )

    def neuron(self, neuron: Neuron | Ramp) -> Neuron | Ramp:
        reads = tuple(map(self.coefficients, neuron.reads))
        writes = tuple(map(self.coefficients, neuron.writes))
        if isinstance(neuron, Neuron):
            return replace(neuron, reads=reads, writes=writes)
        return replace(
            neuron, reads=reads, writes=writes, gate=tuple(map(self.coefficients, neuron.gate))
        )

    def biases(self, biases: tuple[Bias, ...]) -> tuple[Bias, ...]:
        return tuple(replace(each, adds=self.coefficients(each.adds)) for each in biases)

    def block(self, block: Block) -> Block:
        return Block(
            heads=tuple(self.head(head) for head in block.heads),
            attention_bias=self.biases(block.attention_bias),
            neurons=tuple(map(self.neuron, block.neurons)),
            neuron_bias=self.biases(block.neuron_bias),
            settled=block.settled,
            kept=block.kept,
        )
