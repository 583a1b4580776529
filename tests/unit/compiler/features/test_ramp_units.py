"""Ramps and open thresholds as hidden units: both activations say what the circuits say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from short_texts import assert_compiled

from handcraft import Prompts, compile_program, select, where, window
from handcraft.circuits import Block, Circuits, Coefficients, Neuron, Ramp, Table, scalar
from handcraft.circuits.ideal import ideal_stream
from handcraft.compiler import compile_sequences
from handcraft.errors import CircuitError

ARCHITECTURES = ["block", "gpt2"]
X, GATE, OUT = scalar("x"), scalar("gate"), scalar("out")

NUMBERS = (0, Fraction(1, 3), 1, Fraction(7, 4), 3, 5, Fraction(31, 4), 8)
"""What x is at each position."""


def circuits(*neurons: Neuron | Ramp, numbers=NUMBERS) -> Circuits:
    """Circuits in which x is a number for each position, and `gate` is 1 after b and 0 after a."""
    return Circuits(
        "ab",
        len(numbers),
        embedding=[
            Table("position", X, tuple(((0, n),) if n else () for n in numbers)),
            Table("token", GATE, ((), ((0, 1),))),
        ],
        blocks=[Block(neurons=neurons)],
        unembedding=None,
    )


def reads(subspace, factor=1) -> tuple[Coefficients, ...]:
    return (Coefficients(subspace, ((0, factor),)),)


def written(of: Circuits, ids, architecture: str | None = None) -> list[float]:
    """What is written to `out` at every position, ideally or by a model."""
    if architecture is None:
        return [
            float(n) for n in np.broadcast_to(ideal_stream(of, [ids])[OUT], (1, len(ids), 1))[0, :, 0]
        ]
    made = compile_program(of, architecture=architecture)
    last = f"h.{made.model.shape.n_layer - 1}.output"
    kept = {}
    made.model.watch([ids], lambda name, value: kept.update({name: value.copy()}))
    ((dimension, factor),), constant = made.layout.read(OUT, 0, 1)
    return (kept[last][0, :, dimension] * float(factor) + float(constant)).tolist()


def ramp(**changes) -> Ramp:
    """A ramp that passes x on where it is let."""
    parts = {
        "reads": reads(X),
        "constant": 0,
        "gate": reads(GATE),
        "gate_constant": 0,
        "most": 8,
        "writes": reads(OUT),
    }
    return Ramp("ramp", **{**parts, **changes})


@pytest.mark.parametrize("architecture", [None, *ARCHITECTURES])
@pytest.mark.parametrize("token", [0, 1], ids=["shut", "let"])
def test_a_ramp_passes_a_number_on_where_it_is_let_and_is_0_elsewhere(token, architecture):
    said = written(circuits(ramp()), [token] * 8, architecture)
    meant = [float(n) if token else 0.0 for n in NUMBERS]
    assert said == pytest.approx(meant, abs=2e-3)
    if not token:
        assert said == [0.0] * 8, "nothing leaks where it is shut"


@pytest.mark.parametrize("architecture", [None, *ARCHITECTURES])
def test_a_ramp_may_be_let_by_what_does_not_hold_and_add_a_constant(architecture):
    other = ramp(constant=Fraction(3, 2), gate=reads(GATE, -1), gate_constant=1, most=Fraction(19, 2))
    ids = [0, 1] * 4
    said = written(circuits(other), ids, architecture)
    meant = [
        float(n + Fraction(3, 2)) if token == 0 else 0.0 for n, token in zip(NUMBERS, ids, strict=True)
    ]
    assert said == pytest.approx(meant, abs=2e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_ramp_multiplies_what_it_writes(architecture):
    said = written(circuits(ramp(writes=reads(OUT, Fraction(-1, 4)))), [1] * 8, architecture)
    assert said == pytest.approx([float(-n / 4) for n in NUMBERS], abs=2e-3)


@pytest.mark.parametrize(("architecture", "units"), [("block", 1), ("gpt2", 2)])
def test_a_ramp_takes_one_unit_with_relu_and_two_with_gelu(architecture, units):
    made = compile_program(circuits(ramp()), architecture=architecture)
    assert [len(layer.units) for layer in made.plan.layers] == [units]


GAPS = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 64)]


@pytest.mark.parametrize("architecture", [None, *ARCHITECTURES])
@pytest.mark.parametrize("gap", GAPS, ids=str)
def test_a_threshold_with_a_gap_is_reached_from_it_on_and_not_below_the_gap(gap, architecture):
    numbers = (0, 1 - gap, 1, 1 + gap / 3, 2, 5)
    unit = Neuron("unit", reads(X), 1, reads(OUT), gap=gap)
    of = circuits(unit, numbers=numbers)
    assert written(of, [0] * 6, architecture) == pytest.approx([0, 0, 1, 1, 1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("architecture", "share"), [("block", Fraction(6, 25)), ("gpt2", Fraction(1, 6))], ids=ARCHITECTURES
)
@pytest.mark.parametrize("gap", GAPS, ids=str)
def test_errors_of_nearly_a_quarter_of_the_gap_change_nothing(gap, architecture, share):
    almost = gap * share
    numbers = (0, 1 - gap + almost, 1 - almost, 1 + almost, 2, 5)
    exact = circuits(Neuron("unit", reads(X), 1, reads(OUT), gap=gap), numbers=numbers)
    assert written(exact, [0] * 6, architecture) == pytest.approx([0, 0, 1, 1, 1, 1], abs=1e-5)


def test_a_sum_within_the_gap_is_no_ideal_circuit():
    unit = Neuron("unit", reads(X), 1, reads(OUT), gap=Fraction(1, 2))
    with pytest.raises(CircuitError, match="`unit` sums to 3/4, within 1/2 of its threshold 1"):
        ideal_stream(circuits(unit, numbers=(0, Fraction(3, 4))), [[0, 0]])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_threshold_with_a_gap_takes_two_units(architecture):
    unit = Neuron("unit", reads(X), 1, reads(OUT), gap=Fraction(1, 3))
    made = compile_program(circuits(unit, numbers=(0, 1)), architecture=architecture)
    assert [len(layer.units) for layer in made.plan.layers] == [2]


# in expressions

PROMPTS = Prompts("abc", context=4)
WIDE = window(2).mean(select(PROMPTS.token, PROMPTS.token).mean(PROMPTS.position)) * 0.1


def ramps(made) -> int:
    """How many ramps there are, those left out that clear what is read no more."""
    neurons = [neuron for block in made.circuits.blocks for neuron in block.neurons]
    return sum(isinstance(n, Ramp) and not n.name.startswith("clear ") for n in neurons)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("choice", "count"),
    [
        (where(PROMPTS.token == "a", WIDE, 5 - WIDE), 2),
        (where(PROMPTS.token == "a", WIDE, 1), 1),
        (where(PROMPTS.token == "a", -3, WIDE), 1),
    ],
    ids=["two numbers", "or a constant", "a constant or"],
)
def test_a_choice_of_numbers_is_a_ramp_for_each_that_varies(choice, count, architecture):
    made = compile_sequences({"x": choice}, architecture=architecture, tolerance=0.5)
    assert ramps(made) == count
    for text in ("abca", "cccc", "a", "bac"):
        (said,) = made.numbers(np.array([PROMPTS.vocabulary.ids(text)]))["x"]
        assert said.tolist() == pytest.approx([float(n) for n in choice.trace(text)], abs=2e-3)


def test_a_choice_of_few_numbers_is_a_table_and_no_ramp():
    few = where(PROMPTS.token == "a", PROMPTS.position, 3)
    assert ramps(assert_compiled({"x": few})) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_chosen_number_is_compared_like_any_other(architecture):
    choice = where(PROMPTS.token == "a", WIDE, 5 - WIDE)
    assert_compiled({"x": choice >= 1}, architecture)
