"""Coverage against trying every context."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from handcraft.language.patterns.coverage import cover
from handcraft.language.patterns.pattern import Pattern


@st.composite
def pattern_lists(draw) -> tuple[list[Pattern], int, int]:
    """Patterns in the order in which they are tried, a number of tokens, and a context length."""
    size, longest = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    token = st.integers(0, size - 1)
    one, several = token.map(lambda i: frozenset({i})), st.frozensets(token, min_size=1)
    classes = st.lists(one | several, min_size=1, max_size=min(longest, 4)).map(tuple)
    patterns = st.builds(Pattern, classes, st.booleans())
    seldom_empty = st.one_of(patterns, patterns, patterns, patterns | st.just(Pattern()))
    return draw(st.lists(seldom_empty, max_size=8)), size, longest


def winner(patterns: list[Pattern], context: tuple[int, ...]) -> int | None:
    return next((i for i, pattern in enumerate(patterns) if pattern.matches(context)), None)


@given(pattern_lists())
def test_coverage_is_what_trying_every_context_finds(case):
    patterns, size, longest = case
    contexts = [c for n in range(1, longest + 1) for c in product(range(size), repeat=n)]
    winners = {context: winner(patterns, context) for context in contexts}
    found = cover(patterns, size, longest)

    assert found.is_complete
    assert (found.uncovered is None) == (None not in winners.values())
    assert found.uncovered is None or winners[found.uncovered] is None
    assert set(found.fired) == set(winners.values()) - {None}
    for i, context in found.fired.items():
        assert winners[context] == i
