"""Placed weights to arrays of one dtype, and the sharpness that the dtype asks for."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

import numpy as np

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.circuits.number import Plain, evaluate
from handcraft.errors import PrecisionError
from handcraft.model.attention import Array
from handcraft.weights.layout import Layout
from handcraft.weights.placement import PlacedTensor, Placement

DTYPES = ("float32", "float64")
"""The dtypes in which weights are emitted."""

UNDERFLOW = {"float32": 104, "float64": 746}
"""The score gap in nats from which exp(-gap) is exactly 0: attention is then exactly hard."""


def check_dtype(dtype: str) -> None:
    """Raise unless weights can be emitted in `dtype`.

    Raises:
        PrecisionError: there is no such dtype here.
    """
    if dtype not in DTYPES:
        raise PrecisionError(
            f"weights cannot be emitted as {dtype!r}", fix=f"use one of: {', '.join(DTYPES)}"
        )


def sharpness_for(circuits: Circuits, layout: Layout, architecture: Architecture, dtype: str) -> int:
    """The factor of W_Q that makes attention exactly hard: a power of two.

    Args:
        circuits: the circuits; the smallest gap among heads that leave their sharpness open decides.
        layout: gives the head dimension, and with it the scale of scores.
        architecture: what is done to scores before softmax.
        dtype: in which softmax runs.
    """
    gaps = [
        float(evaluate(head.attends.gap, circuits.values))
        for block in circuits.blocks
        for head in block.heads
        if head.sharpness is None
    ]
    needed = UNDERFLOW[dtype] / (min(gaps, default=1) * architecture.score_scale(layout.head_dim))
    power = 1
    while power < needed:
        power *= 2
    return power


def check_sharpness(circuits: Circuits, layout: Layout, architecture: Architecture, dtype: str) -> None:
    """Raise unless every head that states its sharpness attends hard, to the last bit of `dtype`.

    What the other positions weigh together must be lost in rounding: less than half a unit in the
    last place.

    Raises:
        PrecisionError: naming the head, the gap it has and the gap it needs.
    """
    bits = np.finfo(dtype).nmant + 2
    needed = (bits + log2(circuits.context)) * float(np.log(2))
    for number, block in enumerate(circuits.blocks):
        for head in block.heads:
            if head.sharpness is None:
                continue
            sharpness = evaluate(head.sharpness, circuits.values)
            size = float(sharpness * evaluate(head.attends.gap, circuits.values))
            gap = size * architecture.score_scale(layout.head_dim)
            if gap < needed:
                factor = float(sharpness) * needed / gap if gap > 0 else float("inf")
                raise PrecisionError(
                    f"`{head.name}` of block {number} has a score gap of {gap:.1f} nats, and hard "
                    f"attention over {circuits.context} positions needs {needed:.1f} in {dtype}",
                    where=circuits.place,
                    fix=f"a sharpness of {np.ceil(factor):.0f} or more",
                )


def emit(placement: Placement, values: Mapping[str, Plain], dtype: str) -> dict[str, Array]:
    """The arrays that a placement describes.

    Args:
        placement: the exact weights.
        values: what each symbol stands for, by its name.
        dtype: float32 or float64.

    Raises:
        PrecisionError: an integer or a fraction of powers of two that the dtype does not hold.
        CircuitError: a symbol has no value.
    """
    return {name: _emit_tensor(tensor, values, dtype) for name, tensor in placement.tensors.items()}


def _emit_tensor(tensor: PlacedTensor, values: Mapping[str, Plain], dtype: str) -> Array:
    array = np.zeros(tensor.shape, dtype=dtype)
    for index, number in tensor.values.items():
        array[index] = _cast(evaluate(number, values), array.dtype, tensor, index)
    return array


def _cast(
    number: Plain, dtype: np.dtype[np.floating], tensor: PlacedTensor, index: tuple[int, ...]
) -> np.floating:
    try:
        cast = dtype.type(number)
    except OverflowError:
        cast = dtype.type(np.inf)
    # A third has no binary form, and rounding it is what a float is for. An integer that is not
    # held is a decision that may flip.
    if not np.isfinite(cast) or (isinstance(number, int) and int(cast) != number):
        served = ", ".join(str(origin) for origin in tensor.origins[index])
        raise PrecisionError(
            f"{dtype.name} does not hold {number}, the weight {tensor.describe(index)}",
            where=f"{tensor.name}{list(index)}, which serves {served}",
            fix="use float64" if dtype.name == "float32" else "use smaller numbers",
        )
    return cast
