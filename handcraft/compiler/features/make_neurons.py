"""Make neurons: thresholds and ramps for values computed at one position."""

from __future__ import annotations

from fractions import Fraction

from handcraft.circuits import Bias, Coefficients, Neuron, Ramp, Subspace
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Feature, Reading, greatest, least
from handcraft.compiler.features.places import Places
from handcraft.compiler.passes.ir import StepFunction
from handcraft.language.graph.domain import Plain, as_number
from handcraft.language.graph.node import Choice, Linear


def make_neurons(
    feature: Feature, assembly: Assembly, places: Places, logits: Subspace | None
) -> list[Neuron | Ramp]:
    """The neurons that write a value: one for each threshold at which a number changes."""
    if isinstance(feature.node, Choice):
        return _ramps(feature, feature.node, assembly, places)
    step_function = feature.node
    if isinstance(step_function, Linear):
        return []
    assert isinstance(step_function, StepFunction)
    name = places.label(step_function.text)
    steps = _changes(feature, places, logits)
    neurons: list[Neuron | Ramp] = []
    for k, (reading, at_least, gap) in enumerate(assembly.thresholds[id(feature)]):
        if not steps[k]:
            continue
        sign = -1 if _is_inverted(reading, at_least) else 1
        threshold = at_least - reading.constant
        neurons.append(
            Neuron(
                f"{name}, step {k + 1}",
                places.coefficients(reading * sign),
                threshold if sign > 0 else gap - threshold,
                tuple(Coefficients(s, tuple((i, sign * n) for i, n in e)) for s, e in steps[k].items()),
                (step_function.origin,),
                gap,
            )
        )
    return neurons


def _is_inverted(reading: Reading, at_least: Plain) -> bool:
    """Whether a neuron is inverted: it fires where its threshold is *not* reached.

    It then writes the negative, and a bias compensates. The two hidden units of a threshold grow with
    the distance of the sum from it, and only their difference counts. They lose less to rounding on the
    side where the sum stays closer.
    """
    low, high = reading.span
    return high - at_least > at_least - low


_Entries = dict[Subspace, list[tuple[int, Plain]]]


def _changes(feature: Feature, places: Places, logits: Subspace | None) -> list[_Entries]:
    """For each threshold, the changes of dimensions where it is reached."""
    found: list[_Entries] = [{} for _ in feature.at_reached[1:]]
    for row, (subspace, dimension) in _by_reached(feature, places, logits):
        for k in range(len(found)):
            if row[k + 1] != row[k]:
                found[k].setdefault(subspace, []).append((dimension, row[k + 1] - row[k]))
    return found


def _by_reached(
    feature: Feature, places: Places, logits: Subspace | None
) -> list[tuple[list[Plain], tuple[Subspace, int]]]:
    """The number in each dimension for each count of reached thresholds, logits included."""
    at = feature.at_reached
    rows: list[tuple[list[Plain], tuple[Subspace, int]]] = []
    if feature.is_one_hot:
        for j in range(len(feature.values)):
            rows.append(([int(i == j) for i in at], places.dimension(feature, j)))
    else:
        for numbers, d in feature.numbers.items():
            rows.append(([numbers[i] for i in at], places.dimension(feature, d)))
    for factor, dimension in places.added(feature):
        rows.append(([factor * as_number(feature.values[i]) for i in at], dimension))
    if logits is not None:
        rows += [([numbers[i] for i in at], (logits, t)) for t, numbers in feature.logits.items()]
    return rows


def make_biases(
    feature: Feature, assembly: Assembly, places: Places, logits: Subspace | None
) -> list[Bias]:
    """The biases that write a step function where none of its neurons fires."""
    if not isinstance(feature.node, StepFunction):
        return []
    total: dict[tuple[Subspace, int], Plain] = {}
    for row, dimension in _by_reached(feature, places, logits):
        total[dimension] = row[0]
    thresholds = assembly.thresholds[id(feature)]
    changes = _changes(feature, places, logits)
    for (reading, at_least, _), step in zip(thresholds, changes, strict=True):
        if _is_inverted(reading, at_least):
            for subspace, entries in step.items():
                for i, number in entries:
                    total[subspace, i] += number
    entries_of: _Entries = {}
    for (subspace, i), number in total.items():
        if number:
            entries_of.setdefault(subspace, []).append((i, number))
    return [Bias(Coefficients(s, tuple(e)), (feature.node.origin,)) for s, e in entries_of.items()]


def _ramps(feature: Feature, node: Choice, assembly: Assembly, places: Places) -> list[Neuron | Ramp]:
    condition, yes, no = assembly.choices[id(feature)]
    share: Plain = Fraction(1, feature.scale)
    targets = [(share, places.dimension(feature, i)) for i in feature.numbers.values()]
    targets += places.added(feature)
    writes = tuple(Coefficients(s, ((d, factor),)) for factor, (s, d) in targets)
    ramps: list[Neuron | Ramp] = []
    for name, gate, number, of in (
        ("yes", condition, yes, node.yes),
        ("no", condition * -1 + Reading((), 1), no, node.no),
    ):
        span = greatest(of) - least(of)
        if not span:
            continue
        ramps.append(
            Ramp(
                f"{places.label(node.text)}, {name}",
                places.coefficients(number),
                number.constant - least(of),
                places.coefficients(gate),
                gate.constant,
                span,
                writes,
                (node.origin,),
            )
        )
    return ramps
