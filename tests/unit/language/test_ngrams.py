"""N-gram models of texts: exact counts, back-off, smoothing, and models that compile to them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, compile_program, parse_rules, verify
from handcraft.errors import HandcraftError
from handcraft.language import write_rules


def counted(text, context, smoothing, vocabulary):
    """The distribution after a context, counted naively in the text."""
    for start in range(len(context) + 1):
        row = context[start:]
        following = [
            text[i + len(row)] for i in range(len(text) - len(row)) if text[i:].startswith(row)
        ]
        if following:
            total = len(following) + smoothing * len(vocabulary)
            shares = {t: (following.count(t) + smoothing) / Fraction(total) for t in vocabulary}
            return {t: share for t, share in shares.items() if share}
    raise AssertionError


TEXTS = st.text("abc", min_size=4, max_size=30)


@given(TEXTS, st.integers(1, 4), st.sampled_from([0, 1, Fraction(1, 10)]))
def test_a_model_says_what_counting_says(text, order, smoothing):
    program = Program.from_ngrams(text, order, smoothing, vocabulary="abc", context=3)
    for context in map("".join, product("abc", repeat=3)):
        expected = counted(text, context[3 - (order - 1) :] if order > 1 else "", smoothing, "abc")
        assert program.distribution(context) == expected


@given(TEXTS, st.integers(1, 3))
def test_a_greedy_model_says_the_likeliest_token(text, order):
    greedy = Program.from_ngrams(text, order, greedy=True, vocabulary="abc", context=2)
    whole = Program.from_ngrams(text, order, vocabulary="abc", context=2)
    for context in map("".join, product("abc", repeat=2)):
        shares = whole.distribution(context)
        assert greedy.meaning(context) == max("abc", key=lambda token: shares.get(token, 0))


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("smoothing", [0, "1/4"])
def test_a_model_compiles_and_verifies_and_is_written_as_rules(greedy, smoothing):
    program = Program.from_ngrams("abracadabra", 3, smoothing, greedy=greedy)
    report = verify(compile_program(program).model, program)
    assert report.passed
    again = parse_rules(write_rules(program))
    for context in map("".join, product("abcdr", repeat=2)):
        assert again.distribution(context) == program.distribution(context)


def test_words_are_counted_as_words():
    program = Program.from_ngrams("the cat sat on the mat", 2, words=True)
    assert program.vocabulary.tokens == ("cat", "mat", "on", "sat", "the")
    assert program.distribution("the") == {"cat": Fraction(1, 2), "mat": Fraction(1, 2)}
    assert program.meaning("sat") == "on"


def test_letters_that_spell_a_word_of_patterns_are_letters():
    program = Program.from_ngrams("restarted", 6, greedy=True)
    assert program.meaning("start") == "e"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ab", 0), "order=0"),
        (("ab", 2.0), "order=2.0"),
        (("ab", 3), "2 tokens has no sequence of 3"),
        (("abab", 2, -1), "smoothing=-1"),
        (("abab", 2, 0.1), "smoothing=0.1"),
        (("abab", 2, "x"), "smoothing='x'"),
        (("", 1), "empty"),
    ],
)
def test_what_is_no_model_is_refused_with_its_place(arguments, message):
    with pytest.raises(HandcraftError) as caught:
        Program.from_ngrams(*arguments)
    assert message in caught.value.what
    assert caught.value.fix


def test_a_token_outside_the_vocabulary_is_refused():
    with pytest.raises(HandcraftError, match="'c' is not in the vocabulary"):
        Program.from_ngrams("abc", 2, vocabulary="ab")
