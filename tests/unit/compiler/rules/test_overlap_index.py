"""Overlap: which patterns some context matches together, against trying every context."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Vocabulary
from handcraft.compiler.rules import overlap
from handcraft.compiler.rules.overlap import OverlapIndex
from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.patterns.pattern import Pattern

SIZE, LONGEST = 3, 3
CONTEXTS = [c for n in range(LONGEST + 2) for c in product(range(SIZE), repeat=n)]
AB = Vocabulary("ab")

CLASSES = st.lists(st.frozensets(st.integers(0, SIZE - 1), min_size=1), max_size=LONGEST).map(tuple)
PATTERNS = st.builds(Pattern, CLASSES, st.booleans()).filter(lambda p: len(p) or not p.anchored)


@given(st.lists(PATTERNS, max_size=8), PATTERNS)
def test_the_patterns_that_share_a_context_are_found_each_once(kept, asked):
    index = OverlapIndex()
    for key, pattern in enumerate(kept):
        index.add(key, pattern)
    mine = [context for context in CONTEXTS if asked.matches(context)]
    sharing = [key for key, p in enumerate(kept) if any(p.matches(context) for context in mine)]
    assert sorted(index.overlapping(asked)) == sharing


SPANS = st.tuples(st.integers(-4, 4), st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair)))
KEPT = st.tuples(PATTERNS, st.dictionaries(st.sampled_from("xy"), SPANS))


def index_of(patterns) -> OverlapIndex:
    index = OverlapIndex()
    for key, pattern in enumerate(patterns):
        index.add(key, pattern)
    return index


def met(kept, contexts, to: str) -> tuple[int, int]:
    """What is added to something at least and at most, by trying contexts."""
    each = [[spans.get(to, (0, 0)) for p, spans in kept if p.matches(c)] for c in contexts]
    return min(sum(low for low, _ in s) for s in each), max(sum(high for _, high in s) for s in each)


@given(st.lists(KEPT, max_size=8), PATTERNS)
def test_what_patterns_add_is_what_they_add_after_some_context(kept, asked):
    found = index_of(p for p, _ in kept).added(asked, lambda key: kept[key][1])
    mine = [context for context in CONTEXTS if asked.matches(context)]
    for to in "xy":
        assert found.get(to, (0, 0)) == met(kept, mine, to)


@given(st.lists(KEPT, max_size=6), st.lists(PATTERNS, max_size=4), PATTERNS)
def test_contexts_that_do_not_count_are_left_out(kept, hiding, asked):
    index = index_of([*hiding, *(p for p, _ in kept)])
    found = index.added(asked, lambda key: None if key < len(hiding) else kept[key - len(hiding)][1])
    mine = [c for c in CONTEXTS if asked.matches(c) and not any(p.matches(c) for p in hiding)]
    if not any(p.anchored for p in hiding):
        assert (found is None) == (not mine)
    for to in "xy" if mine else "":
        (low, high), (least, most) = met(kept, mine, to), found.get(to, (0, 0))
        assert least <= low <= high <= most
        if not any(p.anchored for p in hiding):
            assert (least, most) == (low, high)


def test_too_many_states_are_not_visited(monkeypatch):
    monkeypatch.setattr(overlap, "STATES", 2)
    index = index_of([parse_pattern("ab", AB)])
    with pytest.raises(overlap.TooManyStatesError):
        index.added(Pattern(), lambda _: {None: (1, 1)})


@pytest.mark.parametrize(
    ("kept", "asked", "overlaps"),
    [
        ("a", "ba", True),
        ("ba", "a", True),
        ("a", "ab", False),
        ("start a", "a", True),
        ("start a", "ba", False),
        ("ba", "start a", False),
        ("start ba", "a", True),
        ("start ba", "start a", False),
        ("start [ab]a", "start aa", True),
        ("[ab]a", "ba", True),
        (".", "b", True),
    ],
)
def test_two_patterns_overlap_where_one_context_ends_in_both(kept, asked, overlaps):
    index = OverlapIndex()
    index.add(7, parse_pattern(kept, AB))
    assert list(index.overlapping(parse_pattern(asked, AB))) == ([7] if overlaps else [])


def test_the_empty_pattern_overlaps_everything():
    index = OverlapIndex()
    for key, text in enumerate(["a", "start ab", "b.a"]):
        index.add(key, parse_pattern(text, AB))
    index.add(3, Pattern())
    assert sorted(index.overlapping(Pattern())) == [0, 1, 2, 3]
    assert sorted(index.overlapping(parse_pattern("aa", AB))) == [0, 2, 3]
