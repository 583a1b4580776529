"""Many folders: by any executor, and from where a run stopped."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from handcraft import Program, compile_program, predict
from handcraft_check.__main__ import main
from handcraft_check.errors import CheckError
from handcraft_check.many import prove_all
from handcraft_check.prove import prove


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three folders that are proved."""
    found = []
    for context in (1, 2, 3):
        program = Program("ab", context, [predict("b").after("a"), predict("a").otherwise()])
        folder = tmp_path_factory.mktemp("many") / f"context-{context}"
        found.append(compile_program(program).save(folder))
    return found


class Counting(Executor):
    """Runs at once what is submitted, and counts it; from the call `ends` on, it ends in its middle."""

    def __init__(self, ends=99):
        self.calls, self.ends = 0, ends

    def submit(self, function, *arguments):
        future = Future()
        self.calls += 1
        if self.calls >= self.ends:
            from concurrent.futures import BrokenExecutor

            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_gives_the_verdicts_of_one_at_a_time(kind, folders):
    with kind(2) as executor:
        found = dict(prove_all(folders, executor))
    for folder in folders:
        alone = prove(folder)
        assert (found[folder].word, found[folder].margin) == (alone.word, alone.margin)
        assert found[folder].context == alone.context


def test_a_run_whose_worker_was_killed_goes_on_where_it_stopped(folders, tmp_path):
    results = tmp_path / "results.jsonl"
    with pytest.raises(CheckError, match=r"a worker ended; . of 3 folders are not decided") as caught:
        list(prove_all(folders, Counting(ends=3), results))
    assert "run it again" in caught.value.fix
    with results.open("a", encoding="utf-8") as file:
        file.write('\n["0123", {"verd')  # a line that was cut off
    done = results.read_text("utf-8").count('"proved"')
    again = Counting()
    found = dict(prove_all(folders, again, results))
    assert again.calls == 3 - done
    assert done >= 1
    assert found == {folder: found[folder] for folder in folders}
    assert {verdict.word for verdict in found.values()} == {"proved"}


def killed(folder, options, state):
    os._exit(9)


def test_a_worker_that_is_killed_is_an_error(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("handcraft_check.many._proved", killed)
    with ProcessPoolExecutor(1) as executor, pytest.raises(CheckError, match="a worker ended"):
        list(prove_all(folders, executor, tmp_path / "results.jsonl"))


def test_what_was_changed_or_is_asked_otherwise_is_proved_again(folders, tmp_path):
    results, folder = tmp_path / "results.jsonl", shutil.copytree(folders[0], tmp_path / "model")
    both = [folder, folders[1]]
    list(prove_all(both, Counting(), results))
    for options, calls in (({}, 0), ({"rehash": True}, 2), ({"rehash": True}, 0)):
        executor = Counting()
        list(prove_all(both, executor, results, **options))
        assert executor.calls == calls
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config), "utf-8")  # in another form
    found = dict(prove_all(both, Counting(), results))
    assert isinstance(found[folder], CheckError)
    assert "its hash differs" in found[folder].what


@pytest.mark.parametrize("executor", [None, Counting()])
def test_of_a_single_folder_the_verdict_is_kept_too(folders, tmp_path, executor):
    results, said = tmp_path / "results.jsonl", []
    for is_known in (False, True):
        ((_, found),) = prove_all(folders[:1], executor, results, progress=said.append)
        assert found.word == "proved"
        assert bool(said) is not is_known
        said.clear()
    assert list(tmp_path.iterdir()) == [results]


def test_the_command_line_checks_many(folders, tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    names = [str(folder) for folder in folders]
    assert main([*names, "--workers", "2", "--results", str(results)]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}\nproved: " in out for name in names)
    assert main([names[0], "--workers", "2", "--verbose"]) == 0
    assert capsys.readouterr().out.startswith(f"{names[0]}\nproved: ")
    assert main([*names, str(tmp_path / "none"), "--json", "--results", str(results)]) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("verdict") for row in rows].count("proved") == 3
    assert [row["folder"] for row in rows if "error" in row] == [str(tmp_path / "none")]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("no/such/results.jsonl", "there is no folder "),
        ("file/results.jsonl", "Not a directory"),
        ("folder", "Is a directory"),
    ],
)
def test_results_that_cannot_be_written_are_said_before_any_proof(
    folders, tmp_path, capsys, place, why
):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    results = tmp_path / place
    assert main([*map(str, folders), "--results", str(results)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"CheckError: {results} cannot be written: {why}" in printed.err
    assert f"  where: {results}\n  fix:   name a file in a folder that exists" in printed.err
    assert not (tmp_path / "no").exists()
