"""Functions of the position and of where a text begins, in models that embed no position."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_texts import read

from handcraft import Prompts
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading
from handcraft.compiler.features.text_begins import BEGIN, at_begin
from handcraft.compiler.passes.ir import IsBefore, IsText
from handcraft.language.graph.domain import FLAGS
from handcraft.language.graph.wording import reads

PROMPTS = Prompts("abc", context=5)
TOKEN, POSITION = PROMPTS.token.node, PROMPTS.position.node

NUMBERS = st.one_of(st.integers(-3, 3), st.fractions(-2, 2, max_denominator=4))


def one_hot() -> Features:
    features = Features(one_hot=("token",), normed=True, begin="<s>")
    features.allocate(TOKEN)
    return features


def in_bits() -> Features:
    features = Features(normed=True, in_bits=True, begin="<s>")
    features.code(TOKEN)
    return features


WAYS = {"a dimension for each token": one_hot, "bits of the token": in_bits}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def features(request) -> Features:
    return request.param()


def at_the_begin_token(reading: Reading) -> object:
    """What a reading of `at_begin` comes to at the begin token."""
    total = reading.constant
    for factor, feature, i in reading.terms:
        if feature.is_one_hot:  # the begin token has a dimension after those of the others
            total += factor * (i == len(feature.values))
        else:
            total += factor * feature.at_begin
    return total


def at_tokens(reading: Reading) -> set[object]:
    """What it comes to at other tokens."""
    features = {feature for _, feature, _ in reading.terms}
    if any(feature.is_one_hot for feature in features):
        assert all(i == len(feature.values) for _, feature, i in reading.terms)
        return {reading.constant}
    return {read(reading, {"token": token}) for token in "abc"}


def test_a_flag_is_true_at_the_begin_token_only(features):
    flag = at_begin(features)
    assert at_the_begin_token(flag) == 1
    assert at_tokens(flag) == {0}
    assert at_begin(features) == flag


def test_only_where_tokens_have_no_dimensions_it_takes_one_of_its_own():
    for made, takes_one in ((one_hot(), False), (in_bits(), True)):
        at_begin(made)
        assert (BEGIN in made.by_node) is takes_one


@given(numbers=st.tuples(NUMBERS, NUMBERS))
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_function_of_whether_a_source_is_text_is_read_from_that_flag(way, numbers):
    found = way().read(IsText(FLAGS, reads("text")), numbers)
    assert at_the_begin_token(found) == numbers[0]
    assert at_tokens(found) == {numbers[1]}


@given(numbers=st.tuples(*[NUMBERS] * 5))
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_function_of_the_position_takes_a_head_for_each_place_where_it_changes(way, numbers):
    features = way()
    found = features.read(POSITION, numbers)
    ends = [end for end, (one, next_one) in enumerate(pairwise(numbers), 1) if one != next_one]
    steps = [feature for _, feature, _ in found.terms]
    assert [step.node.end for step in steps] == ends
    for step in steps:
        assert isinstance(step.node, IsBefore)
        assert step.moved == [at_begin(features)]
    for position, number in enumerate(numbers):
        flags = {f"position < {end}": position < end for end in ends}
        assert read(found, flags) == number


def test_two_functions_of_the_position_share_their_heads(features):
    one = features.read(POSITION, (0, 0, 1, 1, 1))
    other = features.read(POSITION, (5, 5, 3, 3, 4))
    assert one.terms[0][1] is other.terms[0][1]
    assert len(one.terms[0][1].moved) == 1
