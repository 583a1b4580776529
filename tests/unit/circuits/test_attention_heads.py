"""Heads: where each relation attends, position by position."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft.circuits import (
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Relation,
    Table,
    copy,
    embed_position,
    embed_token,
    equal,
    flag,
    look_back,
    one_hot,
    scalar,
    signed_bits,
    sinusoidal,
    value_map,
    window,
)
from handcraft.circuits.ideal import embed
from handcraft.circuits.ideal_heads import hard_pattern, queries_and_keys
from handcraft.circuits.prefixes import Prefixes
from handcraft.errors import CircuitError, EncodingError

TOKEN = one_hot("token", "ab")
SCRATCH = scalar("scratch")


def pattern(relation: Relation, tables, text: str) -> list[list]:
    """The attention pattern of `relation` on `text`: [destination][source]."""
    head = Head("head", relation, (value_map(TOKEN, {"a": 1}, into=SCRATCH),), ())
    circuits = Circuits(
        "ab", len(text), embedding=[*tables, embed_token(TOKEN)], blocks=[], unembedding=TOKEN
    )
    texts = Prefixes.of_texts(np.array([circuits.vocabulary.ids(text)]), causal=True)
    scored = queries_and_keys(head, embed(circuits, texts))
    rows = [hard_pattern(head, scored, seen, texts).plain.tolist()[0] for seen in texts.seen]
    return [row + [0] * (len(text) - len(row)) for row in rows]


def one_hot_position(context: int):
    return one_hot("position", range(context))


def test_soft_attention_weighs_a_source_by_the_base_to_the_power_of_its_score():
    count = scalar("position")
    maps = (LinearMap(count, SCRATCH, ((0, 0, 1),)),)
    one = Relation("later", (), maps, query_bias=(Coefficients(SCRATCH, ((0, 1),)),), base=3)
    tables = [Table("position", count, tuple(((0, i),) for i in range(3)))]
    assert pattern(one, tables, "aaa") == [
        [1, 0, 0],
        [Fraction(1, 4), Fraction(3, 4), 0],
        [Fraction(1, 13), Fraction(3, 13), Fraction(9, 13)],
    ]


@pytest.mark.parametrize("back", [1, 2, 3, 7])
def test_a_window_attends_to_the_last_positions_equally(back):
    position = one_hot_position(5)
    for here, row in enumerate(pattern(window(position, back), [embed_position(position)], "aaaaa")):
        seen = range(max(0, here - back + 1), here + 1)
        share = 1 if len(seen) == 1 else Fraction(1, len(seen))
        assert row == [share if there in seen else 0 for there in range(5)]


@pytest.mark.parametrize("distance", [0, 1, 3, 9])
def test_looking_back_attends_to_one_position_and_to_the_first_where_there_is_none(distance):
    position = one_hot_position(5)
    rows = pattern(look_back(position, distance), [embed_position(position)], "aaaaa")
    for here, row in enumerate(rows):
        assert row == [int(there == max(0, here - distance)) for there in range(5)]


@pytest.mark.parametrize("code", [signed_bits, sinusoidal])
@settings(max_examples=40)
@given(context=st.integers(1, 30), distance=st.integers(0, 35))
def test_codes_that_are_equal_attend_to_one_position(code, context, distance):
    here, target = (code(name, range(context)) for name in ("position", "target"))
    tables = [
        embed_position(here),
        embed_position(target, [max(0, i - distance) for i in range(context)]),
    ]
    rows = pattern(equal(target, here, label="back"), tables, "a" * context)
    for i, row in enumerate(rows):
        assert row.index(1) == max(0, i - distance)
        assert sum(row) == 1


def test_equal_tokens_get_equal_attention_weights():
    rows = pattern(equal(TOKEN, TOKEN, label="same"), [], "abaa")
    third = Fraction(1, 3)
    assert rows == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [Fraction(1, 2), 0, Fraction(1, 2), 0],
        [third, 0, third, third],
    ]


def test_a_relation_that_compares_nothing_attends_to_everything_before():
    nothing = Relation("all", (), ())
    assert pattern(nothing, [], "ab") == [[1, 0], [Fraction(1, 2), Fraction(1, 2)]]


def scores(relation: Relation) -> list[list]:
    """The inner product for every pair of values of one-hot or signed-bit subspaces."""

    def read(maps, i):
        totals: dict = {}
        for linear in maps:
            word = linear.source.codeword(linear.source.values[i])
            for source, target, number in linear.entries:
                key = (linear.target, target)
                totals[key] = totals.get(key, 0) + word[source] * number
        return totals

    count = len(relation.query[0].source.values)
    queries = [read(relation.query, i) for i in range(count)]
    keys = [read(relation.key, i) for i in range(count)]
    return [[sum(n * k.get(at, 0) for at, n in q.items()) for k in keys] for q in queries]


@pytest.mark.parametrize(
    "relation",
    [
        window(one_hot_position(6), 2),
        look_back(one_hot_position(6), 2),
        equal(one_hot("x", range(6)), one_hot("y", range(6)), label="same"),
        equal(signed_bits("x", range(6)), signed_bits("y", range(6)), label="same"),
    ],
    ids=lambda relation: relation.label,
)
def test_the_gap_is_the_smallest_difference_from_the_best_score(relation):
    differences = [
        max(row[: here + 1]) - score
        for here, row in enumerate(scores(relation))
        for score in row[: here + 1]
        if score != max(row[: here + 1])
    ]
    assert min(differences) == relation.gap


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: window(one_hot_position(3), 0), CircuitError, "a window of 0 positions"),
        (
            lambda: window(signed_bits("position", range(3)), 2),
            EncodingError,
            "signed bits, not one-hot",
        ),
        (lambda: look_back(one_hot_position(3), -1), CircuitError, "a look-back distance of -1"),
        (lambda: look_back(SCRATCH, 1), EncodingError, "`scratch` is encoded as scalar"),
        (
            lambda: equal(TOKEN, signed_bits("bits", range(4)), label="same"),
            EncodingError,
            "cannot be copied",
        ),
        (lambda: equal(TOKEN, one_hot("x", "abc"), label="same"), EncodingError, "cannot be copied"),
    ],
)
def test_a_relation_that_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("subspace", [flag, scalar])
def test_equality_is_refused_where_inner_products_do_not_determine_it(subspace):
    with pytest.raises(EncodingError):
        equal(subspace("x"), subspace("y"), label="same")


@pytest.mark.parametrize(("distance", "label"), [(0, "this position"), (1, "1 back"), (12, "12 back")])
def test_a_relation_says_in_words_where_it_looks(distance, label):
    assert look_back(one_hot_position(3), distance).label == label


def test_a_window_says_in_words_where_it_looks():
    assert window(one_hot_position(3), 1).label == "this position"
    assert window(one_hot_position(3), 2).label == "the last 2 positions"


def test_a_head_is_as_wide_as_the_wider_of_its_two_circuits():
    position = one_hot_position(5)
    narrow = Head("head", look_back(position, 1), (copy(TOKEN, TOKEN),), (copy(TOKEN, TOKEN),))
    assert narrow.matching == (position,)
    assert narrow.carried == (TOKEN,)
    assert narrow.width == 5
    wide = one_hot("wide", range(9))
    assert Head("head", look_back(position, 1), (copy(wide, wide),), ()).width == 9
    assert Head("head", Relation("all", (), ()), (), ()).width == 1
