"""What attention and MLPs read on random texts: the output of every LayerNorm inside a block."""

from __future__ import annotations

import numpy as np

from handcraft.disguise.carried import Ids
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.model.layers.norm import layer_norm

LONGEST = 64
"""The most tokens of a text that is run: attention takes time that grows with the square."""

TOKENS = 2048
"""How many tokens are run in all: several times as many rows as a small model has dimensions."""


def random_texts(model: Model, length: int, rng: np.random.Generator) -> Ids:
    """Ids of random tokens of the vocabulary: [text, position]."""
    length = min(length, LONGEST)
    return rng.choice(np.array(model.vocabulary.numbers), size=(-(-TOKENS // length), length))


def seen_by_readers(model: Model, ids: Ids) -> dict[str, Array]:
    """What `c_attn` and `c_fc` of each block read, by the name of the LayerNorm that they read.

    Returns:
        [text * position, n_embd] for each.
    """
    norms: dict[str, Array] = {}
    before = {"embedding": "h.0.ln_1"}
    for layer in range(model.shape.n_layer):
        before[f"h.{layer}.after_attention"] = f"h.{layer}.ln_2"
        before[f"h.{layer}.output"] = f"h.{layer + 1}.ln_1"

    def keep(name: str, value: Array) -> None:
        norm = before.get(name)
        if norm is not None and f"{norm}.weight" in model.tensors:
            gain, bias = model.tensors[f"{norm}.weight"], model.tensors[f"{norm}.bias"]
            value = layer_norm(value, gain, bias, model.architecture.norm_epsilon)
        if norm is not None:
            norms[norm] = value.reshape(-1, value.shape[-1]).copy()

    model.watch(ids, keep)
    return norms
