"""The facts of an architecture that decide how circuits become weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from handcraft.errors import ArchitectureError


@dataclass(frozen=True)
class Architecture:
    """What a target computes, apart from its sizes.

    Args:
        name: how the command line calls it.
        norm: ``none``, or ``layer`` for LayerNorm before attention, MLP and unembedding.
        activation: the function between the two matrices of an MLP.
        tied: whether the unembedding is the transpose of the token embedding.
        causal: whether a position sees only itself and earlier ones.
    """

    name: str
    norm: Literal["none", "layer"] = "none"
    activation: Literal["relu", "gelu_tanh", "gelu_erf"] = "relu"
    tied: bool = True
    causal: bool = True

    def score_scale(self, head_dim: int) -> float:
        """What query times key is multiplied with: 1/sqrt(head_dim) (Vaswani et al. 2017, 3.2.1)."""
        return 1.0 / sqrt(head_dim)


BLOCK = Architecture(name="block")
"""The bare block: residual stream, causal attention, ReLU MLPs where needed, a tied head."""

ARCHITECTURES = (BLOCK,)


def architecture_named(name: str) -> Architecture:
    """The named architecture.

    Raises:
        ArchitectureError: there is none of that name.
    """
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise ArchitectureError(f"there is no architecture {name!r}", fix=f"known are: {known}")
