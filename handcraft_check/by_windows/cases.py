"""Cases: kinds of positions, and sets of tokens in their windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from handcraft_check.layers.matrix import Flags, Ids


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases of one kind of position.

    Args:
        groups: which group of positions: [case].
        chosen: which set of tokens each atom may be: [case, atom].
    """

    groups: Ids
    chosen: Ids

    def __len__(self) -> int:
        return len(self.groups)

    def rows(self, which: Ids | Flags) -> Cases:
        """Some of them."""
        return Cases(self.groups[which], self.chosen[which])


def joined(parts: Sequence[Cases]) -> Cases:
    """All cases, one part behind the other."""
    return Cases(
        np.concatenate([part.groups for part in parts]), np.concatenate([part.chosen for part in parts])
    )


def in_steps(count: int, step: int) -> Iterator[Ids]:
    """The numbers below a count, so many at a time; once none, where there are none."""
    for start in range(0, max(count, 1), step):
        yield np.arange(start, min(start + step, count))
