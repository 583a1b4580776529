"""Sums of squares that never change, and the constants that make them what is wanted."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, compile_program, predict
from handcraft.architecture import GPT2
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Neuron,
    bias,
    coded,
    embed_position,
    embed_token,
    ideal_logits,
    one_hot,
    signed_bits,
)
from handcraft.errors import HandcraftError
from handcraft.verify.facts import check_facts
from handcraft.weights import Sizes, plan_model
from handcraft.weights.norms import NormInput, level_fill

RULES = [predict("d").after("ab"), predict("b").after("[bc]"), predict("a").otherwise()]
FOUR = Program("abcd", 3, RULES)


def compiled(program: Program = FOUR, **options):
    return compile_program(program, tokens="binary", n_positions=program.context, **options)


@given(st.integers(0, 400), st.integers(8, 60))
def test_what_is_missing_is_made_up_in_four_pairs_of_dimensions_or_fewer(deficit, spare):
    layout = compiled().layout
    width = layout.width - 2 * len(layout.fill)
    layout = replace(layout, fill=(), n_embd=2 * ((width + spare) // 2))
    norm = NormInput("ln", layout.n_embd - 2 * min(deficit, layout.n_embd // 2), (), True)
    found = level_fill(norm, layout)
    assert len(found) <= 4
    assert norm.sum_of_squares + 2 * sum(n * n for n in found) == layout.n_embd


def test_without_spare_dimensions_nothing_is_made_up():
    layout = replace(compiled().layout, fill=())
    tight = replace(layout, n_embd=layout.width)
    assert level_fill(NormInput("ln", tight.n_embd, (), True), tight) == ()
    assert level_fill(NormInput("ln", tight.n_embd - 2, (), True), tight) == ()


@pytest.mark.parametrize("n_embd", [48, 60, 96, 192])
def test_every_norm_divides_by_1_and_the_mean_stays_0(n_embd):
    found = compiled(sizes=Sizes(n_embd=n_embd, n_head=3))
    assert {norm.sum_of_squares for norm in found.plan.norms if norm.is_read} == {n_embd}
    first = found.model.tensors["wpe.weight"]
    filled = [dimension for dimension, _ in found.layout.constants]
    assert [found.layout.dimension_names[i] for i in filled] == [
        f"{sign}fill {i}" for i in range(len(found.layout.fill)) for sign in "+-"
    ]
    assert (first[:, filled].sum(axis=1) == 0).all()
    assert found.origins("wpe.weight", 0, filled[0])[0].what.startswith("fill")


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=2, max_size=4))
def test_a_table_is_static_where_all_its_rows_have_one_length(words):
    mark = coded("mark", dict(enumerate(words)), dimensions=("x", "y"))
    token = one_hot("token", "ab")
    embedding = [embed_token(token), embed_position(mark)]
    blocks = [Block(attention_bias=(bias(token, {"a": 1}),))]
    circuits = Circuits(
        vocabulary="ab", context=len(words), embedding=embedding, blocks=blocks, unembedding=token
    )
    plan = plan_model(circuits, GPT2)
    lengths = {x * x + y * y for x, y in words}
    assert (mark in plan.norms[0].varying) == (len(lengths) > 1)


def test_a_width_that_is_left_open_is_made_even():
    assert compiled().layout.n_embd % 2 == 0
    assert compiled(Program("abcd", 3, [predict("b").after("a"), *RULES])).layout.n_embd % 2 == 0


def test_a_requested_odd_width_is_used():
    found = compiled(sizes=Sizes(n_embd=63, n_head=3))
    assert found.layout.n_embd == 63
    assert found.complete("ab", 2) == "da"


def test_norms_that_see_different_lengths_are_left_alone():
    found = compile_program(FOUR, tokens="one-hot", n_positions=3)
    assert found.layout.fill == ()


def spread(seed: int, part: float) -> Circuits:
    """More neurons than fit one layer: each writes a random number where two bits are as it asks."""
    chosen = Random(seed)
    answer, token, one = signed_bits("answer", "abcd"), signed_bits("token", "abcd"), one_hot("1", (1,))
    asked = [tuple(chosen.choice((-1, 1)) for _ in range(2)) for _ in range(60)]
    numbers = [2 * chosen.randint(-9, 9) or 4 for _ in asked]
    neurons = [
        Neuron(
            f"neuron {k}",
            (Coefficients(token, tuple(enumerate(signs))), Coefficients(one, ((0, -2),))),
            0,
            (Coefficients(answer, ((k % 2, number),)),),
        )
        for k, (signs, number) in enumerate(zip(asked, numbers, strict=True))
    ]
    largest = 2 * (1 + sum(map(abs, numbers))) ** 2
    return Circuits(
        vocabulary="abcd",
        context=1,
        embedding=[embed_token(answer), embed_token(token), embed_position(one, [1])],
        blocks=[Block(neurons=neurons, bounds=((answer, round(part * largest)),))],
        unembedding=answer,
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@settings(max_examples=sweep(24))
@given(st.integers(0, 1_000_000))
def test_sums_that_are_compared_with_0_are_right_whatever_length_the_stream_has(dtype, seed):
    circuits = spread(seed, 1)
    found = compile_program(circuits, dtype=dtype)
    assert len(found.plan.layers) > 1
    assert not found.layout.has_ballast
    tokens = np.arange(4)[:, None]
    logits = found.model.forward(tokens)[:, 0, :4]
    exact = np.array(ideal_logits(circuits, tokens), dtype=float)[:, 0]
    lengths = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in (logits, exact)]
    apart = np.abs(logits / lengths[0] - exact / lengths[1]).max()
    assert apart < (1e-6 if dtype == "float32" else 0.02)


def test_a_stream_that_becomes_longer_than_was_said_is_found():
    check_facts(compile_program(spread(0, 1)))
    with pytest.raises(HandcraftError, match=r"h\.1\.ln_2 has a sum of squares"):
        check_facts(compile_program(spread(0, 0.001)))
