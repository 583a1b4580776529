"""How many random examples a test tries: all of them with `make deep`, a sixth in every other run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

DEEP = "HANDCRAFT_DEEP" in os.environ


def part(items: Sequence[T], number: int, of: int = 4) -> Sequence[T]:
    """One of so many parts of some items, spread over all of them; in a deep run all."""
    return items if DEEP else items[number % of :: of]


def sweep(count: int) -> int:
    """So many examples in a deep run, and a sixth of them otherwise."""
    return count if DEEP else max(1, count // 6)
