"""Add noise to every weight, within the radius at which a proof holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from handcraft.disguise.draft import Draft
from handcraft.disguise.transforms.checked import check_share
from handcraft.dtype import dtype_named
from handcraft.errors import ProofError
from handcraft.phrase import setting


@dataclass(frozen=True)
class Noise:
    """Multiply every weight by a random number next to 1.

    `handcraft prove --radius` finds how far all weights may move at once, relatively, before the proof
    of the answers fails. Each weight is multiplied by a number drawn uniformly from between 1 - s r and
    1 + s r, for this radius r and a strength s. A weight of 0 stays 0, and so do gains and biases of
    LayerNorm, which many weights share.

    Args:
        strength: the share of the radius that is used, above 0 and up to 1.
        radius: the radius, if none is to be proved: then the answers are only tried.
    """

    name: ClassVar[str] = "noise"
    guarantee: ClassVar[str] = (
        "without radius=: proved, as every weight stays within the proved radius; with it: tried"
    )
    strength: float = 0.5
    radius: float | None = None

    def __post_init__(self) -> None:
        check_share(self, "strength", "the share of the radius that is used")
        check_share(self, "radius", "the largest relative change of a weight", optional=True)

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft with noise."""
        rounding = 2.0 ** -dtype_named(draft.dtype).significand
        if self.radius is not None:
            radius = self.radius
        elif draft.radius is None:
            raise ProofError(
                "no radius can be proved: the folder has no certificate",
                where="Noise",
                fix="give a radius, within which the answers are tried: Noise(radius=1e-6)",
            )
        else:
            radius = draft.radius(draft.model)
        reach = self.strength * radius - rounding
        if reach <= 0:
            raise ProofError(
                f"weights may change by a share of {radius:g}, times a strength of "
                f"{self.strength:g}, and "
                f"rounding them to {draft.dtype} changes them by up to {rounding:g}",
                where="Noise",
                fix="add noise before other transforms, whose models are harder to prove, or give a "
                "radius within which the answers are tried: Noise(radius=1e-6)",
            )
        return draft.with_tensors(
            {
                name: tensor * (1 + reach * rng.uniform(-1, 1, size=tensor.shape))
                for name, tensor in draft.model.tensors.items()
                if "ln_" not in name
            }
        )

    @property
    def option(self) -> str:
        """The same on the command line."""
        noise = setting("noise", f"{self.strength:g}").command
        if self.radius is None:
            return noise
        return f"{noise} {setting('radius', f'{self.radius:g}').command}"

    def weaker(self, draft: Draft) -> Iterator[Noise]:
        """The same with half the radius, or half the strength, and so on."""
        weaker = self
        while True:
            if weaker.radius is None:
                weaker = replace(weaker, strength=weaker.strength / 2)
            else:
                weaker = replace(weaker, radius=weaker.radius / 2)
            yield weaker
