"""Which source a rotary head attends to, by its distance alone, counted from the begin token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LookBack:
    """The source so many positions before, or the begin token where there is none.

    A head that looks k back so tells whether a position is before k: it finds the begin token there.

    Args:
        back: how many; 0 for the destination itself.

    >>> LookBack(2).source(5), LookBack(2).source(1)
    (3, 0)
    """

    back: int

    def source(self, destination: int) -> int:
        """The source of a destination; the begin token is 0, and the first token of a text 1."""
        return max(0, destination - self.back)

    def __str__(self) -> str:
        return "this position" if self.back == 0 else f"{self.back} back, or the begin token"
