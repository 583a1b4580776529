"""No run in half precision shows a lower margin than the one that is proved there.

Proofs take minutes: the margins are those of the table in docs/benchmarks.md, and only quick ones are
proved here.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from certified import JUDGED, ROOT, VARIANTS, Certified, drawn, last_logits
from gallery import compiled
from judges import judge
from sweeps import DEEP

from handcraft import load
from handcraft.model import as_reordered, as_rounded
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

torch = judge("torch")
transformers = judge("transformers")

QUICK = ("aab", "dyck1", "parity")

DIGITS = 5e-5
"""By how much a margin in the table may be rounded up."""


def documented():
    """The proved margin of each dtype and program, as the table has it."""
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    section = text.split("### Where every step is rounded")[1].split("With `provable=True`")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        for dtype, column in (("bfloat16", 1), ("float16", 4)):
            if len(cells) > column and re.fullmatch(r"\d+\.\d{4}", cells[column]):
                found[dtype, cells[0]] = float(cells[column]) - DIGITS
    return found


PROVED = documented()


def test_the_table_is_read():
    assert {("bfloat16", "aab"), ("float16", "rule110")} <= PROVED.keys()
    assert len(PROVED) >= 15


@pytest.fixture(scope="module", params=PROVED, ids="-".join)
def case(request, tmp_path_factory):
    dtype, name = request.param
    folder = compiled(name, dtype=dtype, provable=True).save(tmp_path_factory.mktemp(dtype) / name)
    claim, margin, worst = read_claim(folder, regime=dtype), PROVED[dtype, name], []
    if DEEP or name in QUICK:
        verdict = prove(folder, regime=dtype)
        assert verdict.word == "proved"
        assert verdict.margin >= margin
        margin = verdict.margin
        worst = [claim.meaning.vocabulary.index(token) for token in verdict.context]
    files = JUDGED["Original"].read(folder)
    return dtype, Certified(folder, files, claim, margin, np.inf, drawn(claim, name, worst))


def test_numpy_with_every_step_rounded(case):
    _, certified = case
    model = load(certified.folder)
    for each in (as_rounded(model), as_reordered(model)):
        certified.check(lambda ids, model=each: model.forward(ids)[:, -1])


@pytest.mark.parametrize(("attention", "is_permuted", "threads"), VARIANTS)
def test_transformers(case, attention, is_permuted, threads, one_thread):
    dtype, certified = case
    model = transformers.GPT2LMHeadModel.from_pretrained(
        certified.folder, dtype=getattr(torch, dtype), attn_implementation=attention
    ).eval()
    if is_permuted:
        permuted(model, np.random.default_rng(0))
    torch.set_num_threads(threads)
    certified.check(last_logits(model))


def permuted(model, random):
    """Store the dimensions of the stream of a model of transformers in another order."""
    state = {name: each.float().numpy() for name, each in model.state_dict().items()}
    del state["lm_head.weight"]  # which is that of the embedding
    config = {"n_embd": model.config.n_embd}
    files = JUDGED["Original"](state, config, {}, None)
    other = JUDGED["permuted"](files, random).tensors
    assert any((other[name] != state[name]).any() for name in state)
    other["lm_head.weight"] = other["transformer.wte.weight"]
    model.load_state_dict(
        {name: torch.from_numpy(each).to(model.dtype) for name, each in other.items()}
    )
