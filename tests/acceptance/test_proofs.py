"""Programs are proved from their files, and no run in float32 has a lower margin than that."""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
from gallery import compiled

from handcraft_check.prove import prove, read_claim

MUTATIONS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "proof_mutations.py"))
original_of, outcome, logits = (MUTATIONS[name] for name in ("Original", "outcome", "logits"))

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
def originals(tmp_path_factory):
    """The files of small programs, by the folder of each."""
    found = {}
    for name, program in MUTATIONS["programs"]().items():
        target = tmp_path_factory.mktemp("mutated") / name
        MUTATIONS["compile_program"](program).save(target)
        found[target] = original_of.read(target)
    return found


@pytest.mark.parametrize(
    ("kind", "count", "proved"), [("weight", 6, 0.85), ("certificate", 6, 0.5), ("config", 2, 0.5)]
)
def test_no_mutation_that_changes_an_answer_stays_proved(kind, count, proved, originals):
    kept = []
    for folder, original in originals.items():
        random = Random(f"{folder.name} {kind}")
        for _ in range(count):
            verdict, is_right, what = outcome(kind, random, original, folder)
            assert is_right or verdict != "proved", (folder.name, what)
            kept += [verdict == "proved"] if is_right else []
    assert sum(kept) >= proved * len(kept) > 0
