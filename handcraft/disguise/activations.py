"""What the readers of a model see on random texts: the output of every LayerNorm before a block."""

from __future__ import annotations

import numpy as np

from handcraft.model import Model
from handcraft.model.attention import Array
from handcraft.model.norm import layer_norm

TEXTS = 128
"""How many random texts are run; with so many, every token occurs at most positions."""


def random_texts(model: Model, length: int, rng: np.random.Generator, texts: int = TEXTS) -> Array:
    """Ids of random tokens of the vocabulary: [text, position]."""
    return np.asarray(rng.choice(np.array([*model.vocabulary.numbers]), size=(texts, length)))


def seen_by_readers(model: Model, ids: Array) -> dict[str, Array]:
    """What `c_attn` and `c_fc` of each block read, by the name of the LayerNorm before them.

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
