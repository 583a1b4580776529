"""What RASP programs become: expressions with domains, and what is proved of selections."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from fractions import Fraction

import pytest

from handcraft import Vocabulary, rasp
from handcraft.language.graph import attend
from handcraft.language.graph.domain import finite
from handcraft.language.graph.node import Aggregate as Learned
from handcraft.language.graph.node import Comparison as Compared
from handcraft.language.graph.node import Linear, Lookup, walk
from handcraft.language.graph.source_counts import source_counts
from handcraft.language.graph.wording import reads
from handcraft.rasp import (
    Aggregate,
    Comparison,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    indices,
    length,
    library,
    numerical,
    tokens,
)


def learned(built: rasp.BuiltSequence) -> list[Learned]:
    """What the expressions learn from other positions."""
    nodes = walk(*[output.node for output in built.outputs.values()])
    return [node for node in nodes if isinstance(node, Learned)]


def test_numbers_are_spelled_as_strings():
    built = rasp.build(tokens, [3, -1, 0.5], max_length=4)
    assert built.prompts.vocabulary.tokens == ("3", "-1", "1/2")
    assert built.value.domain.values == (-1, 0.5, 3)
    assert built.trace([0.5, 3, -1]) == [0.5, 3, -1]


def test_strings_are_the_tokens_themselves():
    built = rasp.build(tokens, Vocabulary("the cat sat"), max_length=4)
    assert built.value.node is built.prompts.token.node
    assert built.trace(["the", "sat"]) == ["the", "sat"]


def test_a_set_has_one_order_whatever_the_seed_of_hashes():
    code = "from handcraft import rasp; print(rasp.build(rasp.tokens, {'b', 'a', 'd', 'c'}, 3).prompts)"
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.partition("context")[0]
        for seed in ("1", "2")
    }
    assert len(shown) == 1
    assert rasp.build(tokens, {10, 9, -1}, 3).prompts.vocabulary.tokens == ("-1", "9", "10")


def test_whether_a_position_lies_within_the_text_needs_no_attention():
    built = rasp.build(library.make_shift_by(2, tokens), "ab", max_length=5)
    assert [node.how for node in learned(built)] == ["latest"]
    assert isinstance(built.present.node, Lookup)
    assert built.present.trace("abab") == (False, False, True, True)


def test_that_holds_of_long_texts_too():
    built = rasp.build(library.make_shift_by(2, tokens), "ab", max_length=100)
    assert [node.how for node in learned(built)] == ["latest"]
    assert rasp.build(library.make_sort_freq(100), [1, 2], max_length=100).present is None


def test_an_ahead_look_needs_attention_to_know_the_end():
    built = rasp.build(library.make_shift_by(-1, tokens), "ab", max_length=5)
    assert [node.how for node in learned(built)] == ["latest", "exists"]
    assert built.trace("ab") == ["b", None]


def test_a_causal_program_sees_nothing_ahead():
    built = rasp.build(library.make_shift_by(-1, tokens), "ab", max_length=5, causal=True)
    assert learned(built) == []
    assert built.trace("ab") == [None, None]


@pytest.mark.parametrize("size", [1, 4, 20, 60])
def test_a_key_that_differs_at_any_two_positions_is_selected_once(size):
    for key in (indices, indices * 2 - 1, Map(lambda i: -i, indices), tokens * 0 + indices):
        read = Aggregate(Select(key, indices + 1, Comparison.EQ), tokens)
        found = rasp.build(read, [1, 4], size)
        assert found.value.domain.values in ((1, 4), (0,)), str(key)


def test_a_key_that_does_not_is_meaned():
    read = Aggregate(Select(indices % 2, indices, Comparison.EQ), tokens)
    assert Fraction(5, 2) in rasp.build(read, [1, 4], 3).value.domain


ORDER = SequenceMap(lambda token, index: 9 * token + index, tokens, indices)
"""A number that no two positions of a text of up to 9 tokens share."""


@pytest.mark.parametrize("key", [ORDER * 0, tokens * 0 + 1, LinearSequenceMap(ORDER, tokens, 0, 0)])
def test_a_number_times_0_distinguishes_no_positions(key):
    read = Aggregate(Select(key, key, Comparison.EQ), tokens)
    assert rasp.build(read, [1, 4], 3).trace([1, 4, 4]) == read([1, 4, 4]) == [3, 3, 3]


@pytest.mark.parametrize("factor", [0, 2])
def test_one_term_distinguishes_positions_if_its_factor_is_not_0(factor):
    order = rasp.build(ORDER, [1, 4], 3).value.node
    key = Linear(finite([factor * n for n in order.domain.values]), reads("key"), ((factor, order),), 0)
    assert source_counts(attend.matching(key, key, "==", reads("")), 3, causal=False).single is (
        factor != 0
    )


def test_ranks_are_selected_once_without_a_mask_only():
    rank = SelectorWidth(Select(ORDER, ORDER, Comparison.GT))
    read = Aggregate(Select(rank, length - indices - 1, Comparison.EQ), tokens)
    assert rasp.build(read, [1, 4], 3).present is None
    masked = rasp.build(read, [1, 4], 3, causal=True)
    assert masked.present is not None
    for text in ([4, 1, 4], [1, 1, 4], [4, 4, 1]):
        assert rasp.build(read, [1, 4], 3).trace(text) == read(text)
        assert masked.trace(text) == rasp.evaluate(read, text, causal=True)


def test_ranks_that_count_the_position_itself_begin_at_one():
    order = SequenceMap(lambda token, index: 9 * token + index, tokens, indices)
    rank = SelectorWidth(Select(order, order, Comparison.LEQ))
    for query, present in ((indices + 1, True), (indices, False)):
        read = Aggregate(Select(rank, query, Comparison.EQ), tokens)
        found = rasp.build(read, [1, 4], 3)
        assert (found.present is None) == present
        assert found.trace([4, 1, 4]) == read([4, 1, 4])


def test_a_function_that_is_a_comparison_is_one():
    for relation, expected in (
        (lambda key, query: key < query, Compared.LT),
        (lambda key, query: key in (query,), Compared.EQ),
        (lambda key, query: abs(key - query) > 0, Compared.NEQ),
    ):
        (count,) = learned(rasp.build(SelectorWidth(Select(indices, indices, relation)), "ab", 4))
        assert count.sources.cases[0][0].relation is expected


def test_what_selects_everything_or_nothing_has_no_condition():
    (count,) = learned(rasp.build(SelectorWidth(Select(tokens, tokens, lambda k, q: True)), "ab", 4))
    assert count.sources.cases == ((),)
    never = rasp.build(SelectorWidth(Select(tokens, tokens, Comparison.FALSE)), "ab", 4)
    assert never.value.domain.values == (0,)
    assert learned(never) == []


def test_what_says_the_same_becomes_one():
    one = numerical(Aggregate(Select(indices, indices, Comparison.LEQ), tokens == "a")).named("one")
    other = Aggregate(Select(indices, indices, Comparison.LEQ), tokens == "a")
    assert len(learned(rasp.build(one - other + one, "ab", 4))) == 1


def test_a_mean_and_its_labels_stay_apart():
    mean = Aggregate(Select(tokens, tokens, Comparison.EQ), tokens)
    built = rasp.build(mean == rasp.categorical(mean), [1, 2], 4)
    assert [node.how for node in learned(built)] == ["mean", "latest"]


def test_equal_constants_of_several_kinds_stay_apart():
    built = rasp.build(Map(str, indices * 0 + 1) + Map(str, (indices >= 0) & True), "ab", 4)
    assert built.trace("a") == ["1True"]


def test_expressions_keep_the_names_and_places_of_the_program():
    is_a = (tokens == "a").named("is_a")
    found = rasp.build(SelectorWidth(Select(is_a, is_a, Comparison.EQ)).named("alike"), "ab", 4)
    assert str(found.value) == "alike"
    assert found.value.node.place.file == __file__
    (count,) = learned(found)
    assert [str(child) for child in count.children] == ["is_a"]
    assert count.children[0].place.line == found.value.node.place.line - 1


def test_a_program_prints_as_it_is_written():
    before = Aggregate(Select(indices, indices - 1, Comparison.EQ), tokens, default="-")
    written = "Aggregate(Select(indices, indices - 1, EQ), tokens, default='-')"
    assert repr(before) == f"before = {written}"
    late = indices > 2
    both = late & (tokens == "a")
    assert (repr(late), repr(both)) == ("late = indices > 2", "both = late & (tokens == 'a')")
    assert repr(sum([late, late])) == "0 + late + late"
    assert (
        str((1 - (indices - 2)) * 3 == -(indices % 2)) == "(1 - (indices - 2)) * 3 == 0 - indices % 2"
    )
    assert str(~(tokens == "a") & (before == "b").named("b_before")) == "~(tokens == 'a') & b_before"
    assert repr(before.named("earlier")) == f"earlier = {written}"
    assert str(before.named("before")) == "before"
    assert repr(rasp.categorical(before)) == f"before = categorical({written})"


def test_a_long_text_stays_short():
    grown = tokens
    for _ in range(50):
        grown = Map(str, grown + grown)
    assert len(str(grown)) <= 400


def test_nodes_are_never_changed():
    is_a = tokens == "a"
    with pytest.raises(dataclasses.FrozenInstanceError):
        is_a.name = "is_a"
    assert is_a.named("other").name == "other"
    assert is_a.name == "is_a"


def test_a_deep_program_is_no_problem():
    deep = indices
    for _ in range(3000):
        deep = deep + 1
    assert rasp.evaluate(deep, "ab") == [3000, 3001]
