"""Which sources a rotary head attends to, by what destination and source say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ByContent:
    """The latest or the earliest source that matches, or the begin token where none does.

    The score of a source is a sum of products of a query and a key, one for each channel. None is more
    than 0, and a source matches if all are 0. The begin token never matches, whatever it stores.

    Args:
        picks: which of the sources that match gets all the attention; with ``any`` they share it.

    >>> ByContent("latest").pattern(np.array([[0, 0, -1]])).tolist()
    [[0, 1, 0]]
    >>> ByContent("latest").pattern(np.array([[0, -1, -2]])).tolist()
    [[1, 0, 0]]
    """

    picks: Literal["latest", "earliest", "any"]

    def pattern(self, scores: npt.NDArray[np.number]) -> npt.NDArray[np.int64]:
        """Which sources are attended to: 1 for each of them.

        Args:
            scores: [destination, source]; the begin token is source 0.
        """
        wins = np.asarray(scores == 0).astype(np.int64)
        wins[:, 0] = 0
        wins[:, 0] = wins.sum(axis=1) == 0
        if self.picks == "any":
            return wins
        count = wins.shape[1]
        place = wins.argmax(axis=1)
        if self.picks == "latest":
            place = count - 1 - wins[:, ::-1].argmax(axis=1)
        only = np.zeros_like(wins)
        only[np.arange(len(wins)), place] = 1
        return only

    def __str__(self) -> str:
        return "every match" if self.picks == "any" else f"the {self.picks} match"
