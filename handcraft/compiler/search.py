"""Try several plans for the same answers, and keep the smallest model that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.errors import HandcraftError, LayoutError, LimitError, PrecisionError
from handcraft.weights import Plan, Sizes, SpreadError, allocate_layout, plan_model
from handcraft.weights.layers import build_layers

Way: TypeAlias = Callable[[Sizes], Plan | None]
"""From the requested sizes to a plan; None if this kind of plan does not apply.

It raises a LayoutError if the sizes are too small for it, a PrecisionError if the dtype cannot
distinguish what it must, and a LimitError if it would take too much memory."""


def smallest(ways: Sequence[Way], sizes: Sizes) -> Plan:
    """The smallest plan: by parameters, then blocks, then heads, then the order of the ways.

    Raises:
        LayoutError, PrecisionError, LimitError: no plan fits. More width is easier to get than another
            dtype or program, so a LayoutError is preferred to a PrecisionError; among several it is
            the one for the smallest width.
    """
    plans: list[Plan] = []
    problems: list[tuple[Way, HandcraftError]] = []
    for way in ways:
        try:
            plan = way(sizes)
        except (LayoutError, PrecisionError, LimitError) as problem:
            problems.append((way, problem))
        else:
            plans += [plan] if plan else []
    if not plans:
        raise _nearest(problems)
    return min(plans, key=_size)


def smallest_of(ways: Sequence[Way], sizes: Sizes) -> Plan | None:
    """The same, or None where no plan fits."""
    plans: list[Plan] = []
    for way in ways:
        with suppress(LayoutError, PrecisionError, LimitError):
            plan = way(sizes)
            plans += [plan] if plan else []
    return min(plans, key=_size, default=None)


def _size(plan: Plan) -> tuple[int, int, int]:
    """Parameters, then blocks and heads."""
    parameters = plan.shape.parameters(plan.architecture)
    return parameters, len(plan.layers), plan.layout.n_head


def _nearest(problems: Sequence[tuple[Way, HandcraftError]]) -> HandcraftError:
    """Of what is wrong with each way, what is fixed most easily."""
    narrow = [(way, problem) for way, problem in problems if isinstance(problem, LayoutError)]
    widths: list[tuple[int, HandcraftError]] = []
    for way, problem in narrow if len(narrow) > 1 else ():
        try:
            plan = way(Sizes())
        except (LayoutError, PrecisionError, LimitError):
            continue
        widths += [(plan.layout.n_embd, problem)] if plan else []
    if widths:
        return min(widths, key=lambda each: each[0])[1]
    return (narrow or problems)[0][1]


def plan_in_one_layer(circuits: Circuits, target: Architecture, sizes: Sizes) -> Plan:
    """The plan, in a wider stream where only then all neurons of a block fit one layer.

    Raises:
        SpreadError: they do not fit in the requested width.
    """
    try:
        return plan_model(circuits, target, sizes)
    except SpreadError as error:
        if sizes.n_embd is not None:
            raise
        return plan_model(circuits, target, as_wide(error.n_embd, circuits, sizes))


def plan_without_spreading(
    circuits: Circuits, target: Architecture, sizes: Sizes, *, short: bool
) -> Plan:
    """The plan in a stream so wide that the neurons of every block fit one layer.

    Args:
        circuits: the circuits.
        target: the architecture.
        sizes: the requested width and heads.
        short: whether each neuron can do with one hidden unit.
    """
    units = max(len(layer.units) for layer in build_layers(circuits, target))
    if short:
        units = max(len(block.neurons) for block in circuits.blocks)
    n_embd = max(-(-units // 4), allocate_layout(circuits, target, sizes).n_embd)
    return plan_model(circuits, target, as_wide(n_embd, circuits, sizes))


def as_wide(n_embd: int, circuits: Circuits, sizes: Sizes) -> Sizes:
    """The sizes, with so many dimensions or a few more, which the heads divide evenly."""
    n_head = sizes.n_head or max(1, circuits.head_count)
    return replace(sizes, n_embd=-(-n_embd // n_head) * n_head, n_head=n_head)
