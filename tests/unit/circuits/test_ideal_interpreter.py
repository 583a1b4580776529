"""The ideal interpreter: hard attention, exact numbers, worked by hand."""

from __future__ import annotations

import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sympy import Symbol

from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
    Neuron,
    Relation,
    bias,
    copy,
    embed_position,
    embed_token,
    ideal_logits,
    ideal_next,
    look_back,
    one_hot,
    project,
    scalar,
    value_map,
    window,
)
from handcraft.errors import CircuitError

PROGRAMS = Path(__file__).parents[3] / "programs"
L = Symbol("L", positive=True)
TOKEN = one_hot("token", "ab")
POSITION = one_hot("position", range(4))
SCRATCH = scalar("scratch")


def circuits(*blocks: Block, **changes) -> Circuits:
    tables = [embed_position(POSITION), embed_token(TOKEN)]
    return Circuits("ab", 4, embedding=tables, blocks=blocks, unembedding=TOKEN, **changes)


def logits(made: Circuits, text: str) -> list[list]:
    return ideal_logits(made, [made.vocabulary.ids(text)])[0].tolist()


@pytest.fixture(scope="module")
def by_hand() -> Circuits:
    return runpy.run_path(str(PROGRAMS / "by_hand.py"))["circuits"]


def test_the_example_by_hand_comes_to_what_was_computed_by_hand(by_hand):
    # After a: the window has only a (+1), so a loses L and b gets L, and the bias gives a its L back.
    # After ab or ba the mean is 0, and only the bias and the echo of the token itself are left.
    expected = [[1, L], [1, L], [L, 1], [L + 1, 0], [1, L]]
    assert logits(by_hand, "aabaa") == expected


def test_a_prefix_has_the_logits_it_has_in_a_longer_text(by_hand):
    assert logits(by_hand, "aab") == logits(by_hand, "aabaa")[:3]


def test_symbols_get_their_values_before_answers_are_compared(by_hand):
    assert ideal_next(by_hand, [by_hand.vocabulary.ids("aabaa")]).tolist() == [[1, 1, 0, 0, 1]]


def test_without_blocks_the_logits_are_the_token_itself():
    assert logits(circuits(), "ab") == [[1, 0], [0, 1]]


def test_a_mean_over_three_is_a_fraction_of_three():
    moves = (value_map(TOKEN, {"a": 1}, into=SCRATCH),)
    head = Head("mean", window(POSITION, 3), moves, (project(SCRATCH, into=TOKEN, numbers={"a": 6}),))
    half, third = Fraction(1, 2), Fraction(1, 3)
    expected = [[1 + 6, 0], [6 * half, 1], [6 * third, 1], [1 + 6 * third, 0]]
    assert logits(circuits(Block(heads=(head,))), "abba") == expected


def test_tied_highest_scores_give_exact_weights_and_not_floats():
    moves = (value_map(TOKEN, {"a": 1}, into=SCRATCH),)
    head = Head("mean", window(POSITION, 3), moves, (project(SCRATCH, into=TOKEN, numbers={"b": 1}),))
    found = logits(circuits(Block(heads=(head,))), "abb")[2][1]
    assert found == 1 + Fraction(1, 3)
    assert type(found) is Fraction


def test_heads_read_the_stream_as_it_enters_the_block():
    other = one_hot("other", "ab")
    first = Head("first", look_back(POSITION, 1), (copy(TOKEN, other),), (copy(other, other),))
    second = Head(
        "second", look_back(POSITION, 0), (copy(other, other),), (copy(other, TOKEN, times=9),)
    )
    together = circuits(Block(heads=(first, second)))
    one_by_one = circuits(Block(heads=(first,)), Block(heads=(second,)))
    assert logits(together, "ab") == [[1, 0], [0, 1]]
    assert logits(one_by_one, "ab") == [[10, 0], [9, 1]]


def test_neurons_read_the_stream_after_the_heads_and_before_each_other():
    other = one_hot("other", "ab")
    fetch = Head("fetch", look_back(POSITION, 1), (copy(TOKEN, other),), (copy(other, other),))
    reads = Coefficients.per_value(other, {"a": 1})
    neuron = Neuron("n", (reads,), 1, (Coefficients(TOKEN, ((1, 5),)), Coefficients(other, ((0, 9),))))
    again = Neuron("again", (reads,), 2, (Coefficients(TOKEN, ((1, 100),)),))
    made = circuits(Block(heads=(fetch,), neurons=(neuron, again)))
    assert logits(made, "ab") == [[1, 5], [0, 6]]


def test_a_bias_is_added_at_every_position():
    block = Block(attention_bias=(bias(TOKEN, {"a": L}),), neuron_bias=(bias(TOKEN, {"b": 2}),))
    assert logits(circuits(block), "ab") == [[1 + L, 2], [L, 3]]


def test_a_neuron_sees_the_attention_bias_and_not_its_own():
    reads = Coefficients(SCRATCH, ((0, 1),))
    neuron = Neuron("n", (reads,), 3, (Coefficients(TOKEN, ((1, 5),)),))

    def after_a(**block) -> list:
        return logits(circuits(Block(neurons=(neuron,), **block), scratch=[SCRATCH]), "a")[0]

    added = (bias(SCRATCH, 3),)
    assert after_a(attention_bias=added) == [1, 5]
    assert after_a(neuron_bias=added) == [1, 0]


def test_a_tie_is_no_answer():
    made = circuits(Block(attention_bias=(bias(TOKEN, {"b": 1}),)))
    assert ideal_next(made, [made.vocabulary.ids("ab")]).tolist() == [[-1, 1]]


def test_contexts_of_a_batch_do_not_mix():
    head = Head("back", look_back(POSITION, 1), (copy(TOKEN, TOKEN),), (copy(TOKEN, TOKEN, times=2),))
    made = circuits(Block(heads=(head,)))
    texts = ["abab", "bbaa", "aaaa"]
    batch = ideal_logits(made, [made.vocabulary.ids(text) for text in texts])
    assert batch.shape == (3, 4, 2)
    for row, text in zip(batch, texts, strict=True):
        assert row.tolist() == logits(made, text)


@pytest.mark.parametrize("tokens", [[[0] * 5], [0, 1]])
def test_tokens_of_another_shape_are_refused(tokens):
    with pytest.raises(CircuitError, match="for a context of 4"):
        ideal_logits(circuits(), tokens)


def test_scores_whose_order_a_symbol_leaves_open_are_refused():
    query = copy(POSITION, POSITION, times=Symbol("x"))
    relation = Relation("open", (query,), (copy(POSITION, POSITION),))
    head = Head("open", relation, (copy(TOKEN, TOKEN),), (copy(TOKEN, TOKEN),))
    with pytest.raises(CircuitError):
        ideal_logits(circuits(Block(heads=(head,))), [[0, 1]])


def test_scores_of_a_positive_symbol_have_an_order():
    query = copy(POSITION, POSITION, times=L)
    relation = Relation("here", (query,), (copy(POSITION, POSITION),))
    head = Head("here", relation, (copy(TOKEN, TOKEN),), (copy(TOKEN, TOKEN),))
    assert logits(circuits(Block(heads=(head,))), "ab") == [[2, 0], [0, 2]]


def test_integers_stay_integers_however_large():
    made = circuits(Block(attention_bias=(bias(TOKEN, {"a": 2**70}),)))
    found = ideal_logits(made, [[0]])
    assert found.dtype == np.dtype(object)
    assert found.tolist() == [[[2**70 + 1, 0]]]
