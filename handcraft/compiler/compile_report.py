"""The size of a compiled model, block by block and in all, and what each pass saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.lifetimes import lifetimes
from handcraft.compiler.stage import Pass, Stage
from handcraft.display import short_repr
from handcraft.model import Model, PartCounts, parameters_by_part
from handcraft.weights import Plan


@dataclass(frozen=True)
class BlockReport:
    """One block of the circuits.

    Args:
        heads: how many heads.
        moved: how many numbers they move; those from the same sources share a head.
        neurons: how many thresholds and ramps.
        live: how many dimensions store something that is read here or later.
    """

    heads: int
    moved: int
    neurons: int
    live: int


@short_repr
@dataclass(frozen=True)
class CompileReport:
    """The size of a compiled model.

    Args:
        blocks: of the circuits, in order.
        layers: blocks of the model; more than those of the circuits if neurons are spread.
        width: of the residual stream.
        reused: how many of its dimensions are cleared and reused.
        parameters: all of them; a tied unembedding counts once.
        nonzero: those that are not 0.
        needed: how many blocks the longest chain of dependencies takes at least.
        chain: the heads and neurons of that chain, each of which reads what the one before writes.
        stages: for each pass over expressions its name, and the number of expressions after it.
        passes: for an optimized program, what each pass did, and what was proved for it.
        parts: the parameters part by part.
    """

    blocks: tuple[BlockReport, ...]
    layers: int
    width: int
    reused: int
    parameters: int
    nonzero: int
    needed: int
    chain: tuple[str, ...]
    stages: tuple[tuple[str, int], ...]
    passes: tuple[Pass, ...] = ()
    parts: PartCounts | None = None

    @classmethod
    def of(
        cls, plan: Plan, model: Model, stages: Sequence[Stage] = (), passes: Sequence[Pass] = ()
    ) -> CompileReport:
        """The report of a plan and its model."""
        circuits = plan.circuits
        live = live_subspaces(circuits)
        slot, chain = longest_chain(circuits)
        return cls(
            tuple(
                BlockReport(
                    len(block.heads),
                    sum(channel.width for head in block.heads for channel in head.carried),
                    len(block.neurons),
                    sum(subspace.width for subspace in here),
                )
                for block, here in zip(circuits.blocks, live, strict=True)
            ),
            model.shape.n_layer,
            model.shape.n_embd,
            plan.layout.reused,
            model.parameters,
            model.nonzero_parameters,
            (slot + 1) // 2,
            chain,
            tuple((stage.name, stage.size) for stage in stages),
            tuple(passes),
            parameters_by_part(model.shape, model.architecture),
        )

    @property
    def optimized(self) -> str:
        """What each pass of `optimize` did, and what was proved for it."""
        width = max((len(each.name) for each in self.passes), default=0)
        lines = [f"  {each.name:<{width}}  {each.did}; {each.proved}" for each in self.passes]
        return "\n".join(["optimized:", *lines])

    def __str__(self) -> str:
        lines = [
            f"block {number}: {_count(block.heads, 'head')} moving "
            f"{_count(block.moved, 'number')}, {_count(block.neurons, 'neuron')}, "
            f"{_count(block.live, 'live dimension')}"
            for number, block in enumerate(self.blocks)
        ]
        reused = f" ({_count(self.reused, 'dimension')} cleared and used again)" if self.reused else ""
        lines.append(
            f"in all: {_count(self.layers, 'block')}, width {self.width}{reused}, "
            f"{self.parameters:,} parameters, {self.nonzero:,} of them not 0"
        )
        if self.parts is not None:
            lines += [f"  {line}" for line in str(self.parts).splitlines()[:-1]]
        depth = f"depth: {_count(len(self.blocks), 'block')} of circuits"
        ending = f" takes {self.needed}:" if self.chain else " is empty"
        lines.append(f"{depth}; the longest chain of dependencies{ending}")
        lines += [f"  {number}. {name}" for number, name in enumerate(self.chain, 1)]
        if self.stages:
            lines.append("expressions after each pass:")
            width = max(len(name) for name, _ in self.stages)
            lines += [f"  {name:<{width}}  {size:>4}" for name, size in self.stages]
        if self.passes:
            lines.append(self.optimized)
        return "\n".join(lines)


def live_subspaces(circuits: Circuits) -> list[tuple[Subspace, ...]]:
    """For each block, the subspaces whose value at its end is read by it or by a later one."""
    lives = lifetimes(circuits)
    return [
        tuple(
            subspace
            for subspace, life in lives.items()
            if life.born <= 2 * number + 2 and life.read >= 2 * number
        )
        for number in range(len(circuits.blocks))
    ]


Chain = tuple[int, tuple[str, ...]]
"""The earliest slot of a result (2b + 1 after the heads of block b, 2b + 2 after its neurons), and the
names of the heads and neurons on the way to it."""


def longest_chain(circuits: Circuits) -> Chain:
    """The longest chain of dependencies: the earliest slot of its result, and its heads and neurons.

    Heads read what earlier blocks wrote, neurons also what the heads of their block wrote, so two heads
    or two neurons in a row are a block apart.
    """
    chains: dict[Subspace, Chain] = {}
    for block in circuits.blocks:
        found: list[tuple[Subspace, Chain]] = []
        for head in block.heads:
            maps = (*head.attends.query, *head.attends.key, *head.moves)
            slot, names = _longest(chains, (m.source for m in maps))
            chain = ((slot + 1) // 2 * 2 + 1, (*names, f"head {head.name}"))
            found += [(m.target, chain) for m in head.writes]
        _extend(chains, found)
        found = []
        for neuron in block.neurons:
            read = dict.fromkeys(part.subspace for part in neuron.all_reads)
            if all(write.subspace in read for write in neuron.writes):
                continue  # it clears what it reads, which nothing else depends on
            slot, names = _longest(chains, read)
            chain = (slot // 2 * 2 + 2, (*names, f"neuron {neuron.name}"))
            found += [(write.subspace, chain) for write in neuron.writes]
        _extend(chains, found)
    return _longest(chains, chains)


def _longest(chains: dict[Subspace, Chain], read: Iterable[Subspace]) -> Chain:
    """The longest of the chains that end here; of equally long ones the first, whatever their names."""
    found = (chains.get(subspace, (0, ())) for subspace in read)
    return max(found, key=lambda chain: chain[0], default=(0, ()))


def _extend(chains: dict[Subspace, Chain], found: Iterable[tuple[Subspace, Chain]]) -> None:
    for subspace, chain in found:
        if chain[0] > chains.get(subspace, (0, ()))[0]:
            chains[subspace] = chain


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
