"""Proofs by the workers of a dask.distributed cluster, one of which is killed in the middle."""

from __future__ import annotations

import json
import os
import runpy
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import pytest
from judges import judge

from handcraft import compile_program
from handcraft.cli.executors import executor_of
from handcraft.cli.input.sources import find
from handcraft.cli.main import main
from handcraft.verify.texts import batch, contexts
from handcraft_check.by_cases import parts
from handcraft_check.prove import prove

distributed = judge("distributed")

SMALL = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "small_programs.py"))


@pytest.fixture(scope="module")
def address():
    """That of a scheduler with two workers, each a process of its own."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = []
    for name in ("induction", "carry"):
        folder = tmp_path_factory.mktemp("cluster") / name
        found.append(compile_program(SMALL["programs"]()[name]).save(folder))
    return found


@pytest.fixture
def few(monkeypatch):
    """So few cases a part that small programs have many."""
    monkeypatch.setattr(parts, "CASES", 20)


def seen(verdict):
    return replace(verdict, seconds=0.0)


@pytest.fixture
def run(monkeypatch):
    """Run the command line, and return its exit status."""

    def status(*arguments):
        monkeypatch.setattr("sys.argv", ["handcraft", *arguments])
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0
        return 0

    return status


class Killing(Executor):
    """Submits to another executor, and has the worker that takes the third part killed."""

    def __init__(self, executor, flag):
        self.executor, self.flag, self.submitted = executor, str(flag), 0

    def submit(self, function, *arguments):
        flag = self.flag

        def killed_once(*arguments):
            if not os.path.exists(flag):
                with open(flag, "w") as file:
                    file.write(str(os.getpid()))
                os._exit(9)
            return function(*arguments)

        self.submitted += 1
        return self.executor.submit(killed_once if self.submitted == 3 else function, *arguments)


def test_a_cluster_proves_what_one_process_proves(address, folders, few):
    with executor_of(1, address) as executor:
        for folder in folders:
            assert seen(prove(folder, executor=executor)) == seen(prove(folder))


def test_what_a_killed_worker_had_begun_is_computed_again(address, folders, few, tmp_path):
    with executor_of(1, address) as executor:
        killing, said = Killing(executor, tmp_path / "killed"), []
        found = prove(folders[0], executor=killing, progress=said.append)
    assert int((tmp_path / "killed").read_text()) != os.getpid()
    assert killing.submitted > 10
    assert not any("a worker ended" in text for text in said)  # the cluster has another
    assert seen(found) == seen(prove(folders[0]))


def test_a_cluster_verifies_as_one_process_does_also_when_a_worker_is_killed(
    address, tmp_path, monkeypatch
):
    for module in (batch, contexts):
        monkeypatch.setattr(module, "PART", 500)
    compiled = compile_program(find("induction").source)
    with executor_of(1, address) as executor:
        killing = Killing(executor, tmp_path / "killed")
        found = compiled.verify(executor=killing)
    assert int((tmp_path / "killed").read_text()) != os.getpid()
    assert killing.submitted > 5
    assert found == compiled.verify()


def test_the_command_line_takes_the_address_of_a_scheduler(address, folders, capsys, tmp_path, run):
    results = str(tmp_path / "verdicts.jsonl")
    names = [str(folder) for folder in folders]
    arguments = ["prove", *names, "--scheduler", address, "--results", results, "--json"]
    assert run(*arguments) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["program"]: row["verdict"] for row in rows} == dict.fromkeys(names, "proved")


def test_an_address_at_which_nobody_answers_is_an_error(capsys, folders, monkeypatch, run):
    monkeypatch.setattr("handcraft.cli.executors.ANSWERS_IN", "0.5s")
    assert run("prove", str(folders[0]), "--scheduler", "tcp://127.0.0.1:1") == 2
    error = capsys.readouterr().err
    assert error.startswith("CommandError: no scheduler answers: ")
    assert "where: --scheduler tcp://127.0.0.1:1\n" in error
