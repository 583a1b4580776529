"""Counts of equal values among many positions: position 0 counts as a match, and its key is absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from short_texts import every_text, setting_of
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.compiler.passes.aggregates import counts
from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Attend
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.passes.tables.split_bits import Splitting
from handcraft.compiler.text.read_graph import read_graph
from handcraft.compiler.text.write_graph import Result, write_graph
from handcraft.language.graph.node import walk
from handcraft.verify.facts import check_facts

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="b")

COUNTS = {
    "its own token": select(TOKEN, TOKEN).count(),
    "the token before": select(TOKEN, BEFORE).count(),
    "where it followed": select(BEFORE, TOKEN).count(),
    "earlier ones": (select(TOKEN, TOKEN) & select(POSITION, POSITION, "<")).count(),
    "a number": select(TOKEN.map({"a": 0, "b": 2, "c": 2}), POSITION).count(),
    "twice": select(TOKEN, TOKEN).count() * 2 - select(BEFORE, TOKEN).count(),
}


@pytest.fixture(autouse=True)
def four_positions_are_many(monkeypatch):
    monkeypatch.setattr(counts, "TOGETHER_UP_TO", 3)


def lowered(name: str):
    setting = replace(setting_of(PROMPTS), in_bits=True)
    return lower_aggregates(rebuild([COUNTS[name].node]), setting)


@pytest.mark.parametrize("name", COUNTS)
def test_the_count_is_the_same_before_and_after_values_are_split(name):
    nodes = lowered(name)
    assert any(isinstance(node, Attend) and node.sunk for node in walk(*nodes))
    split = [Splitting(nodes).kept(node) for node in nodes]
    for text in every_text(PROMPTS, longest=4):
        meant = [COUNTS[name].trace(text)]
        assert run_nodes(nodes, text, causal=True) == meant
        assert run_nodes(split, text, causal=True) == meant


def test_the_text_of_a_head_says_that_position_0_counts_as_a_match():
    text = write_graph([Result("x", *lowered("its own token"))])
    assert " sunk " in text
    again = write_graph(read_graph(text))
    assert [line.partition("  # ")[0] for line in again.splitlines()] == [
        line.partition("  # ")[0] for line in text.splitlines()
    ]


@settings(max_examples=sweep(24), deadline=None)
@given(
    size=st.sampled_from([2, 5, 9, 40]),
    context=st.integers(66, 130),
    bound=st.integers(1, 66),
    exact=st.booleans(),
    before=st.booleans(),
    seed=st.integers(0, 99),
)
def test_thresholds_on_counts_hold_behind_layernorm(size, context, bound, exact, before, seed):
    words = tuple(f"w{n}" for n in range(size))
    prompts = Prompts(words, context=context)
    token = prompts.token
    count = select(token.at(-1, default="w1") if before else token, token).count()
    flag = count == bound if exact else count > bound
    program = Program(prompts=prompts, rules=[predict("w1").when(flag), predict("w0").otherwise()])
    made = compile_program(program)
    check_facts(made)
    texts = np.random.default_rng(seed).integers(0, [[1], [2], [size]], size=(3, context))
    answers = made.model.forward(texts)[..., :size].argmax(-1)
    assert answers.tolist() == [program.next_tokens(text) for text in texts.tolist()]
