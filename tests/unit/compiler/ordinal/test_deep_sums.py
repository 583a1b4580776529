"""Sums of steps within steps, thousands deep, each of them in two others: every step is met once."""

from __future__ import annotations

from handcraft.compiler.ordinal.approximate_sum import (
    ApproximateSum,
    rewritten,
    step_layers,
    sum_in,
)
from handcraft.compiler.ordinal.codes import by_token
from handcraft.compiler.passes.ir import StepFunction, WeightedSum
from handcraft.language.graph.wording import reads
from handcraft.vocabulary import Vocabulary

DEEP = 3_000
NUMBER = by_token(Vocabulary("ab"), (0, 1), reads("number"))
HERE = WeightedSum.of(NUMBER, [(0, ((0, 1),))], NUMBER)
ZERO = ApproximateSum({}, (0,))


def steps_within_steps() -> list[StepFunction]:
    made: list[StepFunction] = []
    for _ in range(DEEP):
        total = ApproximateSum({HERE: 1, **dict.fromkeys(made[-2:], 1)}, (0,))
        made.append(total.step(0, 1, reads("x"), None))
    return made


def test_steps_come_after_those_within_them_each_once():
    steps = steps_within_steps()
    assert step_layers([steps[-1]]) == {step: depth for depth, step in enumerate(steps)}
    assert list(step_layers([steps[-1]])) == steps
    assert len(repr(steps[-1])) < 1_000


def test_weighted_sums_within_steps_are_rewritten():
    answer = ZERO.only(steps_within_steps()[-1])
    twice = rewritten(answer, lambda node: ZERO.only(node).times(2))
    found = step_layers(twice.terms)
    assert len(found) == DEEP
    assert all(sum_in(step, ZERO).terms[HERE] == 2 for step in found)
