"""The texts that a regular expression matches, against Python's own `re` on every text."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.language.regular.matching import Matching
from handcraft.vocabulary import Vocabulary

LETTERS = Vocabulary("abc")
WORDS = Vocabulary("no yes a aa")

PATTERNS = [
    "",
    "a",
    "a|bb|",
    "(ab)*",
    "(ab)+|b",
    "[ab]*c",
    "[^a]b?",
    ".{2,3}",
    "a{2}",
    "(?:a|bc)*?c",
    "(a*b*)*",
    "((a|b)(a|b))*",
    "x|a",
    r"[\da]\D",
]
OF_WORDS = ["yes( no)*", "(a|aa)( (a|aa))*", ".*s", "a.*", "[^ ]* [^ ]*", "( a)*", "aaa", "yesno"]


def by_hand(pattern: str, vocabulary: Vocabulary, longest: int) -> list[str]:
    """All texts that match, the shorter first."""
    return [
        text
        for length in range(1, longest + 1)
        for tokens in product(vocabulary.tokens, repeat=length)
        if re.fullmatch(pattern, text := vocabulary.join(tokens))
    ]


def listed(texts: Matching) -> list[str]:
    return [texts.vocabulary.text(row) for rows in texts for row in rows]


def drawn(texts: Matching, count: int, seed: int = 0) -> list[str]:
    return [texts.vocabulary.text(row) for rows in texts.draw(count, seed) for row in rows]


def assert_as_python(pattern: str, vocabulary: Vocabulary, longest: int) -> None:
    texts, meant = Matching(pattern, vocabulary, longest), by_hand(pattern, vocabulary, longest)
    assert listed(texts) == meant
    assert texts.count == len(meant)
    lengths = Counter(len(vocabulary.split(text)) for text in meant)
    assert all(texts.count_of(length) == lengths[length] for length in range(longest + 1))
    assert set(drawn(texts, 20)) <= set(meant)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_are_those_that_python_matches(pattern):
    assert_as_python(pattern, LETTERS, 5)


@pytest.mark.parametrize("pattern", OF_WORDS)
def test_a_blank_stands_between_words(pattern):
    assert_as_python(pattern, WORDS, 4)


def expressions() -> st.SearchStrategy[str]:
    """Regular expressions over a, b and c."""
    letters = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^b]", "[a-c]", "(?:)"])
    return st.recursive(
        letters,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}"])).map(
                "({0[0]}){0[1]}".format
            ),
        ),
        max_leaves=6,
    )


@given(expressions(), st.integers(1, 4))
def test_texts_of_random_expressions_are_those_that_python_matches(pattern, longest):
    assert_as_python(pattern, LETTERS, longest)


def test_rows_of_one_length_come_together_and_none_are_empty():
    rows = list(Matching("a|bb|bc|abca", LETTERS, 6))
    assert [each.shape for each in rows] == [(1, 1), (2, 2), (1, 4)]
    assert all(each.dtype == np.int64 for each in rows)


def test_ids_are_those_of_the_vocabulary():
    vocabulary = Vocabulary("ab", ids=[40, 7])
    texts = Matching("ab?", vocabulary, 2)
    assert [rows.tolist() for rows in texts] == [[[40]], [[40, 7]]]
    assert {tuple(row) for rows in texts.draw(10) for row in rows.tolist()} == {(40,), (40, 7)}


def test_what_matches_nothing_has_no_texts():
    texts = Matching("x+", LETTERS, 4)
    assert texts.count == 0
    assert list(texts) == list(texts.draw(10)) == []


def test_texts_that_are_too_many_to_list_are_counted_and_drawn():
    texts = Matching(".*a", LETTERS, 200)
    assert texts.count == sum(3 ** (n - 1) for n in range(1, 201))
    assert sum(len(rows) for rows in islice(texts, 5)) == 1 + 3 + 9 + 27 + 81
    found = drawn(texts, 400)
    assert sorted(map(len, found)) == sorted([*range(1, 201)] * 2)
    assert all(text.endswith("a") for text in found)


def test_draws_are_as_many_as_requested_and_about_as_many_of_each_length():
    lengths = Counter(map(len, drawn(Matching("(ab)*", LETTERS, 6), 11)))
    assert lengths == {2: 4, 4: 4, 6: 3}


def test_the_same_seed_draws_the_same():
    texts = Matching(".*", LETTERS, 6)
    assert drawn(texts, 60, seed=3) == drawn(texts, 60, seed=3) != drawn(texts, 60, seed=4)


@pytest.mark.parametrize(
    ("pattern", "length"), [("[ab]{3}", 3), ("a.*|b[bc]{3}", 4), ("c*a.|bbb|c[ab]c", 3)]
)
def test_texts_of_one_length_have_the_same_chance(pattern, length):
    """Chi squared stays below five standard deviations over its mean; with one seed it always does.

    After `a` 27 texts go on, and after `b` 8: a draw that gave both the same chance would be far off.
    """
    texts = Matching(pattern, LETTERS, length)
    count = 2_000 * texts.count_of(length)
    rows = texts._drawn(np.full(count, length), np.random.default_rng(1))
    found = Counter(map(texts.vocabulary.text, rows))
    meant = [text for text in by_hand(pattern, LETTERS, length) if len(text) == length]
    assert set(found) == set(meant)
    squared = sum((found[text] - 2_000) ** 2 / 2_000 for text in meant)
    freedom = len(meant) - 1
    assert squared < freedom + 5 * (2 * freedom) ** 0.5


class LastSpot:
    """Random numbers that are always the largest there is."""

    def random(self, shape):
        return np.full(shape, 1 - 2.0**-53)


@pytest.mark.parametrize("size", range(1, 40))
def test_rounded_chances_draw_nothing_that_does_not_match(size):
    """Ten tenths add up to less than 1 in floats: the last number must not stand for `~`."""
    letters = [chr(ord("A") + i) for i in range(size)]
    texts = Matching("[^~]", Vocabulary([*letters, "~"]), 1)
    (row,) = texts._drawn(np.array([1]), LastSpot())
    assert texts.vocabulary.text(row) == letters[-1]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_tokens_stand_where_they_do_in_some_text(pattern):
    found = [set[int]() for _ in range(5)]
    for text in by_hand(pattern, LETTERS, 5):
        for place, token in enumerate(LETTERS.ids(text)):
            found[place].add(token)
    assert Matching(pattern, LETTERS, 5).tokens_at() == found
