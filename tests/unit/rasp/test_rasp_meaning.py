"""What RASP programs mean: operators, no value, selectors, means, sums, and the causal mask."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from handcraft import rasp
from handcraft.errors import DomainError
from handcraft.rasp import (
    Aggregate,
    Comparison,
    Encoding,
    Full,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    categorical,
    evaluate,
    indices,
    length,
    numerical,
    tokens,
)

PREVIOUS = Select(indices, indices - 1, Comparison.EQ)
BEFORE = Aggregate(PREVIOUS, tokens)
EVERYWHERE = Select(tokens, tokens, Comparison.TRUE)


def means(sequence, inputs, expected, *, causal=False, vocabulary=None):
    """Evaluated and built, a sequence has these values."""
    assert evaluate(sequence, inputs, causal=causal) == expected
    known = vocabulary or sorted(set(inputs))
    assert rasp.build(sequence, known, max_length=6, causal=causal).trace(inputs) == expected


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (tokens + 10, [12, 13, 15]),
        (10 - tokens, [8, 7, 5]),
        (tokens * tokens, [4, 9, 25]),
        (tokens / 2, [1, Fraction(3, 2), Fraction(5, 2)]),
        (30 / tokens, [15, 10, 6]),
        (tokens % 3, [2, 0, 2]),
        (7 % tokens, [1, 1, 2]),
        (tokens // 2, [1, 1, 2]),
        (7 // tokens, [3, 2, 1]),
        (-tokens, [-2, -3, -5]),
        (tokens - indices, [2, 2, 3]),
        (tokens * 0.1, [Fraction(1, 5), Fraction(3, 10), Fraction(1, 2)]),
        (tokens < 3, [True, False, False]),
        (tokens <= indices + 2, [True, True, False]),
        (np.int64(3) > tokens, [True, False, False]),
        (tokens >= 3, [False, True, True]),
        (tokens == 3, [False, True, False]),
        (np.int64(3) != tokens, [True, False, True]),
        (tokens == "3", [False, False, False]),
        ((tokens > 2) & (tokens < 5), [False, True, False]),
        ((tokens < 3) | (tokens > 4), [True, False, True]),
        (~(tokens < 3), [False, True, True]),
        (tokens & 1, [1, 1, 1]),
        ((tokens > 2) | 7, [7, 1, 1]),
        (0 & tokens, [0, 0, 0]),
        (True + (tokens > 2), [1, 2, 2]),
        (LinearSequenceMap(tokens, indices, 2, -0.5), [4, Fraction(11, 2), 9]),
        (Map(lambda x: x**2, tokens - 3), [1, 0, 4]),
        (SequenceMap(max, tokens, indices * 2), [2, 3, 5]),
        (SequenceMap(min, tokens, 3), [2, 3, 3]),
        (np.int64(2) * tokens, [4, 6, 10]),
        (Full("a"), ["a", "a", "a"]),
        (length - indices, [3, 2, 1]),
    ],
    ids=str,
)
def test_operators_mean_what_they_mean_in_python(sequence, expected):
    means(sequence, [2, 3, 5], expected)


def test_labels_are_joined_and_ordered_as_in_python():
    means(tokens + tokens, "ab", ["aa", "bb"])
    means("<" + tokens, "ab", ["<a", "<b"])
    means(SelectorWidth(Select(tokens, tokens, Comparison.LT)), "bca", [1, 2, 0])


def test_no_value_goes_through_maps():
    means(BEFORE, "aba", [None, "a", "b"])
    means(BEFORE == "a", "aba", [None, True, False])
    means(Map(str.upper, BEFORE), "aba", [None, "A", "B"])
    means(BEFORE + tokens, "aba", [None, "ab", "ba"])
    means(LinearSequenceMap(Aggregate(PREVIOUS, indices), indices, 10, 1), "aba", [None, 1, 12])
    means(Full(None) == 1, "ab", [None, None])


def test_a_function_may_answer_with_no_value():
    means(Map({"a": 1}.get, tokens), "aba", [1, None, 1])
    means(SequenceMap(lambda x, y: x if y else None, tokens, indices), "ab", [None, "b"])
    means(Map(lambda x: None, tokens), "ab", [None, None])


def test_a_function_is_called_only_with_values_that_occur():
    """At position 0 there is no position before, and whatever stands for it is not divided by."""
    before = Aggregate(PREVIOUS, indices + 1)
    means(12 // (before * indices), "abc", [None, 12, 3])
    means(Map(dict(enumerate("xyzuvw", 1)).__getitem__, before), "abc", [None, "x", "y"])


def test_no_value_is_never_selected_and_selects_nothing():
    one_more = SelectorWidth(Select(BEFORE, tokens, Comparison.EQ))
    means(one_more, "aba", [1, 1, 1])
    means(SelectorWidth(Select(BEFORE, tokens, Comparison.TRUE)), "aba", [2, 2, 2])
    means(SelectorWidth(Select(tokens, BEFORE, Comparison.TRUE)), "aba", [0, 3, 3])
    means(SelectorWidth(Select(tokens, BEFORE, lambda key, query: True)), "aba", [0, 3, 3])
    means(SelectorWidth(Select(Full(None), tokens, Comparison.TRUE)), "aba", [0, 0, 0])


def test_not_is_the_opposite_relation():
    means(SelectorWidth(~Select(tokens, tokens, Comparison.EQ)), "abaa", [1, 3, 1, 1])
    means(SelectorWidth(~Select(BEFORE, tokens, Comparison.EQ)), "aba", [1, 1, 1])
    either = Select(indices, indices, Comparison.LT) | Select(tokens, tokens, Comparison.EQ)
    both = Select(indices, indices, Comparison.GEQ) & Select(tokens, tokens, Comparison.NEQ)
    assert (~either)("abba") == both("abba")
    assert (~~either)("abba") == either("abba")
    odd = Select(indices, indices, lambda key, query: (key + query) % 2)
    means(SelectorWidth(~odd), "abba", [2, 2, 2, 2])
    assert str(~odd) == "Select(indices, indices, not lambda)"
    assert (~~odd).predicate is odd.predicate


def test_selectors_are_rows_of_flags():
    assert PREVIOUS("ab") == [[False, False], [True, False]]
    assert evaluate(EVERYWHERE, "ab", causal=True) == [[True, False], [True, True]]


def test_a_mean_is_exact():
    means(Aggregate(EVERYWHERE, indices), "aabb", [Fraction(3, 2)] * 4)
    means(Aggregate(EVERYWHERE, indices), "aabb", [0, Fraction(1, 2), 1, Fraction(3, 2)], causal=True)
    means(Aggregate(EVERYWHERE, tokens == "a"), "aab", [Fraction(2, 3)] * 3)
    assert [type(value) for value in Aggregate(EVERYWHERE, tokens == "a")("aa")] == [int, int]


def test_the_mean_of_one_position_keeps_its_value():
    means(Aggregate(PREVIOUS, tokens), [3, -1, 2], [None, 3, -1])
    found = rasp.build(Aggregate(PREVIOUS, tokens), [3, -1, 2], max_length=4)
    assert found.value.domain.values == (-1, 2, 3)


def test_where_nothing_is_selected_there_is_the_default():
    later = Select(indices, indices, Comparison.GT)
    means(Aggregate(later, tokens == "a"), "ba", [1, None])
    means(Aggregate(later, tokens == "a", default=-1), "ba", [1, -1])
    means(Aggregate(PREVIOUS, tokens, default="-"), "ba", ["-", "b"])
    means(Aggregate(PREVIOUS, tokens == "a", default=True), "ba", [True, False])
    means(Aggregate(~EVERYWHERE, tokens, default="b"), "ba", ["b", "b"])
    means(Aggregate(~EVERYWHERE, tokens), "ba", [None, None])


def test_a_selected_position_without_a_value_leaves_none():
    means(Aggregate(PREVIOUS, BEFORE), "abc", [None, None, "a"])
    means(Aggregate(PREVIOUS, BEFORE, default="b"), "abc", ["b", None, "a"])
    twice = Aggregate(Select(indices, indices, Comparison.LEQ), Map({"a": 1, "b": 2}.get, tokens))
    means(twice, "abca", [1, Fraction(3, 2), None, None])


def test_a_sum():
    means(Aggregate(EVERYWHERE, tokens, how="sum"), [3, -1, 3], [5, 5, 5])
    means(Aggregate(EVERYWHERE, tokens > 0, how="sum"), [3, -1, 3], [2, 2, 2])
    before = Select(indices, indices, Comparison.LT)
    means(Aggregate(before, tokens, how="sum"), [3, -1, 3], [None, 3, 2])
    means(Aggregate(before, tokens, default=0, how="sum"), [3, -1, 3], [0, 3, 2])
    means(Aggregate(before, Full(2), default=9, how="sum"), "aab", [9, 2, 4])


def test_the_length_is_what_is_seen():
    means(length, "abc", [3, 3, 3])
    means(length, "abc", [1, 2, 3], causal=True)
    means(SelectorWidth(EVERYWHERE), "abc", [1, 2, 3], causal=True)


def test_categorical_numbers_have_no_mean():
    same = Select(tokens, tokens, Comparison.EQ)
    means(categorical(Aggregate(same, tokens)), [2, 1, 2], [2, 1, 2])
    found = rasp.build(categorical(Aggregate(same, tokens)), [1, 2], max_length=5)
    assert found.value.domain.values == (1, 2)
    with pytest.raises(DomainError, match="selects 2 and 1"):
        evaluate(categorical(Aggregate(EVERYWHERE, tokens)), [2, 1])
    assert numerical(tokens).encoding is Encoding.NUMERICAL
    assert tokens.encoding is None


def test_a_comparison_is_a_function_of_two_values():
    assert Comparison.LT(1, 2)
    assert not Comparison.TRUE(None, 1)
    assert not Comparison.NEQ(1, None)
    assert not Comparison.FALSE(1, 1)
    assert [each.opposite.opposite for each in Comparison] == list(Comparison)
