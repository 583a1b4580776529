"""Move the sizes of weights towards those with which GPT-2 is initialized, by powers of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log2, sqrt
from typing import ClassVar

import numpy as np

from handcraft.disguise.activations import random_texts
from handcraft.disguise.carried import Carried, HeadCopy, unchanged
from handcraft.disguise.draft import Draft
from handcraft.disguise.fold_norms import readers
from handcraft.disguise.transforms.checked import check_share
from handcraft.disguise.weight_kinds import INITIAL
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.phrase import setting

UNSEEN = 2.0**-24
"""Relative to the variance, what LayerNorm adds to it and float32 rounds away."""


@dataclass(frozen=True)
class Match:
    """Scale tensors so that their standard deviations come near to those of GPT-2's initialization.

    Three scalings change no answer: queries against keys and values against outputs, in each head; the
    gain of LayerNorm against the matrix that reads it; and the whole stream, as LayerNorm divides by
    its size. All factors are powers of two, so no number is rounded again. The stream is made no
    smaller than float32 allows: the epsilon that LayerNorm adds to the variance must be rounded away as
    before.

    Products of these tensors stay the same, so not every tensor can come near to the initialization: a
    sharp head needs large queries and keys, or a large gain.

    Args:
        strength: which share of the way is gone, in logarithms; above 0 and up to 1.
    """

    name: ClassVar[str] = "match"
    guarantee: ClassVar[str] = (
        "all factors are powers of two: every number is as before, but for its exponent; the stream "
        "stays "
        "so large that float32 rounds away what LayerNorm adds to the variance"
    )
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_share(self, "strength", "the part of the way to the sizes of GPT-2")

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft with other sizes."""
        if draft.model.architecture.has_norm:
            draft = self._scaled_stream(draft, rng)
        draft = draft.then(self._balanced(draft.model))
        return (
            draft.with_tensors(self._gains(draft.model)) if draft.model.architecture.has_norm else draft
        )

    @property
    def option(self) -> str:
        """The same on the command line."""
        return setting("match", f"{self.strength:g}").command

    def weaker(self, draft: Draft) -> Iterator[Match]:
        """The same by three quarters, by half and by a quarter of the way."""
        for part in (0.75, 0.5, 0.25):
            yield replace(self, strength=part * self.strength)

    def _factor(self, wanted: float) -> float:
        """The power of two next to a part of the way to a factor."""
        return float(2.0 ** round(self.strength * log2(wanted))) if wanted > 0 else 1.0

    def _scaled_stream(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The stream, scaled so that embeddings and outputs have the sizes of those of GPT-2."""
        model = draft.model
        wanted = []
        for name, tensor in model.tensors.items():
            kind = name.split(".", 2)[-1] if name.startswith("h.") else name
            if (kind in ("wte.weight", "wpe.weight") or "c_proj.weight" in kind) and tensor.any():
                wanted.append(log2(INITIAL[kind].deviation(model.shape.n_layer) / _size(tensor)))
        factor = self._factor(2.0 ** float(np.mean(wanted))) if wanted else 1.0
        least = sqrt(model.architecture.norm_epsilon / UNSEEN / _least_variance(draft, rng))
        while factor < 1 and factor < least:
            factor *= 2
        step = unchanged(model.shape)
        return draft.then(replace(step, stream=factor * step.stream))

    def _balanced(self, model: Model) -> Carried:
        """Queries as large as keys, and values as large as outputs need to be."""
        step, shape = unchanged(model.shape), model.shape
        blocks = []
        for block, copies in enumerate(step.heads):
            parts = np.split(model.tensors[f"h.{block}.attn.c_attn.weight"], 3, axis=1)
            out = model.tensors[f"h.{block}.attn.c_proj.weight"]
            heads: list[HeadCopy | None] = []
            for number, copy in enumerate(copies):
                assert copy is not None
                channels = slice(number * shape.head_dim, (number + 1) * shape.head_dim)
                query, key, value = (_size(part[:, channels]) for part in parts)
                q = self._factor(sqrt(key / query)) if query * key else 1.0
                v = (
                    self._factor(sqrt(_size(out[channels]) / value))
                    if value * _size(out[channels])
                    else 1.0
                )
                heads.append(
                    replace(
                        copy,
                        query=q * copy.query,
                        key=copy.key / q,
                        value=v * copy.value,
                        output=copy.output / v,
                    )
                )
            blocks.append(tuple(heads))
        return replace(step, heads=tuple(blocks))

    def _gains(self, model: Model) -> dict[str, Array]:
        """Each matrix that reads a LayerNorm at its size, and the gain that makes up for it."""
        changed: dict[str, Array] = {}
        for norm, reader in readers(model).items():
            weight = model.tensors[f"{reader}.weight"]
            kind = reader.split(".", 2)[-1] + ".weight"
            wanted = (
                INITIAL[kind].deviation(model.shape.n_layer) / _size(weight) if weight.any() else 1.0
            )
            factor = self._factor(wanted)
            changed[f"{reader}.weight"] = weight * factor
            for part in ("weight", "bias"):
                changed[f"{norm}.{part}"] = model.tensors[f"{norm}.{part}"] / factor
        return changed


def _size(tensor: Array) -> float:
    """The root mean square of the numbers that are not 0."""
    values = tensor[tensor != 0]
    return float(np.sqrt(np.square(values).mean())) if values.size else 0.0


def _least_variance(draft: Draft, rng: np.random.Generator) -> float:
    """The least variance that a LayerNorm divides by, on random texts."""
    found = []
    blocks = range(draft.model.shape.n_layer)
    streams = {"embedding", *(f"h.{b}.{at}" for b in blocks for at in ("after_attention", "output"))}

    def keep(name: str, value: Array) -> None:
        if name in streams:
            found.append(float(value.var(axis=-1).min()))

    draft.model.watch(random_texts(draft.model, draft.length, rng), keep)
    return max(min(found), 1e-30)
