"""Add heads and hidden units that compute something and change nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np

from handcraft.disguise.activations import random_texts, seen_by_readers
from handcraft.disguise.carried import NONE, Carried, Place
from handcraft.disguise.draft import Draft
from handcraft.disguise.resize import used_heads, used_units, with_room
from handcraft.disguise.transforms.checked import check_whole
from handcraft.errors import LayoutError
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.phrase import Phrase, phrase, setting

Writes = Literal["mean", "pairs"]

MOST = 4096
"""The most heads or units that are added to a block."""

CHANNELS = 4
"""How many channels a distractor head compares and carries, if it has so many."""

NATS = 4.0
"""The standard deviation of the scores of a distractor head: it prefers some sources, without a tie."""

LEAST = 1e-3
"""Directions that vary less, relative to the one that varies most, may be rounding: none is read."""


@dataclass(frozen=True)
class Distract:
    """Add distractors to every block.

    Each distractor reads random directions in which the stream varies from text to text, so its
    queries, keys and sums depend on the prompt, as in other heads and units. What it writes changes no
    answer:

    - ``mean``: it writes the same number into every dimension. LayerNorm subtracts the mean, so nothing
      reads it, and each distractor can be removed alone without any effect.
    - ``pairs``: two compute the same and write opposite vectors, which cancel before they are added to
      the stream. They can only be removed together. This needs no LayerNorm.

    Args:
        heads: how many heads are added to each block; in pairs, an even number. None fills all heads
            that write nothing.
        units: how many hidden units are added to each MLP; in pairs, an even number. None fills all
            units that write nothing.
        writes: what they write.
    """

    name: ClassVar[str] = "distract"
    guarantee: ClassVar[str] = (
        "mean: written into the one direction that LayerNorm removes; pairs: opposite vectors that "
        "cancel "
        "before the stream; both up to the rounding of one sum"
    )
    heads: int | None = 1
    units: int | None = 8
    writes: Writes = "mean"

    def __post_init__(self) -> None:
        if self.writes not in get_args(Writes):
            known = " or ".join(get_args(Writes))
            raise LayoutError(
                f"Distract(writes={self.writes!r}): what distractors write is {known}",
                where="Distract",
                fix=f"give writes {known}",
            )
        step = 2 if self.writes == "pairs" else 1
        for name, of in (("heads", "heads"), ("units", "hidden units")):
            says = f"the number of {of} that {'pairs add' if step == 2 else 'are added'} to a block"
            check_whole(self, name, says, least=0, most=MOST, step=step, optional=True)

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft with distractors."""
        if self.writes == "mean" and not draft.model.architecture.has_norm:
            raise LayoutError(
                "the model has no LayerNorm, so what is written into the mean is read",
                where="Distract(writes='mean')",
                fix=phrase(
                    "write opposite vectors: ",
                    Phrase("writes='pairs'", setting("distractors_write", "pairs").command),
                ),
            )
        blocks = range(draft.model.shape.n_layer)
        has_mlp = [block for block in blocks if draft.model.shape.n_inner[block]]
        heads = max((len(used_heads(draft.model, b)) for b in blocks), default=0) + (self.heads or 0)
        units = max((len(used_units(draft.model, b)) for b in has_mlp), default=0) + (self.units or 0)
        draft = draft.then(with_room(draft.model, heads, units))
        model, carried = draft.model, draft.carried
        seen = seen_by_readers(model, random_texts(model, draft.length, rng))
        tensors = {name: each.copy() for name, each in model.tensors.items()}
        made = _Maker(tensors, model, rng, self.writes, _usual_length(model))
        for block in blocks:
            free = sorted({*range(model.shape.n_head)} - {*used_heads(model, block)})
            made.heads(block, free[: self.heads], _whitened(seen[f"h.{block}.ln_1"]))
        for block in has_mlp:
            free = sorted({*range(model.shape.n_inner[block])} - {*used_units(model, block).tolist()})
            made.units(block, free[: self.units], _whitened(seen[f"h.{block}.ln_2"]))
        carried = _with_added(carried, made.added_heads, made.added_units)
        return replace(draft.with_tensors(tensors), carried=carried)


def _with_added(carried: Carried, heads: set[Place], units: set[Place]) -> Carried:
    """The map, with distractors in places that were free."""
    copies = [
        tuple(None if Place(block, i) in heads else copy for i, copy in enumerate(each))
        for block, each in enumerate(carried.heads)
    ]
    numbers = [each.copy() for each in carried.units]
    for block, i in units:
        numbers[block][i] = NONE
    return replace(
        carried,
        heads=tuple(copies),
        units=tuple(numbers),
        distractor_heads=carried.distractor_heads | heads,
        distractor_units=carried.distractor_units | units,
    )


@dataclass(frozen=True, eq=False)
class _Directions:
    """Directions in which what a reader sees varies.

    Args:
        mean: of what is seen, [n_embd].
        scaled: [n_embd, direction]: what is seen, less its mean, times this has variance 1 in each.
    """

    mean: Array
    scaled: Array

    def columns(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Random columns that read with mean 0 and variance 1, [n_embd, count], and their biases."""
        mixed = rng.standard_normal((self.scaled.shape[1], count))
        mixed /= np.sqrt(np.square(mixed).sum(axis=0)).clip(min=1e-9)
        columns = self.scaled @ mixed
        return columns, -self.mean @ columns


def _whitened(seen: Array) -> _Directions:
    mean = seen.mean(axis=0)
    _, sizes, directions = np.linalg.svd(seen - mean, full_matrices=False)
    kept = sizes > LEAST * max(float(sizes[0]), 1e-30)
    return _Directions(mean, directions[kept].T / (sizes[kept] / np.sqrt(len(seen))))


def _usual_length(model: Model) -> float:
    """The root mean square length of what heads and hidden units write; else of the embedding."""
    written = [np.square(each).sum(axis=1) for name, each in model.tensors.items() if _writes(name)]
    lengths = np.concatenate(written) if written else np.zeros(0)
    if not (lengths > 0).any():
        lengths = np.square(model.tensors["wte.weight"]).sum(axis=1)
    return float(np.sqrt(lengths[lengths > 0].mean())) if (lengths > 0).any() else 1.0


def _writes(name: str) -> bool:
    return name.endswith("c_proj.weight")


class _Maker:
    """Puts distractors into tensors."""

    def __init__(
        self,
        tensors: dict[str, Array],
        model: Model,
        rng: np.random.Generator,
        writes: Writes,
        length: float,
    ) -> None:
        self.tensors, self.model, self.rng, self.writes, self.length = (
            tensors,
            model,
            rng,
            writes,
            length,
        )
        self.added_heads: set[Place] = set()
        self.added_units: set[Place] = set()

    def heads(self, block: int, numbers: list[int], seen: _Directions) -> None:
        """Heads with scores of some nats, which carry numbers of variance 1."""
        shape, name = self.model.shape, f"h.{block}.attn"
        channels = min(CHANNELS, shape.head_dim)
        factor = NATS / (self.model.architecture.score_scale(shape.head_dim, block) * np.sqrt(channels))
        weight, bias = self.tensors[f"{name}.c_attn.weight"], self.tensors[f"{name}.c_attn.bias"]
        out = self.tensors[f"{name}.c_proj.weight"]
        for group in self._groups(numbers):
            columns, biases = seen.columns(3 * channels, self.rng)
            written = self._vectors(channels) / np.sqrt(channels)
            for number, sign in zip(group, (1.0, -1.0), strict=False):
                for part in range(3):
                    to = part * shape.n_embd + number * shape.head_dim + np.arange(channels)
                    of = slice(part * channels, (part + 1) * channels)
                    scale = factor if part == 0 else 1.0
                    weight[:, to], bias[to] = scale * columns[:, of], scale * biases[of]
                out[number * shape.head_dim + np.arange(channels)] = sign * written
                self.added_heads.add(Place(block, number))

    def units(self, block: int, numbers: list[int], seen: _Directions) -> None:
        """Hidden units whose sums have variance 1, with random thresholds."""
        name = f"h.{block}.mlp"
        for group in self._groups(numbers):
            columns, biases = seen.columns(1, self.rng)
            threshold, written = self.rng.standard_normal(), self._vectors(1)[0]
            for number, sign in zip(group, (1.0, -1.0), strict=False):
                self.tensors[f"{name}.c_fc.weight"][:, number] = columns[:, 0]
                self.tensors[f"{name}.c_fc.bias"][number] = biases[0] - threshold
                self.tensors[f"{name}.c_proj.weight"][number] = sign * written
                self.added_units.add(Place(block, number))

    def _groups(self, numbers: list[int]) -> list[list[int]]:
        """Those that compute the same."""
        size = 2 if self.writes == "pairs" else 1
        return [numbers[i : i + size] for i in range(0, len(numbers), size)]

    def _vectors(self, count: int) -> Array:
        """What is written: [count, n_embd]."""
        width = self.model.shape.n_embd
        if self.writes == "mean":
            sizes = self.rng.standard_normal(count) * self.length / np.sqrt(width)
            return np.repeat(sizes[:, None], width, axis=1)
        vectors = self.rng.standard_normal((count, width))
        vectors -= vectors.mean(axis=1, keepdims=True)
        return np.asarray(vectors * self.length / np.sqrt(width))
