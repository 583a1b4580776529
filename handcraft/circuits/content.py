"""Which sources a rotary head attends to, by what destination and source say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ByContent:
    """Sources that match, or the begin token where none does.

    The score of a source is a sum of products of a query and a key, one for each channel. None is more
    than 0, and a source matches if all are 0. The begin token never matches, whatever it stores.

    Args:
        picks: which of the sources that match gets all the attention. With ``any`` there is only one,
            or it does not matter which; with ``every`` all get equal parts, and with ``counted`` the
            begin token gets one too: of c matches each gets 1/(c + 1).

    >>> ByContent("latest").pattern(np.array([[0, 0, -1]])).tolist()
    [[0, 1, 0]]
    >>> ByContent("latest").pattern(np.array([[0, -1, -2]])).tolist()
    [[1, 0, 0]]
    >>> ByContent("counted").pattern(np.array([[-5, 0, -1, 0]])).tolist()
    [[1, 1, 0, 1]]
    """

    picks: Literal["latest", "earliest", "any", "every", "counted"]

    @property
    def is_shared(self) -> bool:
        """Whether several sources get equal parts of the attention, so that scores must tie."""
        return self.picks in ("every", "counted")

    def pattern(self, scores: npt.NDArray[np.number]) -> npt.NDArray[np.int64]:
        """Which sources are attended to: 1 for each of them.

        Args:
            scores: [destination, source]; the begin token is source 0.

        Returns:
            [destination, source]
        """
        wins = np.asarray(scores == 0).astype(np.int64)
        wins[:, 0] = 0
        wins[:, 0] = 1 if self.picks == "counted" else wins.sum(axis=1) == 0
        if self.picks == "any" or self.is_shared:
            return wins
        count = wins.shape[1]
        place = wins.argmax(axis=1)
        if self.picks == "latest":
            place = count - 1 - wins[:, ::-1].argmax(axis=1)
        only = np.zeros_like(wins)
        only[np.arange(len(wins)), place] = 1
        return only

    def __str__(self) -> str:
        if self.picks == "counted":
            return "every match and the begin token"
        return "every match" if self.picks in ("any", "every") else f"the {self.picks} match"
