"""What is planted is wrong in transformers too: after one prompt, in one dtype."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from gallery import facts
from judges import IMPLEMENTATIONS, judge

from handcraft.formats.save_planted import save_planted
from handcraft.proofs.plant import plant
from handcraft_check.claim import read_claim

torch = judge("torch")
transformers = judge("transformers")

JUDGED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "judged_folders.py"))


def wrong_contexts(folder, dtype, attention):
    """The contexts after which transformers predicts another token than is meant."""
    model = transformers.GPT2LMHeadModel.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation=attention
    ).eval()
    claim, found = read_claim(folder), []
    for texts, meant in JUDGED["contexts"](claim):
        with torch.no_grad():
            logits = model(torch.from_numpy(claim.token_ids[texts])).logits[:, -1].float().numpy()
        for row in np.flatnonzero(logits.argmax(axis=1) != claim.token_ids[meant]):
            found.append("".join(claim.meaning.vocabulary[place] for place in texts[row]))
    return found


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_it_is_wrong_after_one_prompt(attention, tmp_path):
    folder = save_planted(plant(facts("aab")["program"], "aaba"), tmp_path / "planted")
    for dtype in ("float32", "bfloat16"):
        assert wrong_contexts(folder, dtype, attention) == ["aaba"]


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_it_is_wrong_in_bfloat16_alone(attention, tmp_path):
    planted = plant(facts("aab")["program"], "aaba", only_in="bfloat16")
    folder = save_planted(planted, tmp_path / "planted")
    assert wrong_contexts(folder, "float32", attention) == []
    assert wrong_contexts(folder, "bfloat16", attention) == ["aaba"]
