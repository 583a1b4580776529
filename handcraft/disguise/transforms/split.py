"""Split heads and hidden units into several whose sum is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from handcraft.disguise.carried import NONE, Carried, HeadCopy, Place, unchanged
from handcraft.disguise.draft import Draft
from handcraft.disguise.resize import used_heads, used_units, with_room
from handcraft.disguise.transforms.checked import check_whole
from handcraft.model.layers.attention import Array

PARTS = 32
"""Shares are multiples of 1/32: a power of two, so that they sum to exactly 1 in every dtype."""

MOST = 8
"""The most copies: with more, a share would often be 1/32, and hardly visible."""


@dataclass(frozen=True)
class Split:
    """Split every head and every hidden unit that writes something.

    The copies of a head have its QK circuit, and for each channel of its values a share of its OV
    circuit. The copies of a hidden unit have its input, and a share of its output weights. Shares are
    random multiples of 1/32 that sum to 1, so no sum of products is rounded more than before, as long
    as weights keep 5 bits for it.

    Args:
        heads: into how many copies heads are split.
        units: into how many hidden units are.
    """

    name: ClassVar[str] = "split"
    guarantee: ClassVar[str] = (
        "the summands have shares that sum to exactly 1; equal in exact arithmetic, and in floating "
        "point "
        "up to the order of sums"
    )
    heads: int = 2
    units: int = 2

    def __post_init__(self) -> None:
        check_whole(self, "heads", "the number of parts of a head", least=1, most=MOST)
        check_whole(self, "units", "the number of parts of a hidden unit", least=1, most=MOST)

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft, with copies in place of heads and units."""
        model = draft.model
        blocks = range(model.shape.n_layer)
        heads = max((len(used_heads(model, b)) for b in blocks), default=0) * self.heads
        units = max((len(used_units(model, b)) for b in blocks), default=0) * self.units
        draft = draft.then(with_room(model, heads, units))
        return draft.then(self._copies(draft, rng))

    def _copies(self, draft: Draft, rng: np.random.Generator) -> Carried:
        """The map to the copies, in a model that has room for them."""
        model, step = draft.model, unchanged(draft.model.shape)
        all_heads, all_units, all_shares = [], [], []
        for block in range(model.shape.n_layer):
            copies = [
                copy
                for number in used_heads(model, block)
                for copy in _summands(step, Place(block, number), self.heads, rng)
            ]
            missing = model.shape.n_head - len(copies)
            all_heads.append((*copies, *[None] * missing))
            units, shares = (
                np.full(model.shape.n_inner[block], NONE),
                np.ones(model.shape.n_inner[block]),
            )
            used = used_units(model, block)
            for i, number in enumerate(used.tolist()):
                places = slice(i * self.units, (i + 1) * self.units)
                units[places], shares[places] = number, _shares(self.units, rng)
            all_units.append(units)
            all_shares.append(shares)
        return replace(step, heads=tuple(all_heads), units=tuple(all_units), shares=tuple(all_shares))


def _summands(step: Carried, place: Place, count: int, rng: np.random.Generator) -> Iterator[HeadCopy]:
    """Copies of a head whose outputs sum to its own."""
    whole = step.heads[place.block][place.number]
    assert whole is not None
    shares = np.stack([_shares(count, rng) for _ in whole.output], axis=1)  # [copy, channel]
    for share in shares:
        yield replace(whole, output=share[:, None] * whole.output)


def _shares(count: int, rng: np.random.Generator) -> Array:
    """Random multiples of 1 / `PARTS` that sum to 1, none of them 0."""
    cuts = np.sort(rng.choice(np.arange(1, PARTS), size=count - 1, replace=False))
    return np.asarray(np.diff(np.concatenate([[0], cuts, [PARTS]])) / PARTS)
