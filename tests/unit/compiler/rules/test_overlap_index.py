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
CONTEXTS = [c for n in range(1, LONGEST + 2) for c in product(range(SIZE), repeat=n)]
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


@given(st.lists(st.tuples(PATTERNS, st.integers(1, 5), st.sampled_from("xy")), max_size=8), PATTERNS)
def test_what_patterns_add_at_most_is_what_they_add_after_some_context(kept, asked):
    index = OverlapIndex()
    for key, (pattern, _, _) in enumerate(kept):
        index.add(key, pattern)
    mine = [context for context in CONTEXTS if asked.matches(context)]
    most = {
        to: max(sum(n for p, n, each in kept if each == to and p.matches(c)) for c in mine)
        for to in "xy"
    }
    found = index.most_added(asked, lambda key: {kept[key][2]: kept[key][1]})
    assert found == {to: number for to, number in most.items() if number}


def test_too_many_states_are_not_visited(monkeypatch):
    monkeypatch.setattr(overlap, "STATES", 2)
    index = OverlapIndex()
    index.add(0, parse_pattern("ab", AB))
    assert index.most_added(Pattern(), lambda _: {None: 1}) is None


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
