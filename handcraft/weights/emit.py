"""Placed weights to arrays of one dtype, with the sharpness that the dtype needs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from math import ceil, isfinite, log2

import numpy as np

from handcraft.circuits.number import Plain, evaluate
from handcraft.dtype import FLOAT64, dtype_named, numpy_dtype
from handcraft.errors import PrecisionError
from handcraft.model.layers.attention import Array
from handcraft.progress import advance
from handcraft.weights.placement import PlacedTensor, Placement
from handcraft.weights.plan import Plan

SHIFTED_GAP = 2
"""How much sharper attention is made where LayerNorm may shift scores: it scales each source
separately, by some parts in 100,000, and scores reach 16,384 times their gap
(`test_what_compiles_can_be_saved`)."""


def sharpness_for(plan: Plan, dtype: str) -> int:
    """The factor of W_Q that makes attention exactly hard: a power of two.

    The smallest gap among heads that leave their sharpness open decides, with the scale of scores.
    """
    gaps = [
        float(evaluate(head.attends.gap, plan.circuits.values))
        for layer in plan.layers
        for head in layer.heads
        if head.sharpness is None and head.attends.is_hard and not head.attends.is_rotary
    ]
    scale = plan.architecture.score_scale(plan.layout.head_dim)
    needed = dtype_named(dtype).underflow / (min(gaps, default=1) * scale)
    if plan.layout.has_ballast and not dtype_named(dtype).overflows_first:
        needed *= SHIFTED_GAP
    power = 1
    while power < needed:
        power *= 2
    return power


def check_sharpness(plan: Plan, dtype: str) -> None:
    """Raise unless attention is exactly hard in `dtype` for every head that states its sharpness.

    The attention weights of all other positions together must be less than half a unit in the last
    place.
    """
    circuits = plan.circuits
    bits = dtype_named(dtype).running.significand + 1
    needed = (bits + log2(circuits.context)) * float(np.log(2))
    scale = plan.architecture.score_scale(plan.layout.head_dim)
    for number, block in enumerate(circuits.blocks):
        for head in block.heads:
            if head.sharpness is None or not head.attends.is_hard:
                continue
            each = float(evaluate(head.attends.gap, circuits.values)) * scale  # of a sharpness of 1
            gap = float(evaluate(head.sharpness, circuits.values)) * each
            if gap < needed:
                raise PrecisionError(
                    f"`{head.name}` of block {number} has a score gap of {gap:.1f} nats, and hard "
                    f"attention over {circuits.context} positions needs {needed:.1f} in {dtype}",
                    where=circuits.place,
                    fix=f"a sharpness of {ceil(needed / each)} or more",
                )


def emit(placement: Placement, values: Mapping[str, Plain], dtype: str) -> dict[str, Array]:
    """The arrays that a placement describes.

    Raises:
        PrecisionError: a number is too large for the dtype, or an integer that it cannot represent.
        CircuitError: a symbol has no value.
    """
    arrays: dict[str, Array] = {}
    for name, tensor in placement.tensors.items():
        advance("make arrays", len(arrays), len(placement.tensors))
        arrays[name] = _emit_tensor(tensor, values, dtype)
    return arrays


def _emit_tensor(tensor: PlacedTensor, values: Mapping[str, Plain], dtype: str) -> Array:
    array = np.zeros(tensor.shape, dtype=numpy_dtype(dtype))
    if not tensor.values:
        return array
    numbers = [evaluate(number, values) for number in tensor.values.values()]
    wide = np.array([_as_float(number) for number in numbers])
    with np.errstate(over="ignore"):
        cast = wide.astype(array.dtype)
    places = np.fromiter(chain.from_iterable(tensor.values), np.int64)
    array[tuple(places.reshape(-1, len(tensor.shape)).T)] = cast
    stored = cast.astype(np.float64)
    if (stored != wide).any() or np.abs(wide).max() >= FLOAT64.whole:
        _check_cast(tensor, numbers, stored, dtype)
    return array


def _as_float(number: Plain) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _check_cast(tensor: PlacedTensor, numbers: list[Plain], cast: Array, dtype: str) -> None:
    """Raise if the dtype cannot represent an integer weight.

    Rounding a fraction such as 1/3 is expected. Rounding an integer may change a decision.
    """
    for index, number, stored in zip(tensor.values, numbers, cast.tolist(), strict=True):
        if (isinstance(number, int) and stored != number) or not isfinite(stored):
            served = ", ".join(str(origin) for origin in tensor.origins[index])
            wider = dtype_named(dtype).wider
            raise PrecisionError(
                f"{dtype} cannot represent {number}, the weight {tensor.describe(index)}",
                where=f"{tensor.name}{list(index)}, which serves {served}",
                fix=f"use {wider.name}" if wider else "use smaller numbers",
                is_tight=True,
            )
