"""How a head rotates its queries and keys, and the waves that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from handcraft.errors import ArchitectureError
from handcraft.phrase import phrase, setting

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rotation:
    """Rotary position embedding (Su et al. 2021, section 3.4.2), in the layout of Hugging Face.

    Pair j of a head is its components j and j + head_dim/2. At position p it is rotated by the angle
    `p * theta ** (-2 * j / head_dim)`, so the score depends only on the distance of the two positions.

    Args:
        head_dim: components of a query or key; even.
        theta: the base of the frequencies.
        positions: how many positions the model has. Position 0 has the begin token, text follows.
        window: how many positions a position sees, itself among them; None for all earlier ones.
    """

    head_dim: int
    theta: float
    positions: int
    window: int | None = None

    def __post_init__(self) -> None:
        if self.head_dim < 2 or self.head_dim % 2:
            raise ArchitectureError(
                f"a head of width {self.head_dim} cannot be rotated: its components form pairs",
                fix=phrase(
                    setting("head_dim", max(2, self.head_dim + self.head_dim % 2)), " is possible"
                ),
            )
        if not self.theta > 1:
            raise ArchitectureError(
                f"theta={self.theta:g} gives no falling frequencies", fix="use theta=10000"
            )
        if self.positions < 2 or (self.window is not None and self.window < 1):
            raise ArchitectureError(
                f"{self.positions} positions and window={self.window} leave no text to see",
                fix="use at least 2 positions and a window of at least 1, or window=None",
            )

    @property
    def pairs(self) -> int:
        """How many pairs a head has."""
        return self.head_dim // 2

    @property
    def text_distances(self) -> int:
        """A text token is seen at distances 0 to this number - 1."""
        return min(self.positions - 1, self.window or self.positions)

    @property
    def begin_distances(self) -> int:
        """The begin token is seen at distances 0 to this number - 1."""
        return min(self.positions, self.window or self.positions)

    @property
    def frequencies(self) -> Floats:
        """By how many radians a pair is rotated each position, [pair]; falling from 1."""
        return float(self.theta) ** (-np.arange(self.pairs) / self.pairs)

    def waves(self, distances: int) -> Floats:
        """The score of a query component for a key of (1, 0) in its pair, by distance.

        Times sqrt(head_dim). Column j is that of component j, which gives the cosine, column pairs + j
        that of component j + head_dim/2, which gives the negative sine.

        Args:
            distances: from 0 to this number - 1.

        Returns:
            [distance, head_dim]
        """
        return _waves(self.head_dim, self.theta, max(distances, self.begin_distances))[:distances]


@lru_cache(maxsize=8)
def _waves(head_dim: int, theta: float, distances: int) -> Floats:
    frequencies = Rotation(head_dim, theta, 2).frequencies
    angles = np.arange(distances)[:, None] * frequencies  # [distance, pair]
    waves = np.concatenate([np.cos(angles), -np.sin(angles)], axis=1)  # [distance, head_dim]
    waves.flags.writeable = False
    return waves
