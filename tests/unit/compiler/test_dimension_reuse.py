"""Dimensions that are read no more are cleared and used again, where that makes the stream narrower."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.architecture import BLOCK, GPT2
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Neuron,
    Ramp,
    Reuse,
    Subspace,
    embed_token,
    one_hot,
    scalar,
)
from handcraft.circuits.ideal import ideal_stream
from handcraft.circuits.lifetimes import read_by_heads
from handcraft.compiler import compile_sequences
from handcraft.compiler.features.reuse import reuse_dimensions
from handcraft.compiler.search import plan_in_one_layer
from handcraft.errors import HandcraftError, LayoutError, PrecisionError
from handcraft.testing import expressions
from handcraft.verify import check_stream, verify
from handcraft.weights import Sizes, SpreadError, plan_model

PROMPTS = Prompts("ab", context=6, causal=False)
LENGTH = PROMPTS.everything.count()
MIRRORED = select(PROMPTS.position, LENGTH - 1 - PROMPTS.position).latest(PROMPTS.token, default="a")


def deep(prompts: Prompts):
    """A chain of looks and tables, each of which reads only what the one before wrote."""
    value = prompts.token.map({"a": 0, "b": 1})
    for back in (1, 2, 1):
        before = value.at(-back, default=0)
        value = (value + before) % 3
    return value


@pytest.fixture(scope="module")
def reverse():
    return compile_sequences({"mirrored": MIRRORED})


def clearing(circuits: Circuits) -> list[str]:
    return [n.name for b in circuits.blocks for n in b.neurons if n.name.startswith("clear ")]


def test_a_narrower_stream_says_the_same(reverse):
    assert reverse.circuits.reuses
    stream = sum(subspace.width for subspace in reverse.circuits.stream)
    assert reverse.model.shape.n_embd < stream
    for length in range(1, 7):
        texts = list(product("ab", repeat=length))
        assert reverse.apply(texts)["mirrored"] == [tuple(reversed(text)) for text in texts]


def test_every_dimension_that_is_used_again_is_cleared(reverse):
    circuits = reverse.circuits
    taken = [
        r.within.dimension_names[r.at + i] for r in circuits.reuses for i in range(r.subspace.width)
    ]
    assert clearing(circuits) == [f"clear {name}" for name in taken]
    for length in (1, 3, 6):
        ids = np.array(list(product((0, 1), repeat=length)))
        stream = ideal_stream(circuits, ids)
        for reuse in circuits.reuses:
            places = slice(reuse.at, reuse.at + reuse.subspace.width)
            assert not stream[reuse.within][..., places].any()


def test_a_dimension_is_called_by_all_that_it_holds(reverse):
    (first, *_) = reverse.circuits.reuses
    names = reverse.plan.layout.dimension_names
    assert f"{first.within.dimension_names[first.at]}, then {first.subspace}" in names
    assert len(names) == reverse.model.shape.n_embd


def test_the_report_counts_what_is_used_again(reverse):
    report = reverse.report()
    assert report.reused == len(clearing(reverse.circuits))
    assert f"({report.reused} dimensions cleared and used again)" in str(report)


def test_nothing_is_cleared_where_the_stream_stays_as_wide():
    """The heads of a histogram by hard attention are wider than what is dead."""
    prompts = Prompts("abcdef", context=6)
    often = select(prompts.token, prompts.token).count()
    made = compile_sequences({"often": often}, dtype="bfloat16")
    assert made.circuits.reuses == ()
    assert clearing(made.circuits) == []
    assert made.report().reused == 0


@pytest.mark.parametrize("missing", [1, 3])
def test_for_a_stream_that_is_too_narrow_the_width_with_reuse_is_advised(reverse, missing):
    width = reverse.model.shape.n_embd
    with pytest.raises(LayoutError) as caught:
        compile_sequences({"mirrored": MIRRORED}, sizes=Sizes(n_embd=width - missing))
    assert caught.value.fix == f"n_embd={width}"
    made = compile_sequences({"mirrored": MIRRORED}, sizes=Sizes(n_embd=width))
    assert made.circuits.reuses


def test_what_is_a_result_is_kept():
    made = compile_sequences({"mirrored": MIRRORED, "length": LENGTH, "token": PROMPTS.token})
    said = made.apply(["abb"])
    assert said == {"mirrored": [("b", "b", "a")], "length": [(3, 3, 3)], "token": [("a", "b", "b")]}


def balance(prompts: Prompts):
    """Whether a and b were balanced all the way: means that are compared, and a mean of the result."""
    before = select(prompts.position, prompts.position, "<=")
    ahead = before.mean(prompts.token == "a") - before.mean(prompts.token == "b")
    return (before.mean(ahead < 0) == 0) & (ahead == 0)


@pytest.mark.parametrize(("dtype", "is_cleared"), [("float32", True), ("bfloat16", False)])
def test_what_may_be_negative_is_cleared_in_wide_types_only(dtype, is_cleared):
    value = balance(Prompts("ab", context=3))
    made = compile_sequences({"value": value}, dtype=dtype)
    ramps = [n for b in made.circuits.blocks for n in b.neurons if isinstance(n, Ramp)]
    assert any(ramp.constant for ramp in ramps) is is_cleared
    texts = list(product("ab", repeat=3))
    assert made.apply(texts)["value"] == [value.trace(text) for text in texts]


@pytest.mark.parametrize(
    ("architecture", "expression"), [("block", deep), ("block", balance), ("gpt2", balance)]
)
def test_a_deep_program_is_narrower_for_it(architecture, expression):
    prompts = Prompts("ab", context=6)
    value = expression(prompts)
    made = compile_sequences({"value": value}, architecture=architecture)
    assert made.circuits.reuses
    assert made.plan.layout.width < replace(made.plan.layout, reuses=()).width
    texts = list(product("ab", repeat=6))
    assert made.apply(texts)["value"] == [value.trace(text) for text in texts]
    check_stream(made.as_compiled())


def test_rules_over_expressions_reuse_dimensions_too():
    prompts = Prompts("abc", context=6)
    number = prompts.token.map({"a": 0, "b": 1, "c": 2})
    for back in (1, 2, 1):
        number = (number + number.at(-back, default=0)) % 3
    rules = [predict("b").when(number == 1), predict("c").when(number == 2), predict("a").otherwise()]
    program = Program(prompts=prompts, rules=rules)
    made = compile_program(program, architecture="block")
    assert made.circuits.reuses
    assert verify(made.model, program).passed


def test_what_was_not_cleared_is_found(reverse):
    """Without the neurons that clear, the stream is not what the circuits mean."""
    blocks = tuple(
        replace(b, neurons=tuple(n for n in b.neurons if not n.name.startswith("clear ")))
        for b in reverse.circuits.blocks
    )
    spoiled = replace(reverse.circuits, blocks=blocks)
    with pytest.raises(PrecisionError, match="has an error of"):
        check_stream(compile_program(spoiled, architecture=reverse.model.architecture))


def test_what_is_taken_of_one_subspace_at_two_times_is_cleared_at_once():
    """Two sums, one after the other, in the place of a token; the later one finds it cleared."""
    token, first, second = one_hot("token", "ab"), scalar("first"), scalar("second")
    is_b = (Coefficients(token, ((1, 1),)),)
    one = (Coefficients(first, ((0, 1),)),)
    blocks = [
        Block(neurons=(Neuron("is b", is_b, 1, one),)),
        Block(neurons=(Neuron("again", one, 1, (Coefficients(second, ((0, 1),)),), gap=1),)),
    ]
    made = Circuits(
        "ab",
        2,
        embedding=[embed_token(token)],
        blocks=blocks,
        unembedding=None,
        results=[first, second],
    )
    spans = {(token, 0): (0, 1), (token, 1): (0, 1)}
    reused = reuse_dimensions(made, spans, BLOCK)
    assert reused.reuses == (Reuse(first, token, 0), Reuse(second, token, 1))
    assert [len(block.neurons) for block in reused.blocks] == [3, 1]
    assert check_stream(compile_program(reused, architecture="block")) > 0


def test_circuits_without_known_spans_stay_as_they_are(reverse):
    bare = replace(reverse.circuits, reuses=())
    assert reuse_dimensions(bare, {}, replace(BLOCK, causal=False)) is bare


def turns(width: int) -> tuple[Circuits, Subspace]:
    """Flags that neurons of the second block read for the last time, while others of them clear them.

    Args:
        width: how many neurons read each of the flags.
    """
    token, old, fresh = one_hot("token", "ab"), scalar("old"), scalar("fresh")

    def neuron(name: str, reads: Subspace, writes: Subspace, at: int = 0) -> Neuron:
        return Neuron(
            name, (Coefficients(reads, ((0, 1),)),), 1, (Coefficients(writes, ((at, 1),)),), gap=1
        )

    blocks = [
        Block(neurons=(neuron("note", token, old),)),
        Block(neurons=tuple(neuron(f"use {k}", old, fresh) for k in range(width))),
        Block(neurons=(neuron("answer", fresh, token, 1),)),
    ]
    made = Circuits("ab", 2, embedding=[embed_token(token)], blocks=blocks, unembedding=token)
    return made, old


@pytest.mark.parametrize("target", [BLOCK, GPT2], ids=["block", "gpt2"])
def test_what_neurons_of_a_block_read_for_the_last_time_others_of_them_clear(target):
    circuits, old = turns(1)
    reused = reuse_dimensions(circuits, {(old, 0): (0, 1)}, target)
    assert [reuse.within for reuse in reused.reuses] == [old]
    assert clearing(reused) == ["clear old"]
    assert [n.name for n in reused.blocks[1].neurons] == ["use 0", "clear old"]


def test_a_block_that_clears_is_never_spread_over_layers_that_would_read_what_is_gone():
    circuits, old = turns(40)
    reused = reuse_dimensions(circuits, {(old, 0): (0, 1)}, GPT2)
    assert reused.reuses
    with pytest.raises(SpreadError, match="they read and write `old`"):
        plan_model(reused, GPT2)
    plan_model(circuits, GPT2)


def test_a_block_that_may_not_be_spread_gets_a_wider_stream_unless_a_width_is_given():
    circuits, old = turns(40)
    reused = reuse_dimensions(circuits, {(old, 0): (0, 1)}, GPT2)
    plan = plan_in_one_layer(reused, GPT2, Sizes())
    assert len(plan.layers) == len(reused.blocks)
    with pytest.raises(SpreadError):
        plan_in_one_layer(reused, GPT2, Sizes(n_embd=plan.layout.n_embd // 2))
    plan_in_one_layer(reused, GPT2, Sizes(n_embd=plan.layout.n_embd))


@given(st.data())
@settings(max_examples=sweep(60))
def test_behind_layer_norm_no_head_reads_what_takes_the_place_of_something_else(data):
    expression = data.draw(expressions(Prompts("ab", context=4), depth=5))
    try:
        made = compile_sequences({"x": expression}, architecture="gpt2").circuits
    except HandcraftError:
        reject()
    read = {subspace for block in made.blocks for subspace in read_by_heads(block)}
    assert read.isdisjoint(reuse.subspace for reuse in made.reuses)
