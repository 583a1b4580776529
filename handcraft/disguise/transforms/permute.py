"""Put the heads of each block, and the hidden units of each MLP, into another order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from handcraft.disguise.carried import unchanged
from handcraft.disguise.draft import Draft
from handcraft.disguise.transforms.checked import check_flag


@dataclass(frozen=True)
class Permute:
    """Permute heads and hidden units at random, each within its block.

    Args:
        heads: whether heads are permuted.
        units: whether hidden units are.
    """

    name: ClassVar[str] = "permute"
    guarantee: ClassVar[str] = (
        "the same numbers at other places; only the order of sums changes, so logits are equal to "
        "the last "
        "bit wherever sums are exact"
    )
    heads: bool = True
    units: bool = True

    def __post_init__(self) -> None:
        for name in ("heads", "units"):
            check_flag(self, name, "whether they are permuted")

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft, permuted."""
        step = unchanged(draft.model.shape)
        heads, units = [], []
        for copies, numbers in zip(step.heads, step.units, strict=True):
            order = rng.permutation(len(copies)) if self.heads else range(len(copies))
            heads.append(tuple(copies[i] for i in order))
            units.append(rng.permutation(numbers) if self.units else numbers)
        return draft.then(replace(step, heads=tuple(heads), units=tuple(units)))
