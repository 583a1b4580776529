"""A word that joins conditions is no part of a pattern."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import parse_rules
from handcraft.errors import RuleSyntaxError
from handcraft.language.text.sentence import JOINING

PATTERN = st.text("ab", min_size=1, max_size=3)
CONDITION = st.sampled_from(["token is a", "position >= 2", "the first token is b", "count of a > 1"])


@given(PATTERN, st.sampled_from(JOINING), st.one_of(PATTERN, CONDITION))
def test_a_pattern_never_swallows_the_word_that_joins_a_condition_to_it(first, word, rest):
    text = f"predict b after {first} {word} {rest}\npredict a otherwise"
    with pytest.raises(RuleSyntaxError) as caught:
        parse_rules(text)
    for rule in re.findall("`(predict[^`]*)`", str(caught.value.fix)):
        parse_rules(f"{rule}\npredict a otherwise")  # what is advised can be read


@given(CONDITION, st.sampled_from(JOINING))
def test_nor_where_the_tokens_are_words_that_the_rules_name(condition, word):
    with pytest.raises(RuleSyntaxError, match="is read as a token"):
        parse_rules(f"predict cat after the {word} {condition}\npredict dog otherwise")


def test_words_that_are_tokens_stay_tokens():
    for text in (
        "predict cat after the and the dog",
        "vocabulary cat and token is a\npredict cat after a and token is a",
        "predict b after start and",
        "predict b after and",
        "predict b after a [a]nd",
    ):
        last = "predict cat otherwise" if "cat" in text else "predict a otherwise"
        assert len(parse_rules(f"{text}\n{last}").rules) == 2
