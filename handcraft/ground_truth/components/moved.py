"""The weight components of a disguise: those of its original, moved, with distractors and LayerNorm.

A weight of a disguise may be a sum of many weights of the original, so it may be in several components.
What the components have of it adds up to the weight, up to noise and rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from handcraft.disguise.carry_manifest import DISTRACTOR
from handcraft.disguise.moved import carried_weights
from handcraft.errors import GroundTruthError
from handcraft.ground_truth.components.partition import Component, Serves
from handcraft.ground_truth.disguised import Disguised
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.origin import Origin

NUMBERS_UP_TO = 1 << 24
"""The most numbers that all components have together: about 300 MB in the file."""

ROUNDING = 2.0**-40
"""Smaller numbers, relative to the largest of a tensor, are what float64 leaves of sums that are 0."""

LAYER_NORM = Origin("LayerNorm of the disguise")
"""What its gains and biases serve; those of the original are in the matrices behind them."""


def moved_components(subject: Disguised, components: Sequence[Component]) -> tuple[Component, ...]:
    """The components of a disguise.

    Args:
        subject: the disguise.
        components: those of its original.

    Raises:
        GroundTruthError: together they have too many numbers.
    """
    model, carried, found = subject.model, subject.carried, []
    before = _wide(subject.original.model)
    left = NUMBERS_UP_TO
    for each in components:
        part = {name: _only(tensor, each.places.get(name)) for name, tensor in before.tensors.items()}
        moved = carried_weights(before, model, carried, part)
        found.append(_component(each, {name: moved[name] for name in model.tensors if name in moved}))
        left -= found[-1].size
        if left < 0:
            raise GroundTruthError(
                f"the {len(components):,} components of {subject.name} have more than "
                f"{NUMBERS_UP_TO:,} numbers in the disguise",
                where=subject.name,
                fix="ask for those of its original, and move the ones you need by `carried_weights`",
            )
    added = {name: tensor * mask for name, tensor, mask in _distractors(subject)}
    norms = {name: each for name, each in model.tensors.items() if ".ln_" in f".{name}"}
    for origin, tensors in ((DISTRACTOR, added), (LAYER_NORM, norms)):
        own = Component(origin.what, Serves.MODEL, (origin,))
        found.append(_component(own, tensors))
    return tuple(each for each in found if each.size)


def _wide(model: Model) -> Model:
    """The model in float64."""
    return replace(model, tensors={n: each.astype(np.float64) for n, each in model.tensors.items()})


def _only(tensor: Array, places: npt.NDArray[np.int64] | None) -> Array:
    """A tensor with 0 everywhere else."""
    found = np.zeros_like(tensor)
    if places is not None:
        found.reshape(-1)[places] = tensor.reshape(-1)[places]
    return found


def _component(component: Component, tensors: Mapping[str, Array]) -> Component:
    """The component with these numbers, apart from what is rounding."""
    places, values = {}, {}
    for name, tensor in tensors.items():
        flat = tensor.reshape(-1)
        kept = np.flatnonzero(np.abs(flat) > ROUNDING * np.abs(flat).max(initial=0))
        if len(kept):
            places[name], values[name] = kept, flat[kept]
    return replace(component, places=places, values=values)


def _distractors(subject: Disguised) -> Iterator[tuple[str, Array, npt.NDArray[np.bool_]]]:
    """Every matrix, and which of its numbers are those of distractors."""
    model, carried = subject.model, subject.carried
    width, wide = model.shape.n_embd, model.shape.head_dim
    for block in range(model.shape.n_layer):
        heads = sorted(n for at, n in carried.distractor_heads if at == block)
        units = sorted(n for at, n in carried.distractor_units if at == block)
        rows = [number * wide + i for number in heads for i in range(wide)]
        columns = [part * width + row for part in range(3) for row in rows]
        for name, tensor in model.tensors.items():
            kind = name.removeprefix(f"h.{block}.")
            mask = np.zeros(tensor.shape, dtype=bool)
            if kind.startswith("attn.c_attn."):
                mask[..., columns] = True
            elif kind == "attn.c_proj.weight":
                mask[rows] = True
            elif kind.startswith("mlp.c_fc."):
                mask[..., units] = True
            elif kind == "mlp.c_proj.weight":
                mask[units] = True
            if mask.any():
                yield name, tensor, mask
