"""How many hidden units a neuron takes, and over how many layers they spread."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import compile_program
from handcraft.architecture import BLOCK, GPT2
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Neuron,
    bias,
    embed_position,
    embed_token,
    ideal_next,
    one_hot,
    signed_bits,
)
from handcraft.circuits.subspace import Subspace
from handcraft.weights.layers import build_layers
from handcraft.weights.plan import Plan, plan_model

TOKENS = "abcd"
TOKEN = one_hot("token", TOKENS)
BITS = signed_bits("bits", TOKENS)
ONE = one_hot("one", (1,))
NOTE = one_hot("note", "xy")


def after(token: str, answer: Subspace = TOKEN, at_least: int = 0) -> Neuron:
    """Fires after one token: its bits come to 2, from which 2 - `at_least` are taken."""
    signs = tuple(enumerate(BITS.codeword(token)))
    reads = (Coefficients(BITS, signs), Coefficients(ONE, ((0, at_least - 2),)))
    place = (TOKENS.index(token) + 1) % 4 % answer.width
    return Neuron(f"after {token}", reads, at_least, (Coefficients(answer, ((place, 10),)),))


def circuits(*blocks: Block) -> Circuits:
    tables = [embed_token(TOKEN), embed_token(BITS), embed_position(ONE, [1, 1])]
    return Circuits(TOKENS, 2, embedding=tables, blocks=blocks, unembedding=TOKEN, scratch=[NOTE])


def sizes(made: Circuits, most: int | None, architecture=GPT2) -> list[int]:
    return [len(layer.units) for layer in build_layers(made, architecture, most)]


ALL = Block(neurons=tuple(map(after, TOKENS)))


def test_a_neuron_takes_two_gelu_units_if_they_fit():
    assert sizes(circuits(ALL), None) == [8]
    assert sizes(circuits(ALL), 8) == [8]


def test_where_there_is_none_last_words_take_one_each():
    assert sizes(circuits(ALL), 7) == [4]
    assert sizes(circuits(ALL), 3) == [3, 1]


def test_one_unit_of_relu_is_always_enough_for_a_sum_that_stops_at_its_threshold():
    assert sizes(circuits(ALL), None, BLOCK) == [4]


def test_a_block_of_gpt2_has_four_times_as_many_units_as_dimensions():
    def plan(count: int) -> Plan:
        neurons = tuple(after(TOKENS[i % 4], NOTE) for i in range(count))
        return plan_model(circuits(Block(neurons=neurons), ALL), GPT2)

    width = plan(1).layout.n_embd
    assert plan(2 * width).layout.n_embd == width
    assert len(plan(2 * width).layers) == 2
    assert len(plan(2 * width + 1).layers) == 3


def test_what_is_read_again_takes_two_units():
    noting = Block(neurons=tuple(after(token, NOTE) for token in TOKENS))
    assert sizes(circuits(noting), 4) == [4, 4]
    reading = Neuron("reads", (Coefficients(TOKEN, ((0, 1),)),), 1, (Coefficients(NOTE, ((0, 1),)),))
    assert sizes(circuits(ALL, Block(neurons=(reading,))), 4) == [4, 4, 2]


@pytest.mark.parametrize("at_least", [1, -1])
def test_sums_that_do_not_stop_at_0_take_two_units(at_least):
    shifted = Block(neurons=tuple(after(token, at_least=at_least) for token in TOKENS))
    assert sizes(circuits(shifted), 4) == [4, 4]


def test_sums_that_exceed_0_take_two_units():
    reads = (Coefficients.per_value(TOKEN, {"a": 1}),)
    often = Neuron("often", reads, 0, (Coefficients(NOTE, ((0, 1),)),))
    assert sizes(circuits(Block(neurons=(often,) * 3)), 3) == [3, 3]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_single_units_answer_as_the_circuits_mean(dtype):
    made = circuits(Block(neurons=ALL.neurons * 10))
    found = compile_program(made, dtype=dtype)
    assert [len(layer.units) for layer in found.plan.layers] == [40]
    texts = np.array([[a, b] for a in range(4) for b in range(4)])
    assert found.model.forward(texts).argmax(axis=-1).tolist() == ideal_next(made, texts).tolist()


@pytest.mark.parametrize("most", [None, 3])
def test_the_bias_of_a_block_is_written_once_with_its_last_units(most):
    made = circuits(Block(neurons=ALL.neurons, neuron_bias=(bias(TOKEN, {"a": 1}),)))
    *earlier, last = build_layers(made, GPT2, most)
    assert last.mlp_bias == made.blocks[0].neuron_bias
    assert not any(layer.mlp_bias for layer in earlier)


@given(st.fractions(Fraction(1, 50), 3, max_denominator=60), st.fractions(-9, 9, max_denominator=60))
def test_the_constants_of_a_fine_threshold_are_quarters_that_floats_hold(gap, at_least):
    fine = Neuron("fine", after("a").reads, at_least, after("a").writes, gap=gap)
    (layer,) = build_layers(circuits(Block(neurons=(fine,))), GPT2)
    assert len(layer.units) == 2
    assert all((4 * Fraction(unit.constant)).denominator == 1 for unit in layer.units)
