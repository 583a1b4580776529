"""Parts of a proof that others decide, in any order: the verdict is that of one process, bit by bit."""

from __future__ import annotations

import os
import pickle
import runpy
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from backwards import Backwards
from checked_programs import adder_ahead
from killing import Killing

from handcraft import compile_program
from handcraft_check.attempts import proof_at
from handcraft_check.by_cases import parts, saved
from handcraft_check.by_cases.proof import Proof
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

SMALL = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "small_programs.py"))
CASES = {"induction": 16, "carry": 4, "parity": 2, "mean": 2, "adder_ahead": 16}
"""Of each program so few cases a part that a position has many parts."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {}
    for name in CASES:
        found[name] = tmp_path_factory.mktemp("parts") / name
        program = adder_ahead() if name == "adder_ahead" else SMALL["programs"]()[name]
        compile_program(program).save(found[name])
    return found


@pytest.fixture
def few(monkeypatch, request):
    """So few cases a part that small programs have many."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    monkeypatch.setattr(parts, "CASES", CASES.get(name, 2))


def seen(verdict):
    return replace(verdict, seconds=0.0)


@pytest.mark.parametrize("name", CASES)
def test_parts_in_any_order_give_the_verdict_of_one_process(name, folders, few):
    alone, said = seen(prove(folders[name])), []
    assert alone.word == "proved"
    executor = Backwards()
    assert seen(prove(folders[name], executor=executor, progress=said.append)) == alone
    assert executor.done > 3
    assert not executor.waiting
    for kind in (ThreadPoolExecutor, ProcessPoolExecutor):
        with kind(2) as pool:
            assert seen(prove(folders[name], executor=pool)) == alone


@pytest.mark.parametrize("regime", ["bfloat16", "float16"])
def test_each_attention_of_a_regime_has_parts_of_its_own(regime, folders, few):
    alone = seen(prove(folders["parity"], regime=regime))
    executor = Backwards()
    assert seen(prove(folders["parity"], regime=regime, executor=executor)) == alone
    assert executor.done


def test_what_cannot_be_proved_is_found_at_the_same_place(folders, few):
    """Half precision leaves too little known of some of these programs."""
    found = {}
    for name in ("carry", "parity", "mean"):
        alone = seen(prove(folders[name], regime="bfloat16", radius=0.03))
        found[name] = alone.word
        executor = Backwards()
        assert seen(prove(folders[name], regime="bfloat16", radius=0.03, executor=executor)) == alone
    assert "unproved" in found.values()


@pytest.mark.parametrize("budget", [60, 300])
def test_a_budget_ends_at_the_same_case(budget, folders, few, monkeypatch):
    monkeypatch.setattr("handcraft_check.attempts.BUDGETS", (20, budget))
    alone = seen(prove(folders["induction"], budget=budget))
    assert seen(prove(folders["induction"], budget=budget, executor=Backwards())) == alone


def test_where_a_worker_is_killed_the_proof_goes_on_alone(folders, few, tmp_path):
    alone, said = seen(prove(folders["carry"])), []
    with Killing(2, tmp_path / "killed") as pool:
        assert seen(prove(folders["carry"], executor=pool, progress=said.append)) == alone
    assert pool.flag.exists()
    assert "a worker ended: what is left is computed here" in said


def test_a_worker_that_sees_other_files_decides_nothing(folders):
    options = {"rehash": False, "regime": None, "radius": 0.0}
    with pytest.raises(CheckError, match="a worker sees other files"):
        proof_at(folders["mean"], options, "0" * 64, 0, "sets")


class Ended(Exception):
    """Stands for a process that is ended."""


def ended_at(position):
    """A progress that ends the process at a position."""

    def progress(text):
        if text.startswith(f"position {position}: ") and text.endswith(" cases"):
            raise Ended

    return progress


@pytest.fixture
def often(monkeypatch):
    """Save the state behind every position."""
    monkeypatch.setattr(saved, "EVERY", 0.0)
    monkeypatch.setattr(saved, "SHARE", 1e9)


def decided_in(folder, monkeypatch, **options):
    """The verdict, and at which positions cases were decided for it."""
    positions, decide = [], Proof.decide

    def noted(self, tokens, position, entries, written):
        positions.append(position)
        return decide(self, tokens, position, entries, written)

    with monkeypatch.context() as patch:
        patch.setattr(Proof, "decide", noted)
        return seen(prove(folder, **options)), positions


@pytest.mark.parametrize(("name", "last"), [("induction", 2), ("carry", 5), ("parity", 4)])
def test_a_proof_that_was_ended_goes_on_where_it_was(name, last, folders, often, monkeypatch, tmp_path):
    state = tmp_path / "state"
    alone, every = decided_in(folders[name], monkeypatch)
    with pytest.raises(Ended):
        prove(folders[name], state=state, progress=ended_at(last))
    assert state.exists()
    again, positions = decided_in(folders[name], monkeypatch, state=state)
    assert again == alone
    assert min(positions) == last
    assert len(positions) < len(every)
    assert list(tmp_path.iterdir()) == []


def test_a_state_of_other_options_is_not_used(folders, often, monkeypatch, tmp_path):
    state = tmp_path / "state"
    with pytest.raises(Ended):
        prove(folders["carry"], state=state, progress=ended_at(5))
    _, positions = decided_in(folders["carry"], monkeypatch, state=state, rehash=True)
    assert min(positions) == 0


class Evil:
    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "evil"])
def test_a_damaged_state_is_no_state_and_runs_nothing(kind, folders, often, monkeypatch, tmp_path):
    state, evil = tmp_path / "state", Evil()
    evil.path = tmp_path / "made"
    with pytest.raises(Ended):
        prove(folders["carry"], state=state, progress=ended_at(5))
    content = {
        "empty": b"",
        "text": b"no state",
        "cut": state.read_bytes()[:-20],
        "evil": pickle.dumps(evil),
    }
    state.write_bytes(content[kind])
    found, positions = decided_in(folders["carry"], monkeypatch, state=state)
    assert found.word == "proved"
    assert min(positions) == 0
    assert not evil.path.exists()
