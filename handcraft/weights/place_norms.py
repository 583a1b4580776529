"""The gains of every LayerNorm: they undo it, and the last one reads out the logits."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, inf, log2, sqrt

from handcraft.circuits import Encoding
from handcraft.circuits.number import evaluate
from handcraft.origin import Origin
from handcraft.weights.layout import SMALL_ROTARY
from handcraft.weights.placement import PlacedTensor
from handcraft.weights.plan import Plan

NATS = 20
"""About how many nats one unit of logit becomes: the probability of a wrong token is then so small
that sampling gives the same answers as greedy decoding. More would cost digits: float32 must represent
differences of logits to 1e-4, also in tools that fold LayerNorm into the weights."""


CODED_LEAD = 1 / 6
"""The assumed lead, in half units, of the right codeword in a coded subspace. It has no opposites, so
a logit is read once; a lead of a third of a unit becomes `NATS`."""


def place_norms(tensors: dict[str, PlacedTensor], plan: Plan) -> None:
    """Place the gains; the shifts stay 0.

    A norm divides by sqrt(S/d + epsilon), where S is the static sum of squares of its input, so that
    as a gain gives the input back. The gain of ln_f is 0 outside the unembedding's dimensions: a tied
    head then reads nothing else. It also carries the temperature, a power of two.
    """
    for norm in plan.norms[:-1]:
        gain = _scale(plan, norm.sum_of_squares) if norm.is_read or norm.least else Fraction(1)
        kind = "LayerNorm" if plan.architecture.is_mirrored else "RMSNorm"
        served = Origin(f"{kind} undone: sum of squares {norm.sum_of_squares}")
        for i in range(plan.layout.n_embd):
            times = 1 / SMALL_ROTARY if i in plan.layout.small_dimensions else 1
            tensors[f"{norm.name}.weight"].add((i,), gain * times, (served,))
    unembedding, layout = plan.circuits.unembedding, plan.layout
    if unembedding is None:
        return
    gain = _temperature(plan)
    served = Origin("the unembedding's temperature")
    last = tensors[f"{plan.norms[-1].name}.weight"]
    for i in range(unembedding.width):
        last.add((layout.start[unembedding] + i,), gain, (served,))
        opposite = layout.opposite(unembedding, i) if layout.is_mirrored else None
        if opposite is not None and opposite != layout.balance:
            last.add((opposite,), gain, (served,))


def _scale(plan: Plan, sum_of_squares: float | Fraction) -> Fraction:
    """What the norm divides by, to float64."""
    variance = float(sum_of_squares) / plan.layout.n_embd + plan.architecture.norm_epsilon
    return Fraction(sqrt(variance))


def _temperature(plan: Plan) -> Fraction:
    """A power of two by which the smallest number that is written as a logit becomes `NATS`.

    ln_f divides by a scale that grows with the logits; the largest that may come up is assumed.
    """
    last, sides = plan.norms[-1], 2 if plan.layout.is_mirrored else 1
    if plan.circuits.logit_scale is not None:  # the tied head reads a mirrored logit twice
        return _scale(plan, last.sum_of_squares) / sides
    target = plan.circuits.unembedding
    assert target is not None
    if target not in last.varying and target.encoding is Encoding.SIGNED_BITS:
        # Each bit that differs lowers the product by 2; padding has the codeword 0.
        smallest = min(2.0 if len(target.values) > 1 else inf, target.width)
        squares = float(last.sum_of_squares)
    elif target.encoding is Encoding.CODED:
        smallest, squares = CODED_LEAD, float(last.sum_of_squares)
    else:
        smallest, sizes = _logit_sizes(plan)
        squares = float(last.sum_of_squares) + sides * sum(size**2 for size in sizes)
    wanted = NATS / sides * float(_scale(plan, squares)) / smallest
    return Fraction(2) ** ceil(log2(wanted))


def _logit_sizes(plan: Plan) -> tuple[float, list[float]]:
    """The smallest number that is written as a logit, and how large each logit may become.

    Biases and heads add up; of the units, few fire at once, and only the largest is counted.
    """
    target, values = plan.circuits.unembedding, plan.circuits.values
    assert target is not None
    added = [0.0] * target.width
    largest = [0.0] * target.width
    smallest: list[float] = []
    for layer in plan.layers:
        steady = [
            entry
            for each in (*layer.attention_bias, *layer.mlp_bias)
            if each.adds.subspace == target
            for entry in each.adds.entries
        ]
        for head in layer.heads:
            maps = (linear for linear in head.writes if linear.target == target)
            steady += [(j, number) for linear in maps for _, j, number in linear.entries]
        for i, number in steady:
            size = abs(float(evaluate(number, values)))
            added[i] += size
            smallest.append(size)
        for unit in layer.units:
            for write in unit.neuron.writes:
                for i, number in write.entries if write.subspace == target else ():
                    size = abs(float(evaluate(number, values)))
                    largest[i] = max(largest[i], size)
                    smallest.append(size)
    sizes = [one + other for one, other in zip(added, largest, strict=True)]
    return min(filter(None, smallest), default=1.0), sizes
