"""Patterns: every construct of the text, over characters and over words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Vocabulary
from handcraft.errors import RuleSyntaxError, VocabularyError
from handcraft.language.patterns.parse_pattern import parse_pattern, pattern_items
from handcraft.language.patterns.pattern import Pattern

ABC = Vocabulary("abc")
STAR = Vocabulary("star")
WORDS = Vocabulary("start the cat U.S.")
ODD = Vocabulary([".", "[", "]", "^", "\\", "#", " ", "\n", "a"])


def read(text: str, vocabulary: Vocabulary) -> tuple[list[set[str]], bool]:
    pattern = parse_pattern(text, vocabulary)
    tokens = vocabulary.tokens
    return [{tokens[i] for i in allowed} for allowed in pattern.classes], pattern.anchored


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("a", ["a"]),
        ("ab", ["a", "b"]),
        ("a b", ["a", "b"]),
        (" a\tb ", ["a", "b"]),
        (".", ["abc"]),
        ("a.b", ["a", "abc", "b"]),
        ("[ab]c", ["ab", "c"]),
        ("[aab]", ["ab"]),
        ("[ a b ]", ["ab"]),
        ("[^a]", ["bc"]),
        ("[^ab]a", ["c", "a"]),
        (r"\ab", ["a", "b"]),
        (r"[\a]", ["a"]),
        ("[abc]", ["abc"]),
    ],
)
def test_a_pattern_of_characters_has_one_class_for_each_position(text, classes):
    assert read(text, ABC) == ([set(each) for each in classes], False)


@pytest.mark.parametrize("text", ["start ab", "  start  ab", "start\tab", "start a b"])
def test_start_and_a_blank_anchor_a_pattern(text):
    assert read(text, ABC) == ([{"a"}, {"b"}], True)


@pytest.mark.parametrize("text", ["[s]tart", r"\start", "s tart", "st[a]rt", "tart", "startt"])
def test_letters_that_are_not_the_word_start_are_letters(text):
    classes, anchored = read(text, STAR)
    letters = text.translate(str.maketrans("", "", "[]\\ "))
    assert classes == [{letter} for letter in letters]
    assert not anchored


def test_the_letters_of_start_can_follow_the_anchor():
    assert read("start start", STAR) == ([{"s"}, {"t"}, {"a"}, {"r"}, {"t"}], True)


def test_the_letters_of_start_are_written_so_that_they_read_back():
    pattern = Pattern(tuple(frozenset({STAR.id(letter)}) for letter in "start"))
    assert pattern.text(STAR) == "[s]tart"
    assert parse_pattern(pattern.text(STAR), STAR) == pattern


@pytest.mark.parametrize(
    ("text", "classes", "anchored"),
    [
        ("the cat", [{"the"}, {"cat"}], False),
        ("the . cat", [{"the"}, set(WORDS.tokens), {"cat"}], False),
        ("[the cat] the", [{"the", "cat"}, {"the"}], False),
        ("[the cat][^the]", [{"the", "cat"}, {"start", "cat", "U.S."}], False),
        ("start the", [{"the"}], True),
        (r"\start", [{"start"}], False),
        (r"the \start", [{"the"}, {"start"}], False),
        ("the start", [{"the"}, {"start"}], False),
        ("[start the]", [{"start", "the"}], False),
        ("start start", [{"start"}], True),
        (r"start \start start", [{"start"}, {"start"}], True),
        (r"U\.S\. the", [{"U.S."}, {"the"}], False),
    ],
)
def test_a_pattern_of_words_has_one_class_for_each_position(text, classes, anchored):
    assert read(text, WORDS) == (classes, anchored)


@pytest.mark.parametrize("token", ODD.tokens)
def test_a_backslash_makes_every_character_stand_for_itself(token):
    assert read(f"\\{token}a", ODD) == ([{token}, {"a"}], False)
    assert read(f"[\\{token}]", ODD) == ([{token}], False)


def test_a_hash_needs_no_backslash_in_python():
    assert read("#a", ODD) == ([{"#"}, {"a"}], False)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("ab]", 3),
        ("]", 1),
        ("a[]", 3),
        ("[^]", 3),
        ("a^", 2),
        ("[a.]", 3),
        ("[a[b]]", 3),
        ("ab\\", 3),
        ("start a]", 8),
        ("  start  a]", 11),
        ("a b ]", 5),
    ],
)
def test_a_broken_pattern_is_refused_at_the_column_where_it_breaks(text, column):
    with pytest.raises(RuleSyntaxError) as caught:
        parse_pattern(text, ABC)
    assert caught.value.column == column
    assert f"at its character {column}" in caught.value.what


@pytest.mark.parametrize(
    ("text", "column", "opened"),
    [
        ("a[b", 2, "[b"),
        ("a[", 2, "["),
        ("start [", 7, "["),
        (r"\[[ab", 3, "[ab"),
        ("[a][^b ", 4, "[^b"),
    ],
)
def test_a_class_that_is_not_closed_is_shown_at_its_bracket(text, column, opened):
    with pytest.raises(RuleSyntaxError) as caught:
        parse_pattern(text, ABC)
    assert caught.value.column == column
    assert caught.value.what == f"the class `{opened}` is not closed"


def test_the_column_counts_from_the_beginning_of_a_pattern_of_two_lines():
    with pytest.raises(RuleSyntaxError) as caught:
        parse_pattern("ab\nc]", ABC)
    assert caught.value.column == 5


@pytest.mark.parametrize("text", ["", " ", "start", " start ", "start\t"])
def test_a_pattern_without_tokens_is_refused_and_otherwise_is_offered(text):
    with pytest.raises(RuleSyntaxError, match=r"has no tokens(.|\n)*otherwise"):
        parse_pattern(text, ABC)


def test_a_class_that_leaves_no_token_is_refused():
    with pytest.raises(RuleSyntaxError, match=r"the class \[\^abc\] in 'a\[\^abc\]' leaves no token"):
        parse_pattern("a[^abc]", ABC)


@pytest.mark.parametrize("text", ["ax", "[ax]", "[^x]", "start x"])
def test_a_token_that_is_not_in_the_vocabulary_is_named(text):
    with pytest.raises(VocabularyError, match="names 'x', which is not in the vocabulary"):
        parse_pattern(text, ABC)


def test_items_are_known_before_there_is_a_vocabulary():
    assert list(pattern_items("start a.[bc][^d]", characters=True)) == [
        (False, ("a",)),
        (True, ()),
        (False, ("b", "c")),
        (True, ("d",)),
    ]
    assert list(pattern_items("the [cat dog]", characters=False)) == [
        (False, ("the",)),
        (False, ("cat", "dog")),
    ]


@pytest.mark.parametrize(
    ("text", "context", "matches"),
    [
        ("ab", "ab", True),
        ("ab", "cab", True),
        ("ab", "abc", False),
        ("ab", "b", False),
        ("start ab", "ab", True),
        ("start ab", "aab", False),
        ("start .b", "ab", True),
        ("..", "a", False),
        ("..", "ca", True),
        ("[^a]b", "cb", True),
        ("[^a]b", "ab", False),
    ],
)
def test_a_context_matches_when_it_ends_in_the_pattern(text, context, matches):
    assert parse_pattern(text, ABC).matches(ABC.ids(context)) is matches


def test_the_empty_pattern_matches_always():
    assert Pattern().matches((0,))
    assert Pattern().matches(())


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[ab]", "[^c]"),
        ("[a]", "a"),
        ("[^bc]", "a"),
        ("[abc]", "."),
        ("start [abc]a", "start .a"),
    ],
)
def test_a_class_is_written_in_the_shorter_way(text, written):
    assert parse_pattern(text, ABC).text(ABC) == written


CHARACTERS = st.sampled_from([*"ab.[]^\\#start ", "\n", "\t", "é"])
WORD = st.sampled_from(["start", "a", "U.S.", "[x]", "^", "#", "\\", "a\\b", "a#", "otherwise", "]"])
ANY_VOCABULARY = st.one_of(
    st.lists(CHARACTERS, min_size=1, max_size=8, unique=True),
    st.lists(WORD, max_size=8, unique=True).map(lambda words: ["word", *words]),
).map(Vocabulary)


@given(ANY_VOCABULARY, st.data())
def test_the_text_of_any_pattern_reads_back_as_that_pattern(vocabulary, data):
    token = st.integers(0, len(vocabulary) - 1)
    classes = data.draw(st.lists(st.frozensets(token, min_size=1), min_size=1, max_size=6))
    pattern = Pattern(tuple(classes), data.draw(st.booleans()))
    assert parse_pattern(pattern.text(vocabulary), vocabulary) == pattern
