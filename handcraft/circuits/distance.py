"""Which source a rotary head attends to, by its distance alone, counted from the begin token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class LookBack:
    """The source so many positions before, or the begin token where there is none.

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


@dataclass(frozen=True)
class Before:
    """The begin token at the first positions of a text, and each destination itself after them.

    Args:
        end: how many positions attend to the begin token.

    >>> Before(2).source(2), Before(2).source(3)
    (0, 3)
    """

    end: int

    def source(self, destination: int) -> int:
        """The source of a destination; the begin token is 0, and the first token of a text 1."""
        return 0 if destination <= self.end else destination

    def __str__(self) -> str:
        return f"the begin token, before position {self.end}"


Distance: TypeAlias = LookBack | Before
"""Where a rotary head attends, if that depends on positions alone."""
