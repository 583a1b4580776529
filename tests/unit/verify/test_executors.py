"""Contexts that other processes try: the report is that of one process, to the last bit."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from backwards import Backwards
from hypothesis import strategies as st

from handcraft import Program, Prompts, compile_program, compile_sequences, predict, select
from handcraft.cli.input.sources import find
from handcraft.errors import ModelError
from handcraft.formats import save, verify_folder
from handcraft.progress import listening
from handcraft.verify import (
    divide,
    given,
    meant_by_circuits,
    meant_by_expressions,
    verify,
    verify_outputs,
    verify_values,
)
from handcraft.verify.sent import as_bytes, from_bytes
from handcraft.verify.texts import allowed, batch, contexts, written_part
from handcraft_check.processes import Processes

PROGRAMS = Path(__file__).parents[3] / "programs"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """So few contexts a part that small programs have many."""
    for module in (batch, contexts):
        monkeypatch.setattr(module, "PART", 5)
    monkeypatch.setattr(contexts, "CACHE_NUMBERS", 2_000)
    for module in (allowed, contexts, given, written_part):
        monkeypatch.setattr(module, "SAMPLE_ROWS", 4)


def patterns():
    return Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def distributions():
    return Program("ab", 4, [predict("a").after("b"), predict({"a": 0.5, "b": 0.5}).otherwise()])


def copying(prompts):
    """Copies a token that stood before; else the answer is `a`."""
    token, position = prompts.token, prompts.position
    seen = (select(token, token) & select(position, position, "<")).exists()
    return Program(prompts=prompts, rules=[predict(token).when(seen), predict("a").otherwise()])


def unmasked():
    return copying(Prompts("abc", 4, causal=False))


def drawn():
    return copying(Prompts("abc", 4, inputs=st.text("abc", min_size=1)))


def assuming():
    prompts = Prompts("abc", 4)
    known = prompts.token.map({"a": 0, "b": 1, "c": 2}).assume([0, 1])
    return Program(prompts=prompts, rules=[predict("b").when(known == 0), predict("c").otherwise()])


def writing():
    prompts = Prompts("ab=", 7, inputs="[ab]{1,3}=", writes=3)
    return Program(
        prompts=prompts,
        rules=[predict("b").when(prompts.token == "a"), predict("a").otherwise()],
    )


def shipped(name):
    return find(str(PROGRAMS / f"{name}.py")).source


CASES = {
    "every context": (patterns, {}),
    "longer contexts": (patterns, {"n_positions": 9}),
    "a sample": (patterns, {"every_up_to": 3, "sample": 30}),
    "distributions": (distributions, {}),
    "a mask": (lambda: copying(Prompts("abc", 4)), {}),
    "no mask": (unmasked, {}),
    "a sample without mask": (unmasked, {"every_up_to": 3, "sample": 30}),
    "assumptions": (assuming, {}),
    "a start": (lambda: copying(Prompts("<abc", 5, bos="<")), {}),
    "what is written": (writing, {}),
    "a strategy": (drawn, {"sample": 20}),
    "given prompts": (patterns, {"given": ["aab", "b", "abab", "aa", "bb", "ab", "ba"]}),
    "circuits": (lambda: shipped("by_hand"), {"every_up_to": 3, "sample": 30}),
    "circuits of rules": (lambda: compile_program(copying(Prompts("ab", 4))).circuits, {}),
    "a gallery program": (lambda: shipped("induction"), {"every_up_to": 3, "sample": 40}),
}  # fmt: skip


def broken(model):
    """The model with noise on every weight: many answers are wrong."""
    random = np.random.default_rng(0)
    tensors = {
        name: each + random.normal(size=each.shape).astype(each.dtype)
        for name, each in model.tensors.items()
    }
    return replace(model, tensors=tensors)


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_any_executor_gives_the_report_of_one_process(name, is_right):
    make, options = CASES[name]
    source = make()
    positions = {"n_positions": options["n_positions"]} if "n_positions" in options else {}
    rest = {key: value for key, value in options.items() if key != "n_positions"}
    model = compile_program(source, **positions).model
    model = model if is_right else broken(model)
    alone = verify(model, source, **rest)
    assert alone.passed == (is_right and name != "assumptions")
    executor = Backwards()
    assert verify(model, source, **rest, executor=executor) == alone
    assert executor.done > 2
    assert not executor.waiting
    with ThreadPoolExecutor(2) as pool:
        assert verify(model, source, **rest, executor=pool) == alone


def test_other_processes_give_the_same_report(tmp_path):
    compiled = compile_program(copying(Prompts("abc", 4)))
    folder = save(compiled, tmp_path / "out")
    with ProcessPoolExecutor(2) as pool:
        assert compiled.verify(executor=pool) == compiled.verify()
        assert verify_folder(folder, executor=pool) == verify_folder(folder)


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("by", ["expressions", "circuits"])
def test_values_are_compared_by_others_too(by, is_right, monkeypatch):
    monkeypatch.setattr(verify_outputs, "BATCH", 5)
    prompts = Prompts("abc", 4)
    count = select(prompts.token, prompts.token).count()
    outputs = {"count": count, "first": prompts.position == 0}
    compiled = compile_sequences(outputs)
    values = compiled.values
    values = values if is_right else replace(values, model=broken(values.model))
    meant = {
        "expressions": meant_by_expressions(outputs),
        "circuits": meant_by_circuits(compiled.circuits, values.outputs),
    }[by]
    alone = verify_values(values, meant, prompts, "what is meant")
    assert alone.passed == is_right
    executor = Backwards()
    assert verify_values(values, meant, prompts, "what is meant", executor=executor) == alone
    assert executor.done > 2


def killed_once(flag, *arguments):
    """Try a part, but end the process when it is the first."""
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return at_worker(*arguments)
    os._exit(9)


at_worker = divide.at_worker


class Killing(Processes):
    """Its first worker is killed in its work."""

    flag = None

    def submit(self, function, *arguments):
        return super().submit(killed_once, self.flag, *arguments)


def test_where_a_worker_is_killed_this_process_goes_on_alone(tmp_path):
    compiled, stages = compile_program(copying(Prompts("abc", 4))), []
    with Killing(2) as pool, listening(lambda stage, done, total: stages.append(stage)):
        pool.flag = tmp_path / "killed"
        found = compiled.verify(executor=pool)
    assert pool.flag.exists()
    assert found == compiled.verify()
    assert "a worker ended: what is left is computed here" in stages


class Stopped(Exception):
    """Stands for Ctrl-C."""


def test_an_interrupt_takes_back_what_nobody_has_begun():
    """One part is under way, and none of the others is tried."""
    begun, goes_on = threading.Event(), threading.Event()

    def stop(stage, done, total):
        assert begun.wait(60)
        raise Stopped

    class Slow(ThreadPoolExecutor):
        submitted = 0

        def submit(self, function, *arguments):
            self.submitted += 1
            number = self.submitted

            def wait():
                if number > 1:
                    begun.set()
                    assert goes_on.wait(60)
                return function(*arguments)

            asked.append(super().submit(wait))
            return asked[-1]

    asked, compiled = [], compile_program(copying(Prompts("abc", 5)))
    with Slow(1) as pool:
        with listening(stop), pytest.raises(Stopped):
            compiled.verify(executor=pool)
        cancelled = sum(future.cancelled() for future in asked)
        goes_on.set()
    assert len(asked) > 5
    assert cancelled == len(asked) - 2


def test_all_parts_are_counted_as_progress():
    compiled, told = compile_program(patterns()), []
    with (
        ThreadPoolExecutor(2) as pool,
        listening(lambda *step: told.append(step)),
    ):
        compiled.verify(executor=pool)
    stages = {stage: [step[1:] for step in told if step[0] == stage] for stage, _, _ in told}
    assert stages.keys() == {"try contexts", "try longer contexts"}  # nothing of the workers
    for steps in stages.values():
        assert steps == sorted(steps)
        assert len(steps) > 5
        assert steps[-1][0] == steps[-1][1]


def test_a_deep_program_is_sent_in_few_bytes():
    """Each step reads the one before it: pickle alone would recurse."""
    prompts = Prompts("ab", 4)
    number = prompts.position
    for _ in range(1_200):
        number = (number + 1).map(lambda n: n % 5)
    program = Program(prompts=prompts, rules=[predict("a").when(number == 1), predict("b").otherwise()])
    data = as_bytes(program)
    assert len(data) < 1_000_000
    again = from_bytes(data)
    texts, rows, places = np.zeros((1, 4), dtype=int), np.zeros(4, dtype=int), np.arange(4)
    assert (again.answers_at(texts, rows, places) == program.answers_at(texts, rows, places)).all()
    assert [each.condition for each in again.decisions] == [d.condition for d in program.decisions]


def test_a_value_that_cannot_be_sent_is_an_error():
    class Local(str):
        pass

    prompts = Prompts("ab", 4)
    label = prompts.token.map(lambda token: Local(token))
    program = Program(
        prompts=prompts, rules=[predict("a").when(label == Local("b")), predict("b").otherwise()]
    )
    compiled = compile_program(program)
    assert compiled.verify().passed
    with ThreadPoolExecutor(1) as pool, pytest.raises(ModelError, match="cannot be sent to another"):
        compiled.verify(executor=pool)
