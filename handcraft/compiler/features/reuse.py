"""Dead dimensions: a feature that is no longer read is cleared, and a later one reuses its dimensions.

A ramp reads a number x that is never negative, or x minus its least value, and writes -x. That costs a
neuron, and saves a row or a column of every matrix that touches the residual stream.

LayerNorm adds a small error to what the ramp reads, which remains in the dimension. So after LayerNorm
only features that neurons read reuse dimensions, and only if these neurons tolerate twice that error.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from operator import attrgetter

from handcraft.architecture import Architecture
from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Encoding,
    Neuron,
    Ramp,
    Reuse,
    Subspace,
)
from handcraft.circuits.lifetimes import Lifetime, lifetimes, read_by_heads
from handcraft.circuits.number import Plain
from handcraft.compiler.features.places import Places
from handcraft.errors import LayoutError
from handcraft.origin import Origin
from handcraft.weights import Sizes, SpreadError, allocate_layout, plan_model

Spans = Mapping[tuple[Subspace, int], tuple[Plain, Plain]]
"""For a dimension of a subspace the smallest and the largest number that it ever stores."""


def with_reuse(circuits: Circuits, places: Places, target: Architecture, sizes: Sizes) -> Circuits:
    """The circuits with dead dimensions reused, where the numbers in them can be cleared exactly."""
    assembly = places.assembly
    if not assembly.tolerates_clearing:
        return circuits
    spans = places.spans(negative=assembly.precision.is_wide)
    reused = reuse_dimensions(circuits, spans, target, sizes)
    try:
        plan_model(reused, target, sizes)
    except SpreadError:  # neurons of one block in several layers: some still read what others clear
        return circuits
    except LayoutError:  # too narrow in any case; without requested sizes the error says by how much
        return with_reuse(circuits, places, target, Sizes())
    return reused


def reuse_dimensions(
    circuits: Circuits,
    spans: Spans,
    target: Architecture,
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
) -> Circuits:
    """The same circuits with later subspaces in the dimensions of earlier ones, if that saves width.

    Contract: every subspace keeps its value until it is read for the last time. Either the residual
    stream becomes narrower, or the circuits are returned unchanged, because heads need the width, or
    a requested width is already sufficient.

    Args:
        circuits: with no subspace reused yet.
        spans: of the dimensions that may be cleared.
        target: the architecture whose layout must become narrower.
        sizes: the requested sizes of that layout.
    """
    found = list(_reuses(circuits, spans, target))

    @cache
    def width(count: int) -> float:
        try:
            some = replace(circuits, reuses=tuple(found[:count]))
            return allocate_layout(some, target, sizes).n_embd
        except LayoutError:
            return inf

    narrowest = width(len(found))
    enough = bisect_left(range(len(found)), True, key=lambda count: width(count) == narrowest)
    return _with(circuits, found[:enough], spans) if enough else circuits


@dataclass
class _Dead:
    """A dead subspace, of which some dimensions are taken.

    Args:
        subspace: the dead one.
        life: when it was read and written.
        taken: how many of its dimensions are reused.
    """

    subspace: Subspace
    life: Lifetime
    taken: int = 0

    @property
    def left(self) -> int:
        """How many dimensions are left."""
        return self.subspace.width - self.taken


def _reuses(circuits: Circuits, spans: Spans, target: Architecture) -> Iterator[Reuse]:
    """A dead subspace for each new one if there is one, in the order in which they are written."""
    plain = (Encoding.SCALAR,) if target.has_norm else (Encoding.SCALAR, Encoding.ONE_HOT)
    kept = {s for block in circuits.blocks for s in read_by_heads(block)} if target.has_norm else set()
    lives = lifetimes(circuits)
    dead: list[_Dead] = []
    for new, life in sorted(lives.items(), key=lambda item: item[1].born):
        if new.encoding not in plain:
            continue
        if new not in kept:
            fitting = [each for each in dead if each.left >= new.width]
            free = [each for each in fitting if _is_free(each.life, life.born)]
            if free:
                each = min(free, key=attrgetter("left"))
                yield Reuse(new, each.subspace, each.taken)
                each.taken += new.width
        if all((new, i) in spans for i in range(new.width)):
            dead.append(_Dead(new, life))


def _is_free(life: Lifetime, born: int) -> bool:
    """Whether a subspace can be cleared after its last reading and before another is written.

    Neurons of the block that clears it may still read it, because all read before any of them writes.
    Only neurons in several layers would not, and a block whose neurons read what they write, as a
    clearing one does, is never spread over several layers (`SpreadError`).
    """
    cleared = _cleared(born)
    return life.settled < cleared and life.read < cleared


def _cleared(born: int) -> int:
    """The latest state in which neurons can clear the dimensions of a subspace born later."""
    return born // 2 * 2


def _with(circuits: Circuits, reuses: Sequence[Reuse], spans: Spans) -> Circuits:
    """The circuits with some reuses, and the neurons that clear the reused dimensions."""
    lives = lifetimes(circuits)
    blocks = list(circuits.blocks)
    cleared: dict[Subspace, int] = {}  # all reused dimensions of one subspace are cleared at once
    for reuse in reuses:
        state = cleared.setdefault(reuse.within, _cleared(lives[reuse.subspace].born))
        number = state // 2 - 1
        for i in range(reuse.at, reuse.at + reuse.subspace.width):
            blocks[number] = _clearing(blocks[number], reuse, i, *spans[reuse.within, i])
    return replace(circuits, blocks=tuple(blocks), reuses=tuple(reuses))


def _clearing(block: Block, reuse: Reuse, i: int, low: Plain, high: Plain) -> Block:
    """The block with a ramp that writes the negative of a dimension."""
    name = reuse.within.dimension_names[i]
    origins = (Origin(f"`{name}` cleared for `{reuse.subspace}`"),)
    low = min(low, 0)
    ramp = Ramp(
        f"clear {name}",
        (Coefficients(reuse.within, ((i, 1),)),),
        -low,
        (),
        1,
        high - low,
        (Coefficients(reuse.within, ((i, -1),)),),
        origins,
    )
    neurons: tuple[Neuron | Ramp, ...] = (*block.neurons, ramp)
    bias = (Bias(Coefficients(reuse.within, ((i, -low),)), origins),) if low else ()
    return replace(block, neurons=neurons, neuron_bias=(*block.neuron_bias, *bias))
