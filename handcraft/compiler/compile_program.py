"""The compiler on one screen: rules to circuits to layout to weights, keeping every stage."""

from __future__ import annotations

from handcraft.architecture import BLOCK, Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.lower_rules import lower_rules
from handcraft.language import Program
from handcraft.model import Model
from handcraft.weights import (
    allocate_layout,
    check_dtype,
    check_sharpness,
    emit,
    place_circuits,
    shape_of,
    sharpness_for,
)


def compile_program(
    source: Program | Circuits,
    *,
    architecture: Architecture | str = BLOCK,
    dtype: str = "float32",
    positions: str = "auto",
) -> Compiled:
    """Compile rules, or circuits laid out by hand, to the weights of a transformer.

    Args:
        source: a rule program, or circuits.
        architecture: the target, or its name.
        dtype: of the weights: ``float32`` or ``float64``.
        positions: how a rule program holds positions: ``one-hot``, ``binary``, or ``auto``.

    Returns:
        The model, together with every stage on the way to it. The same source gives the same bits.

    Raises:
        HandcraftError: something does not fit; it names the rule or the circuit, and a fix.

    >>> from handcraft import Program, predict
    >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    >>> compile_program(aab).complete("aab", n=6)
    'aabaab'
    """
    target = architecture_named(architecture) if isinstance(architecture, str) else architecture
    check_dtype(dtype)
    circuits = source if isinstance(source, Circuits) else lower_rules(source, positions)
    layout = allocate_layout(circuits)
    check_sharpness(circuits, layout, target, dtype)
    sharpness = sharpness_for(circuits, layout, target, dtype)
    placement = place_circuits(circuits, layout, sharpness)
    tensors = emit(placement, circuits.values, dtype)
    model = Model(target, shape_of(circuits, layout), circuits.vocabulary, tensors)
    return Compiled(source, circuits, layout, sharpness, placement, model)
