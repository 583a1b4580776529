"""Disguised models in transformers: the same logits as ours, and the answers that are meant."""

from __future__ import annotations

import numpy as np
import pytest
from disguised_models import COMBINATIONS
from judges import judge, meant, short_texts

from handcraft import compile_program, disguise, load
from handcraft.cli.input.sources import find
from handcraft.disguise import Distract, Match, Noise, Pad, Permute, Rotate, Split

torch = judge("torch")
transformers = judge("transformers")

WAYS = {
    **{name: COMBINATIONS[name] for name in ("permute", "split", "rotate", "distract", "match")},
    "pairs": COMBINATIONS["distract in pairs"],
    "noise": [Noise(1.0, radius=1e-6)],
    "all": [
        Pad(n_layer=4),
        Split(),
        Distract(2, 8),
        Distract(2, 4, "pairs"),
        Permute(),
        Rotate(),
        Match(),
    ],
}


@pytest.mark.parametrize("program", ["aab", "induction", "most_frequent"])
@pytest.mark.parametrize("way", WAYS)
def test_transformers_answers_as_is_meant(program, way, tmp_path):
    source = find(program).source
    made = disguise(compile_program(source), WAYS[way], seed=1, untie=True)
    folder = made.save(tmp_path / "out")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    ours, vocabulary = load(folder), made.model.vocabulary
    numbers = np.array(vocabulary.numbers)
    texts = short_texts(len(vocabulary), min(source.context, 6), 800)
    with torch.no_grad():
        logits = theirs(torch.from_numpy(numbers[texts])).logits.numpy()
    difference = np.abs(logits - ours.forward(numbers[texts])).max()
    assert difference <= 1e-3 * np.abs(logits).max()
    assert (logits[..., numbers].argmax(axis=-1) == meant(source, texts)).all()
