"""The choices of a random program, drawn by Hypothesis, which then finds the simplest that fails."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st


@cache
def whole_numbers(least: int, most: int) -> st.SearchStrategy[int]:
    """A strategy that is made once: Hypothesis takes longer to check a new one than to draw from it."""
    return st.integers(least, most)


class Drawn:
    """Chooses what a strategy draws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def whole(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        return self._draw(whole_numbers(least, most))
