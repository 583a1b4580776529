"""Estimate the memory that compiling a program takes, and refuse if it is too much.

Two things take memory: the arrays of all parameters, and the exact nonzero weights before them, each
with its place and its origins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.dtype import numpy_dtype
from handcraft.language import Program
from handcraft.limits import check_memory, memory_allowed
from handcraft.phrase import Words, setting
from handcraft.weights import Plan, Sizes

EXACT = 400
"""Bytes of one exact weight: in its circuit, and in its tensor with its index and its origins. The test
of `estimate.py` measures it."""


@dataclass(frozen=True)
class Estimate:
    """A bound on what compiling takes.

    Args:
        width: of the residual stream.
        parameters: numbers in the arrays.
        weights: exact ones, that are not 0.
        itemsize: bytes of a parameter.
    """

    width: int
    parameters: int
    weights: int
    itemsize: int

    @property
    def memory(self) -> int:
        """Bytes."""
        return self.parameters * self.itemsize + self.weights * EXACT

    def __str__(self) -> str:
        return f"a model of width {self.width:,} with {self.parameters:,} parameters"


def check_rules(
    program: Program, target: Architecture, sizes: Sizes, dtype: str, *, as_bits: bool
) -> None:
    """Raise where rules with patterns take too much memory, before they are lowered.

    Raises:
        LimitError: with an estimate, and what of the program makes it so large.
    """
    estimate = least(program, target, sizes, dtype, as_bits=as_bits)
    if estimate.memory <= memory_allowed():
        return
    size, context = len(program.vocabulary), program.context
    fewer = f"fewer than {context:,} positions or {size:,} tokens"
    fix: Words = f"{fewer}, or patterns that read fewer distances"
    if not as_bits and least(program, target, sizes, dtype, as_bits=True).memory <= memory_allowed():
        fix = setting("tokens", "binary")
    check_memory(estimate.memory, f"at least {estimate}", where=program.place, fix=fix)


def least(
    program: Program, target: Architecture, sizes: Sizes, dtype: str, *, as_bits: bool
) -> Estimate:
    """The least that rules with patterns take: tokens, and positions for each distance that is read.

    Args:
        program: whose rules read tokens at some distances.
        target: the architecture.
        sizes: the requested width.
        dtype: of the weights.
        as_bits: whether tokens and positions are bits; otherwise tokens are one-hot, and a position is
            a number and its square, and a number for each distance.
    """
    size, context = len(program.vocabulary), program.context
    read = {
        distance
        for clause in program.clauses
        for distance in range(1, len(clause.pattern))
        if len(clause.pattern.backwards(distance)) < size
    }
    sides = 2 if target.has_norm else 1
    if as_bits:
        bits = max(1, (context - 1).bit_length()) * (1 + len(read)) if read else 0
        token = max(1, (size - 1).bit_length())
        width, numbers = sides * (token + bits), sides * (context * bits + size * token)
        if not target.has_norm:
            numbers //= 4  # bits are 1 or 0 then
    else:
        position = 2 + len(read) if read else 0
        width, numbers = sides * size + position, sides * size + context * position
    width = sizes.n_embd or width
    of_block = (12 if target.has_norm else 4) * width**2
    return Estimate(
        width,
        (size + context) * width + (of_block if read else 0),
        numbers,
        numpy_dtype(dtype).itemsize,
    )


def check_plan(plan: Plan, dtype: str) -> None:
    """Raise where a planned model takes too much memory, before its weights are placed.

    Raises:
        LimitError: with an estimate.
    """
    shape = plan.shape
    parameters = sum(prod(sizes) for sizes in shape.tensors(plan.architecture).values())
    sides = 2 if plan.has_norm else 1
    weights = sides * _entries(plan.circuits)
    estimate = Estimate(shape.n_embd, parameters, weights, numpy_dtype(dtype).itemsize)
    check_memory(
        estimate.memory,
        str(estimate),
        where=plan.circuits.place,
        fix=f"a shorter context than {shape.n_positions:,}, fewer tokens than {shape.n_vocab:,}, or "
        f"fewer rules",
    )


def _entries(circuits: Circuits) -> int:
    """How many numbers circuits consist of, those of one position and all."""
    rows = sum(len(row) for table in circuits.embedding for row in table.rows)
    reads = sum(
        len(part.entries)
        for block in circuits.blocks
        for neuron in block.neurons
        for part in (*neuron.reads, *neuron.writes)
    )
    maps = sum(
        len(each.entries)
        for block in circuits.blocks
        for head in block.heads
        for each in (*head.attends.query, *head.attends.key, *head.moves, *head.writes)
    )
    return rows + reads + maps
