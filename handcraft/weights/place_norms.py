"""The gains of every LayerNorm: they undo it, and the last one reads out the logits."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log2, sqrt

from handcraft.circuits import Coefficients
from handcraft.circuits.number import Plain, evaluate
from handcraft.origin import Origin
from handcraft.weights.placement import PlacedTensor
from handcraft.weights.plan import Plan

NATS = 128
"""About how many nats one unit of logit becomes. Over 104, a wrong token's probability is 0 in
float32, so that sampling answers what greedy decoding does."""


def place_norms(tensors: dict[str, PlacedTensor], plan: Plan) -> None:
    """Place the gains; the shifts stay 0.

    A norm divides by sqrt(S/d + epsilon), where S is the static sum of squares of its input, so that
    as a gain gives the input back. The gain of ln_f is 0 outside the unembedding's dimensions: a tied
    head then reads nothing else. It also carries the temperature, a power of two.
    """
    for norm in plan.norms[:-1]:
        gain = _scale(plan, norm.sum_of_squares) if norm.is_read else Fraction(1)
        served = Origin(f"LayerNorm undone: sum of squares {norm.sum_of_squares}")
        for i in range(plan.layout.n_embd):
            tensors[f"{norm.name}.weight"].add((i,), gain, (served,))
    gain = _temperature(plan)
    served = Origin("the unembedding's temperature")
    unembedding, layout = plan.circuits.unembedding, plan.layout
    for i in range(unembedding.width):
        tensors["ln_f.weight"].add((layout.start[unembedding] + i,), gain, (served,))
        opposite = layout.opposite(unembedding, i)
        if opposite is not None:
            tensors["ln_f.weight"].add((opposite,), gain, (served,))


def _scale(plan: Plan, sum_of_squares: float | Fraction) -> Fraction:
    """What the norm divides by, to float64."""
    variance = float(sum_of_squares) / plan.layout.n_embd + plan.architecture.norm_epsilon
    return Fraction(sqrt(variance))


def _temperature(plan: Plan) -> Fraction:
    """A power of two by which the smallest number that is written as a logit becomes some `NATS`."""
    numbers = [abs(float(number)) for number in _logit_numbers(plan)] or [1.0]
    smallest, largest = min(numbers), max(numbers)
    last = float(plan.norms[-1].sum_of_squares) + 2 * largest**2
    wanted = NATS / 2 * float(_scale(plan, last)) / smallest
    return Fraction(2) ** ceil(log2(wanted))


def _logit_numbers(plan: Plan) -> list[Plain]:
    """All numbers that heads, units and biases write into the unembedding."""
    target = plan.circuits.unembedding
    parts: list[Coefficients] = []
    found: list[Plain] = []
    for layer in plan.layers:
        parts += [each.adds for each in (*layer.attention_bias, *layer.mlp_bias)]
        parts += [write for unit in layer.units for write in unit.neuron.writes]
        for head in layer.heads:
            for linear in head.writes:
                if linear.target == target:
                    found += [evaluate(n, plan.circuits.values) for _, _, n in linear.entries]
    for part in parts:
        if part.subspace == target:
            found += [evaluate(n, plan.circuits.values) for _, n in part.entries]
    return [number for number in found if number]
