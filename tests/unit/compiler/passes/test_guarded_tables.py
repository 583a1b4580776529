"""A table that counts only where others are equal is one sum, however many values are compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from short_texts import after, assert_compiled, assert_same, every_text, setting_of

from handcraft import Prompts, compile_sequences, lookup, select, where
from handcraft.compiler.passes.ir import StepFunction
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.passes.tables import fuse
from handcraft.compiler.passes.tables.guarded import equalities, guarded

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="a")
COUNT = select(TOKEN, TOKEN).count()
RANK = TOKEN.map({"a": 2, "b": 0, "c": 5})
SAME = select(BEFORE, TOKEN)

GUARDED = {
    "default is a value": SAME.latest(TOKEN, default="b"),
    "default is none of them": SAME.latest(TOKEN == "b", default=False),
    "default is a new label": select(BEFORE, TOKEN).latest(
        TOKEN.map({"a": "x", "b": "y", "c": "x"}), default="y"
    ),
    "number": SAME.latest(RANK, default=5),
    "least number": SAME.earliest(RANK, default=0),
    "two conditions": (SAME & select(RANK, POSITION)).latest(TOKEN, default="c"),
    "counted keys": select(COUNT, POSITION).latest(TOKEN, default="c"),
    "counted values": SAME.latest(COUNT, default=1),
    "sum of values": SAME.latest(COUNT + RANK, default=1),
    "sum of keys": select(COUNT - 1, POSITION).latest(TOKEN, default="a"),
    "written out": where(COUNT == POSITION, TOKEN, "b"),
    "other way round": where(COUNT == POSITION, "b", TOKEN),
    "flag": (COUNT == POSITION) & (TOKEN == "a"),
}


@pytest.fixture(autouse=True)
def nothing_is_flattened(monkeypatch):
    """No table over everything below: what is guarded is not made in another way."""
    monkeypatch.setattr(fuse, "FLATTEN_UP_TO", 0)


@pytest.mark.parametrize("expression", GUARDED.values(), ids=GUARDED)
def test_every_value_is_kept(expression):
    nodes = after("fuse tables", expression)
    assert_same(PROMPTS, [expression.node], nodes)
    assert_compiled({"value": expression})


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_default_takes_no_block_of_its_own(architecture):
    prompts = Prompts("abcdef", context=12)
    before = prompts.token.at(-1, default="a")
    found = select(before, prompts.token).latest(prompts.position, default=0)
    made = assert_compiled({"value": found}, architecture, longest=3)
    assert len(made.plan.circuits.blocks) == 2


def test_it_takes_a_step_for_each_value_and_one_more():
    prompts = Prompts("abcdefgh", context=40)
    last = select(prompts.token.at(-1, default="a"), prompts.token)
    (node,) = after("fuse tables", last.latest(prompts.token, default="a"))
    assert isinstance(node, StepFunction)
    assert len(node.thresholds) == 8
    (node,) = after("fuse tables", last.latest(prompts.token == "a", default=False))
    assert isinstance(node, StepFunction)
    assert len(node.thresholds) == 2


@pytest.mark.parametrize(("steps", "is_one_sum"), [(8, False), (64, True)])
def test_a_sum_too_large_for_the_dtype_is_not_made(steps, is_one_sum):
    (lowered,) = after("lower aggregates", GUARDED["default is a value"])
    (node,) = fuse.fuse([lowered], replace(setting_of(PROMPTS), steps=steps))
    for text in every_text(PROMPTS):
        assert run_nodes([node], text, causal=True) == run_nodes([lowered], text, causal=True)
    reads = {str(term) for threshold in node.thresholds for _, term in threshold.terms}
    assert any(text.startswith("key of") for text in reads) == is_one_sum


def test_a_sum_that_the_dtype_may_not_distinguish_is_not_made_where_smaller_ones_do():
    prompts = Prompts("abcdefgh01234567=.", context=12)
    length = select(prompts.token, "=").latest(prompts.position, default=0)
    due = select(prompts.position, prompts.position - length).latest(prompts.token, default="a")
    number = due.map({letter: i for i, letter in enumerate("abcdefgh")}, default=0)
    model = compile_sequences({"number": number}, dtype="float16")
    texts = ["5fade=fadebc", "7bhc=f0.", "h"]
    assert model.apply(texts)["number"] == [number.trace(text) for text in texts]


@pytest.mark.parametrize(
    "expression",
    [
        where(COUNT != POSITION, TOKEN, "b"),
        where(COUNT < POSITION, TOKEN, "b"),
        where((COUNT == POSITION) | (TOKEN == "a"), TOKEN, "b"),
        lookup(lambda same, token: (same, token) != (False, "a"), COUNT == POSITION, TOKEN),
    ],
    ids=["different", "less", "or", "outside differs"],
)
def test_what_is_not_guarded_by_an_equality_is_not_taken_for_it(expression):
    assert guarded(expression.node) is None
    assert_compiled({"value": expression})


def test_nested_equalities_are_found():
    flag = (COUNT == POSITION) & ((TOKEN == BEFORE) & (RANK == POSITION))
    assert [(str(a), str(b)) for a, b in equalities(flag.node)] == [
        (str(COUNT), "position"),
        ("token", str(BEFORE)),
        (str(RANK), "position"),
    ]
