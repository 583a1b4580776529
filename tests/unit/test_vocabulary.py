"""Vocabularies: which tokens there are, and how text becomes ids and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Vocabulary
from handcraft.errors import SeveralErrors, VocabularyError
from handcraft.testing import vocabularies
from handcraft.vocabulary import shorten


@pytest.mark.parametrize(
    ("given_tokens", "tokens"),
    [
        ("ab", ("a", "b")),
        ("ba", ("b", "a")),
        ("the cat sat", ("the", "cat", "sat")),
        ("  the \t cat\n", ("the", "cat")),
        ("a b", ("a", "b")),
        (["the", "a"], ("the", "a")),
        ((token for token in "xy"), ("x", "y")),
        (["a", " "], ("a", " ")),
    ],
)
def test_tokens_come_from_characters_words_or_a_list_in_that_order(given_tokens, tokens):
    assert Vocabulary(given_tokens).tokens == tokens


def test_single_characters_are_read_without_spaces():
    vocabulary = Vocabulary("ab")
    assert vocabulary.is_characters
    assert vocabulary.ids("abba") == (0, 1, 1, 0)
    assert vocabulary.text([0, 1, 1]) == "abb"


def test_one_long_token_makes_it_words():
    vocabulary = Vocabulary(["a", "the"])
    assert not vocabulary.is_characters
    assert vocabulary.ids("a  the\ta") == (0, 1, 0)
    assert vocabulary.text([0, 1, 0]) == "a the a"


def test_one_word_alone_is_a_word_and_not_its_letters():
    assert Vocabulary(["hello"]).ids("hello hello") == (0, 0)


def test_a_space_can_be_a_character():
    vocabulary = Vocabulary(["a", " "])
    assert vocabulary.ids("a a") == (0, 1, 0)
    assert vocabulary.text([0, 1, 0]) == "a a"


def test_a_sequence_of_tokens_is_not_split_again():
    assert Vocabulary("the cat").ids(["cat", "the"]) == (1, 0)
    assert Vocabulary("the cat").id("cat") == 1


def test_no_text_has_no_ids():
    assert Vocabulary("ab").ids("") == ()
    assert Vocabulary("the cat").ids("  ") == ()


@given(vocabularies(1, 10), st.data())
def test_text_of_ids_gives_the_ids_back(vocabulary, data):
    ids = tuple(data.draw(st.lists(st.integers(0, len(vocabulary) - 1))))
    assert vocabulary.ids(vocabulary.text(ids)) == ids
    assert vocabulary.ids([vocabulary.tokens[i] for i in ids]) == ids


def test_it_holds_its_tokens_and_no_others():
    vocabulary = Vocabulary("the cat")
    assert "cat" in vocabulary
    assert "c" not in vocabulary
    assert len(vocabulary) == 2


def test_vocabularies_are_equal_by_their_tokens_in_order():
    assert Vocabulary("ab") == Vocabulary(["a", "b"])
    assert hash(Vocabulary("ab")) == hash(Vocabulary(["a", "b"]))
    assert Vocabulary("ab") != Vocabulary("ba")


def test_an_unknown_token_is_named_with_its_place_counted_from_1():
    with pytest.raises(VocabularyError) as caught:
        Vocabulary("ab").ids("abxa")
    assert caught.value.what == "'x' is not in the vocabulary"
    assert caught.value.where == "token 3 of 'abxa'"
    assert "a b" in caught.value.fix


def test_an_unknown_word_is_named_whole():
    with pytest.raises(VocabularyError, match="'dog' is not in the vocabulary"):
        Vocabulary("the cat").ids("the dog")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("", "the vocabulary is empty"),
        ([], "the vocabulary is empty"),
        (" \t", "the vocabulary is empty"),
        ("aba", "the token 'a' is in the vocabulary twice"),
        (["a", ""], "token 2 of the vocabulary is empty"),
        (["a", 7], "token 2 of the vocabulary is 7, of type int"),
        (["the cat", "sat"], "the word 'the cat' of the vocabulary contains a space"),
        (["the", " "], "the vocabulary has words and also the token ' '"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(tokens, message):
    with pytest.raises(VocabularyError) as caught:
        Vocabulary(tokens)
    assert message in caught.value.what
    assert caught.value.fix


def test_all_that_is_wrong_with_the_tokens_is_reported_at_once():
    with pytest.raises(SeveralErrors) as caught:
        Vocabulary(["a", "a", "", 7, "b c", " "])
    problems = [problem.what for problem in caught.value.problems]
    assert len(problems) == 5
    for word in ("twice", "is empty", "of type int", "'b c'", "the token ' '"):
        assert sum(word in problem for problem in problems) == 1


def test_a_long_list_is_shortened_and_says_by_how_many():
    assert shorten(range(3), most=3) == "0 1 2"
    assert shorten(range(5), most=3) == "0 1 2 and 2 more"


@pytest.mark.parametrize("text", ["ab ", " ab", "\tab"])
def test_one_word_and_a_space_could_mean_three_things_and_each_has_its_way(text):
    with pytest.raises(VocabularyError, match="one word and a space") as caught:
        Vocabulary(text)
    for tokens in ("ab", list(text), ["ab"]):
        assert repr(tokens) in caught.value.fix
    assert Vocabulary("ab").tokens == ("a", "b")
    assert Vocabulary(["ab"]).tokens == ("ab",)
    assert Vocabulary(" a b ").tokens == ("a", "b")


@given(st.integers(0xD800, 0xDFFF).map(chr), st.text(max_size=3))
def test_half_of_a_character_is_no_token(half, text):
    with pytest.raises(VocabularyError, match="contains half of a character"):
        Vocabulary(["a", text + half])
