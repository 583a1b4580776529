"""Forms of steps within steps, thousands deep, each of them in two others: every step is met once."""

from __future__ import annotations

from handcraft.compiler.ordinal.form import Form, Look, Step, all_steps, rewritten
from handcraft.origin import Origin

DEEP = 3_000
LOOK = Look((((0, 1),),), (0, 1), ())


def steps_within_steps() -> list[Step]:
    origin = Origin("x", None)
    made = [Step(Form({LOOK: 1}, (0,)), 0, 1, origin, "x")]
    for _ in range(DEEP - 1):
        made.append(Step(Form({LOOK: 1, **dict.fromkeys(made[-2:], 1)}, (0,)), 0, 1, origin, "x"))
    return made


def test_steps_come_after_those_within_them_each_once():
    steps = steps_within_steps()
    assert all_steps(Form({steps[-1]: 1}, (0,))) == steps
    assert [step.depth for step in steps] == list(range(DEEP))
    assert len(repr(steps[-1])) < 1_000


def test_looks_within_steps_are_rewritten():
    answer = Form({steps_within_steps()[-1]: 1}, (0,))
    twice = rewritten(answer, lambda look: Form({look: 2}, (0,)))
    found = all_steps(twice)
    assert len(found) == DEEP
    assert all(step.form.terms[LOOK] == 2 for step in found)
