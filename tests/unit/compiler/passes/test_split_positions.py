"""The latest of many positions by two heads, where a score tells few positions apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from short_texts import every_text, setting_of

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.aggregates.split_positions import split_positions
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Attend
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.text.read_graph import read_graph
from handcraft.compiler.text.write_graph import Result, write_graph
from handcraft.language.graph.node import walk
from handcraft.testing import assert_agreement

PROMPTS = Prompts("ab", context=6)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="a")

CHOSEN = {
    "latest": select(BEFORE, TOKEN).latest(POSITION, default=9),
    "earliest": select(TOKEN, "b").earliest(POSITION, default=9),
    "exists": (select(BEFORE, TOKEN) & select(POSITION, POSITION, "<")).exists(),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_block_and_then_the_offset_find_the_same_source(name):
    before = lower_aggregates(rebuild([CHOSEN[name].node]), setting_of(PROMPTS))
    found = split_positions(before, setting_of(PROMPTS), most=4)
    split = [node for node in walk(*found) if isinstance(node, Attend) and node.by is not None]
    assert split, "some head picks by block and some by offset"
    for text in every_text(PROMPTS, longest=6):
        assert run_nodes(found, text, causal=True) == run_nodes(before, text, causal=True)


def test_the_text_of_a_split_head_says_by_what_it_picks():
    before = lower_aggregates(rebuild([CHOSEN["latest"].node]), setting_of(PROMPTS))
    text = write_graph([Result("x", *split_positions(before, setting_of(PROMPTS), most=4))])
    assert " by %" in text
    assert write_graph(read_graph(text)).splitlines()[-1] == text.splitlines()[-1]
    assert len(write_graph(read_graph(text)).splitlines()) == len(text.splitlines())


def test_few_positions_are_left_to_one_head():
    before = lower_aggregates(rebuild([CHOSEN["latest"].node]), setting_of(PROMPTS))
    assert split_positions(before, replace(setting_of(PROMPTS), context=4), most=4) == before


@pytest.mark.parametrize(("dtype", "context"), [("bfloat16", 160), ("float16", 48)])
def test_induction_is_exact_beyond_the_positions_that_a_score_distinguishes(dtype, context):
    words = tuple(f"w{n}" for n in range(6))
    prompts = Prompts(words, context=context)
    assert Precision(dtype, level=True).positions < prompts.context
    before = prompts.token.at(-1, default="w0")
    followed = select(before, prompts.token).latest(prompts.token, default="w0")
    program = Program(prompts=prompts, rules=[predict(followed).otherwise()])
    made = compile_program(program, dtype=dtype)
    assert_agreement(made, every_up_to=0, sample=4)
