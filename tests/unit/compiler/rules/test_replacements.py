"""Regions of contexts, and which rule replaces which answer in them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, predict
from handcraft.compiler.rules import replacements as module
from handcraft.compiler.rules.positions import Span
from handcraft.compiler.rules.regions import Region
from handcraft.compiler.rules.replacements import find_replacements
from handcraft.errors import CompileError
from handcraft.language.patterns.pattern import Pattern
from handcraft.testing import rule_programs

SIZE, CONTEXT = 3, 4
EVERYTHING = frozenset(range(SIZE))
CONTEXTS = [ids for n in range(1, CONTEXT + 1) for ids in product(range(SIZE), repeat=n)]

CLASSES = st.sets(st.integers(0, SIZE - 1), min_size=1).map(frozenset)
PATTERNS = st.builds(
    Pattern, st.lists(CLASSES, min_size=0, max_size=CONTEXT).map(tuple), st.booleans()
).filter(lambda pattern: len(pattern) or not pattern.anchored)


def holds(region: Region, ids: tuple[int, ...]) -> bool:
    """Whether a context is in a region."""
    if len(ids) - 1 not in region.span:
        return False
    return all(ids[-1 - k] in allowed for k, allowed in enumerate(region.classes))


def contexts(region: Region | None) -> set[tuple[int, ...]]:
    return set() if region is None else {ids for ids in CONTEXTS if holds(region, ids)}


def test_spans_meet_where_both_are():
    assert Span(2) & Span(4) == Span(4)
    assert Span(1, 3) & Span(2) == Span(2, 3)
    assert Span(1, 1) & Span(2) is None
    assert [str(span) for span in sorted([Span(2, 5), Span(2), Span(1, 1)])] == [
        "position = 1",
        "position >= 2",
        "position 2 to 5",
    ]


@given(PATTERNS)
def test_a_region_has_the_contexts_that_match_its_pattern(pattern):
    assert contexts(Region.of(pattern, CONTEXT)) == {ids for ids in CONTEXTS if pattern.matches(ids)}


def test_a_region_asks_no_more_of_the_position_than_it_must():
    assert Region.of(Pattern(), CONTEXT) == Region((), Span(0))
    longest = Pattern((EVERYTHING,) * CONTEXT, anchored=True)
    assert Region.of(longest, CONTEXT).span == Span(CONTEXT - 1)  # no position is further on


@given(PATTERNS, PATTERNS, PATTERNS)
def test_regions_are_cut_without_losing_or_doubling_a_context(one, two, three):
    start, *others = (Region.of(pattern, CONTEXT) for pattern in (one, two, three))
    pieces, taken = [start], set()
    for other in others:
        taken |= contexts(other)
        assert all(contexts(piece & other) == contexts(piece) & contexts(other) for piece in pieces)
        pieces = [left for piece in pieces for left in piece.without(other, EVERYTHING)]
    found = [ids for piece in pieces for ids in contexts(piece)]
    assert len(found) == len(set(found))
    assert set(found) == contexts(start) - taken
    assert all(contexts(piece) for piece in pieces)


def replaced(program: Program) -> list[str]:
    """Each replacement in words: what is replaced by what, and after which tokens."""
    tokens = program.vocabulary.tokens
    found = find_replacements(program.live_clauses, len(tokens), program.context)
    return [
        f"{tokens[each.before]} by {tokens[each.clause.token]} after "
        + " ".join("".join(tokens[i] for i in sorted(c)) for c in reversed(each.region.classes))
        for each in found
    ]


def test_a_trigram_replaces_the_answer_of_the_bigram_behind_it():
    rules = [
        predict("c").after("ab"),
        predict("b").after("b"),
        predict("d").after("dc"),
        predict("a").otherwise(),
    ]
    assert replaced(Program("abcd", 5, rules)) == [
        "a by d after d c",
        "a by b after b",
        "b by c after a b",
    ]


def test_patterns_that_overlap_are_cut():
    rules = [predict("b").after("a."), predict("c").after(".b"), predict("a").otherwise()]
    assert replaced(Program("abc", 5, rules)) == [
        "a by c after abc b",
        "c by b after a b",
        "a by b after a ac",
    ]


def test_a_rule_that_changes_nothing_is_left_out():
    rules = [
        predict("b").after("ab"),
        predict("a").after("b"),
        predict("c").after("cc"),
        predict("a").otherwise(),
    ]
    assert replaced(Program("abc", 5, rules)) == ["a by c after c c", "a by b after a b"]


@given(rule_programs(max_tokens=3, max_context=4, min_context=3, max_rules=8, max_pattern=3))
def test_replacing_from_the_last_rule_to_the_first_always_leaves_one_answer(program):
    tokens, clauses = program.vocabulary.tokens, program.live_clauses
    found = find_replacements(clauses, len(tokens), program.context)
    for n in range(1, program.context + 1):
        for ids in product(range(len(tokens)), repeat=n):
            answer = clauses[-1].token
            for each in found:
                if holds(each.region, ids):
                    assert each.before == answer
                    answer = each.clause.token
            assert answer == program.next_token(ids)


def test_rules_that_overlap_in_too_many_ways_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_REGIONS", 3)
    later = [predict("ab"[k % 2]).after("c" + "." * k) for k in range(1, 5)]
    program = Program("abc", 6, [predict("c").after("a"), *later, predict("a").otherwise()])
    with pytest.raises(CompileError, match="predict c after a` overlaps") as caught:
        find_replacements(program.live_clauses, 3, 6)
    assert "encode tokens one-hot" in caught.value.fix
