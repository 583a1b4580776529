"""How many random examples a test tries: all of them with `make deep`, a quarter in every other run."""

from __future__ import annotations

import os

DEEP = "HANDCRAFT_DEEP" in os.environ


def sweep(count: int) -> int:
    """So many examples in a deep run, and a quarter of them otherwise."""
    return count if DEEP else max(1, count // 4)
