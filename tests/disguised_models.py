"""Random GPT-2s in float64 and ways to disguise them, for tests of disguises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.architecture import BLOCK, GPT2
from handcraft.disguise import Distract, Match, Pad, Permute, Rotate, Split
from handcraft.disguise.draft import draft_of
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

SHAPE = Shape(n_vocab=7, n_positions=6, n_embd=12, n_head=3, n_inner=(20, 20))

COMBINATIONS = {
    "permute": [Permute()],
    "split": [Split(2, 3)],
    "split one way": [Split(heads=3, units=1)],
    "rotate": [Rotate()],
    "rotate the stream only": [Rotate(within_heads=False)],
    "distract": [Distract(2, 5)],
    "distract in pairs": [Distract(2, 4, "pairs")],
    "pad": [Pad(n_embd=40, n_head=8, n_inner=30, n_layer=5, n_vocab=11, n_positions=9)],
    "pad the width only": [Pad(n_embd=24)],
    "match": [Match()],
    "all": [
        Pad(n_embd=36, n_head=9, n_layer=3),
        Split(),
        Distract(1, 3),
        Distract(2, 2, "pairs"),
        Permute(),
        Rotate(),
        Match(0.7),
    ],
    "rotate twice": [Rotate(), Split(), Rotate(), Permute()],
}


def random_gpt2(seed=0, *, norm=True, tied=False, shape=SHAPE, **facts):
    """A GPT-2 of which nothing is 0, so that whatever is left out shows.

    Gains and biases of LayerNorm differ between dimensions, so a tied head cannot be rotated.
    """
    rng = np.random.default_rng(seed)
    architecture = replace(GPT2 if norm else BLOCK, tied=tied, **facts)
    tensors = {}
    for name, sizes in shape.tensors(architecture).items():
        is_gain = ".ln_" in f".{name}" and name.endswith("weight")
        tensors[name] = rng.normal(size=sizes) * (0.3 if is_gain else 0.6) + (1.0 if is_gain else 0.0)
    vocabulary = Vocabulary("abcdef", ids=[0, 2, 1, 3, 5, 4])
    return Model(architecture, shape, vocabulary, tensors)


def drafted(model, transforms, seed=0, *, untie=True):
    """The draft after some transforms, still in float64."""
    draft = draft_of(model, "float64", model.shape.n_positions, untie=untie)
    for number, transform in enumerate(transforms):
        draft = transform.apply(draft, np.random.default_rng([seed, number]))
    return draft


def texts_of(model, seed=1, count=20):
    """Random texts, as places in the vocabulary."""
    rng = np.random.default_rng(seed)
    return rng.integers(len(model.vocabulary), size=(count, SHAPE.n_positions))


def logits_of(model, texts):
    """The logits of the tokens of the vocabulary, in its order."""
    numbers = np.array(model.vocabulary.numbers)
    return model.forward(numbers[texts])[..., numbers]
