"""Programs are proved from their files, and no run in float32 has a lower margin than that."""

from __future__ import annotations

import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from gallery import compiled, facts
from sweeps import DEEP

from handcraft import compile_program, save
from handcraft.cli.input.shipped import shipped_programs, shipped_proofs
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
JUDGED = runpy.run_path(str(BENCHMARKS / "judged_folders.py"))
original_of, logits = JUDGED["Original"], JUDGED["logits"]
drawn_contexts, least_of = JUDGED["drawn_contexts"], JUDGED["least_of"]

PROVED = {
    # inputs, the most cases, the margin
    "aab": (62, 30, 29.1),
    "by_hand": (62, 30, 40.5),
    "copy_text": (96_835_440, 800, 24.4),
    "dyck1": (8_190, 4_000, 21.8),
    "ioi": (1_944, 1_944, 26.1),
    "parity": (256, 60, 23.0),
    "reverse": (10_755_120, 400, 23.6),
}
"""Programs of the gallery."""

SECONDS = (*PROVED, "counter_machine", "grammar", "most_frequent", "ngram")
"""Those about which the checker decides in a second or so."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A function that writes a program of the gallery, once."""
    known = {}

    def written(name):
        if name not in known:
            known[name] = tmp_path_factory.mktemp("proved") / name
            if name == "by_hand":
                circuits = compile_program(facts(name)["circuits"])
                save(circuits, known[name], meaning=facts(name)["means"])
            else:
                compiled(name).save(known[name])
        return known[name]

    return written


@pytest.mark.parametrize("name", PROVED)
def test_a_program_is_proved_with_the_margin_that_runs_show(name, folder):
    verdict, claim = prove(folder(name)), read_claim(folder(name))
    inputs, cases, margin = PROVED[name]
    assert (verdict.word, verdict.inputs) == ("proved", inputs)
    assert verdict.cases <= cases
    assert f"{verdict.margin:.3g}" == f"{margin:.3g}"
    files = original_of.read(folder(name))
    worst = [claim.meaning.vocabulary.index(token) for token in verdict.context]
    seen = least_of(files, drawn_contexts(claim, Random(name), 12, [worst]))
    assert seen >= verdict.margin >= 0.98 * seen


def benchmark(name):
    """What a script defines that imports others beside it."""
    with patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
        return runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def listed_here():
    """The programs whose proofs end in seconds; in `make deep`, all whose proofs end."""
    proofs = shipped_proofs()
    return [
        name
        for name in sorted(shipped_programs())
        if (DEEP or name in SECONDS) and not proofs[name].get("reason", "").startswith("more than")
    ]


@pytest.mark.parametrize("name", listed_here())
def test_what_is_listed_of_a_program_is_what_is_found(name, folder):
    """`make bench-prove` lists it."""
    listed = shipped_proofs()[name]
    verdict = prove(folder(name))
    assert (verdict.word, verdict.inputs) == (listed["verdict"], listed["inputs"])
    if verdict.word == "proved":
        assert verdict.margin >= listed["margin"] * (1 - 1e-9)
    else:
        assert verdict.reason == listed["reason"]


def test_the_page_of_the_gallery_says_what_is_listed():
    in_words, listed = benchmark("proving")["in_words"], shipped_proofs()
    page = (BENCHMARKS.parent / "docs" / "programs.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| [")]
    assert {row[0].partition("]")[0][3:]: row[-2] for row in rows} == {
        name: in_words(listed[name]) for name in shipped_programs()
    }


@pytest.mark.parametrize(
    ("name", "architecture", "cases"),
    [
        ("add", "gpt2", 171_000),
        ("parity", "gpt2", 60),
        ("modular", "block", 9_409),
        ("parity", "block", 60),
    ],
)
def test_an_optimized_program_is_proved_with_the_margin_that_runs_show(
    name, architecture, cases, tmp_path
):
    """Nothing is kept of what only its heads, which share their attention, were decided for."""
    optimized = compile_program(facts(name)["program"], architecture=architecture, optimize=True)
    assert optimized.passes[0].did != "nothing"
    save(optimized, tmp_path / name)
    verdict, claim = prove(tmp_path / name), read_claim(tmp_path / name)
    assert verdict.word == "proved"
    assert verdict.cases <= cases
    smallest_seen = benchmark("proving")["smallest_seen"]
    with patch.dict(smallest_seen.__globals__, SEARCH_SECONDS=1.0):
        seen = smallest_seen(claim, verdict.context)
    assert seen >= verdict.margin >= 0.95 * seen


@pytest.fixture(scope="module")
def mutations():
    return benchmark("proof_mutations")


@pytest.fixture(scope="module")
def judge(mutations, tmp_path_factory):
    return mutations["Judge"](tmp_path_factory.mktemp("mutated"))


@pytest.mark.parametrize(
    ("kind", "count", "kept"),
    [
        ("weight", 3, 0.85),
        ("certificate", 2, 0.3),
        ("config", 1, 0.3),
        ("swapped", 1, None),
        ("tokenizer", 1, None),
    ],
)
def test_no_mutation_that_changes_an_answer_stays_proved(kind, count, kept, judge):
    """`make deep` changes 10,000 weights."""
    proved = []
    for name in judge.originals:
        for number in range(count):
            verdict, is_right, what = judge.outcome(name, kind, number)
            assert is_right or verdict != "proved", (name, what)
            proved += [verdict == "proved"] if is_right else []
    assert kept is None or sum(proved) >= kept * len(proved) > 0


def test_a_certificate_is_no_better_for_another_program(judge):
    """Each of the programs but one means what no other of the same tokens does, and is refuted."""
    words = [judge.outcome("count", "swapped", number)[0] for number in range(len(judge.originals) - 1)]
    assert words.count("refuted") >= 5
    assert "proved" not in words


def test_a_run_that_was_ended_goes_on_where_it_stopped(mutations, tmp_path):
    path, wanted = tmp_path / "results.jsonl", [("count", "weight", 0), ("before", "weight", 0)]
    with ThreadPoolExecutor(1) as executor:
        first = mutations["results"](wanted[:1], path, executor)
    with path.open("a", encoding="utf-8") as file:
        file.write('["before", "wei')  # as a process that is killed leaves it
    assert mutations["known_results"](path) == {wanted[0]: first[0]}
    with ThreadPoolExecutor(1) as executor:
        both = mutations["results"](wanted, path, executor)
    assert both[0] == first[0]
    assert mutations["known_results"](path) == dict(zip(wanted, both, strict=True))
    other = path.read_text("utf-8").replace(mutations["version"](), "0" * 64)
    path.write_text(other, "utf-8")
    assert mutations["known_results"](path) == {}


@pytest.mark.parametrize("name", ["sum", "carry"])
def test_no_mutation_of_shares_that_changes_an_answer_stays_proved(name, mutations, tmp_path):
    """These heads give several sources shares that are logarithms of weights."""
    judge = mutations["Judge"](tmp_path, [name], optimize=True)
    found = [judge.outcome(name, "weight", number)[:2] for number in range(DEEP or 20)]
    kept = [word == "proved" for word, is_right in found if is_right]
    assert ("proved", False) not in found
    assert sum(kept) >= 0.85 * len(kept) > 0
