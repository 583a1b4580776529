"""Programs are proved from their files, and no run in float32 has a lower margin than that."""

from __future__ import annotations

import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from gallery import compiled

from handcraft_check.prove import prove, read_claim

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
JUDGED = runpy.run_path(str(BENCHMARKS / "judged_folders.py"))
original_of, logits = JUDGED["Original"], JUDGED["logits"]

PROVED = {
    # inputs, the most cases, the margin
    "aab": (62, 30, 29.1),
    "copy_text": (96_835_440, 800, 24.4),
    "dyck1": (8_190, 4_000, 21.8),
    "parity": (256, 60, 23.0),
    "reverse": (10_755_120, 400, 23.6),
}
"""Programs of the gallery."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A function that writes a program of the gallery, once."""
    known = {}

    def written(name):
        if name not in known:
            known[name] = tmp_path_factory.mktemp("proved") / name
            compiled(name).save(known[name])
        return known[name]

    return written


def drawn_contexts(claim, random, count):
    """Random inputs, all that they begin with, and what is written after them."""
    domain, found = claim.domain, []
    for _ in range(count):
        state, places = 0, []
        while len(places) <= domain.length - domain.writes:
            followers = [i for i, after in enumerate(domain.next[state].tolist()) if after >= 0]
            if not followers:
                break
            places.append(random.choice(followers))
            state = int(domain.next[state, places[-1]])
            if domain.final[state]:
                found.append(list(places))
                for _ in range(domain.writes - 1):
                    answer = int(claim.meaning.answers(np.array([found[-1]])).token[0])
                    found.append([*found[-1], answer])
    return found


def margins(claim, contexts, run):
    """How far the logit that is meant is above all others, by a function of ids."""
    for places in contexts:
        answer = int(claim.meaning.answers(np.array([places])).token[0])
        right, found = int(claim.token_ids[answer]), run(claim.token_ids[places])
        yield found[right] - np.delete(found, right).max()


@pytest.mark.parametrize("name", PROVED)
def test_a_program_is_proved_with_the_margin_that_runs_show(name, folder):
    verdict, claim = prove(folder(name)), read_claim(folder(name))
    inputs, cases, margin = PROVED[name]
    assert (verdict.word, verdict.inputs) == ("proved", inputs)
    assert verdict.cases <= cases
    assert f"{verdict.margin:.3g}" == f"{margin:.3g}"
    files = original_of.read(folder(name))
    contexts = [
        [claim.meaning.vocabulary.index(token) for token in verdict.context],
        *drawn_contexts(claim, Random(name), 12),
    ]
    seen = [*margins(claim, contexts, lambda ids: logits(files, ids[None])[0])]
    assert min(seen) >= verdict.margin
    assert verdict.margin >= 0.98 * min(seen)


def test_no_run_of_transformers_has_a_lower_margin(folder):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")

    def last_logits(model, ids):
        return model(torch.from_numpy(ids[None])).logits[0, -1].numpy()

    for name in ("aab", "reverse"):
        verdict, claim = prove(folder(name)), read_claim(folder(name))
        contexts = drawn_contexts(claim, Random(name), 5)
        for attention in ("eager", "sdpa"):
            model = transformers.GPT2LMHeadModel.from_pretrained(
                folder(name), dtype=torch.float32, attn_implementation=attention
            ).eval()
            with torch.no_grad():
                assert min(margins(claim, contexts, partial(last_logits, model))) >= verdict.margin


@pytest.fixture(scope="module")
def mutations():
    with patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
        return runpy.run_path(str(BENCHMARKS / "proof_mutations.py"))


@pytest.fixture(scope="module")
def judge(mutations, tmp_path_factory):
    return mutations["Judge"](tmp_path_factory.mktemp("mutated"))


@pytest.mark.parametrize(
    ("kind", "count", "kept"),
    [
        ("weight", 9, 0.85),
        ("certificate", 3, 0.3),
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
