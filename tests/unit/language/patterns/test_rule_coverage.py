"""Coverage: which contexts no pattern matches, and which patterns can win."""

from __future__ import annotations

import pytest

from handcraft import Vocabulary
from handcraft.language.patterns import coverage
from handcraft.language.patterns.coverage import cover
from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.patterns.pattern import Pattern

AB = Vocabulary("ab")


def covered(*texts: str, longest: int = 3):
    patterns = [parse_pattern(text, AB) if text else Pattern() for text in texts]
    return cover(patterns, len(AB), longest)


def test_nothing_covers_nothing():
    assert covered().uncovered is not None
    assert len(covered().uncovered) == 1


def test_the_empty_pattern_covers_everything_and_hides_what_comes_after():
    assert covered("a", "", "b").uncovered is None
    assert set(covered("a", "", "b").fired) == {0, 1}


def test_a_class_for_every_token_covers_everything():
    assert covered("a", "b").uncovered is None


def test_an_anchored_pattern_leaves_the_longer_contexts_uncovered():
    found = covered("start a", "start b")
    assert len(found.uncovered) == 2


def test_a_context_shorter_than_every_pattern_is_uncovered():
    assert len(covered("..").uncovered) == 1


def test_no_context_longer_than_the_longest_is_checked():
    assert covered("start .", "start ..", longest=2).uncovered is None
    assert len(covered("start .", "start ..", longest=3).uncovered) == 3


def test_a_rule_can_be_hidden_by_the_union_of_two():
    assert set(covered("aa", "ba", "start a", ".a", "b").fired) == {0, 1, 2, 4}


def test_the_uncovered_context_is_a_shortest_one():
    assert covered("start a").uncovered == (1,)


def test_a_walk_that_meets_its_limit_says_so_and_claims_nothing_false(monkeypatch):
    texts = ("a.", "b.", "start a", "b")
    whole = covered(*texts)
    assert whole.is_complete
    monkeypatch.setattr(coverage, "NODE_LIMIT", 2)
    partial = covered(*texts)
    assert not partial.is_complete
    assert set(partial.fired) < set(whole.fired)
    patterns = [parse_pattern(text, AB) for text in texts]
    for i, context in partial.fired.items():
        assert [pattern.matches(context) for pattern in patterns].index(True) == i


def test_rules_that_an_earlier_one_hides_are_not_walked(monkeypatch):
    texts = ["a", "b", *("[ab]" * i + "a" + "." * 9 + "a" for i in range(9))]
    monkeypatch.setattr(coverage, "NODE_LIMIT", 4)
    assert set(covered(*texts, longest=20).fired) == {0, 1}
    assert covered(*texts, longest=20).is_complete


@pytest.mark.parametrize("count", [10, 200])
def test_the_walk_over_n_grams_is_no_longer_than_the_patterns(count, monkeypatch):
    vocabulary = Vocabulary([f"w{i}" for i in range(count)])
    patterns = [parse_pattern(f"w{i} w{i + 1} w{i}", vocabulary) for i in range(count - 1)]
    monkeypatch.setattr(coverage, "NODE_LIMIT", 8 * count)
    assert cover([*patterns, Pattern()], count, 1000).is_complete
