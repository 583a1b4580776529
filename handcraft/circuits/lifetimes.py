"""When a subspace is written and read, so that dimensions no longer read can be reused.

The residual stream has a state before the first block, state 0, one after the heads of block b, state
2 b + 1, and one after its neurons, state 2 b + 2. Heads of block b read state 2 b, its neurons state
2 b + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from handcraft.circuits.subspace import Subspace

if TYPE_CHECKING:
    from handcraft.circuits.circuits import Block, Circuits

NEVER = -1
"""The state of the last read of a subspace that is never read."""


@dataclass(frozen=True)
class Lifetime:
    """The states between which the value of a subspace is needed.

    Args:
        born: the first state after a write to it.
        settled: the state from which on nothing is written to it.
        read: the last state in which it is read: that after the last block for a result, and `NEVER`
            if it is never read.
    """

    born: int
    settled: int
    read: int


def lifetimes(circuits: Circuits) -> Mapping[Subspace, Lifetime]:
    """The lifetime of every subspace of the stream; those that are only scratch are left out."""
    born: dict[Subspace, int] = {table.subspace: 0 for table in circuits.embedding}
    settled = dict(born)
    read: dict[Subspace, int] = {}
    for number, block in enumerate(circuits.blocks):
        read |= dict.fromkeys(read_by_heads(block), 2 * number)
        read |= dict.fromkeys(read_by_neurons(block), 2 * number + 1)
        for state, subspaces in (
            (2 * number + 1, written_by_heads(block)),
            (2 * number + 2, written_by_neurons(block)),
        ):
            for subspace in subspaces:
                born.setdefault(subspace, state)
                settled[subspace] = state
    read |= dict.fromkeys(results(circuits), 2 * len(circuits.blocks))
    return {s: Lifetime(born[s], settled[s], read.get(s, NEVER)) for s in circuits.stream if s in born}


def results(circuits: Circuits) -> tuple[Subspace, ...]:
    """The outputs of the model: the logits, or the subspaces that the circuits declare as results.

    Where none are declared, every subspace that no block reads is an output.
    """
    if circuits.unembedding is not None:
        return (circuits.unembedding,)
    if circuits.results is not None:
        return circuits.results
    known = {s for block in circuits.blocks for s in (*read_by_heads(block), *read_by_neurons(block))}
    return tuple(s for s in circuits.stream if s not in known)


def read_by_heads(block: Block) -> Iterable[Subspace]:
    """What the heads of a block read."""
    return (linear.source for head in block.heads for linear in head.all_reads)


def read_by_neurons(block: Block) -> Iterable[Subspace]:
    """What the neurons of a block read."""
    return (read.subspace for neuron in block.neurons for read in neuron.all_reads)


def written_by_heads(block: Block) -> Iterable[Subspace]:
    """What the heads of a block write, and what is added with them."""
    written = (linear.target for head in block.heads for linear in head.writes)
    return chain(written, (each.adds.subspace for each in block.attention_bias))


def written_by_neurons(block: Block) -> Iterable[Subspace]:
    """What the neurons of a block write, and what is added with them."""
    written = (write.subspace for neuron in block.neurons for write in neuron.writes)
    return chain(written, (each.adds.subspace for each in block.neuron_bias))
