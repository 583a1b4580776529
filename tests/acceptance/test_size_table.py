"""The size table of docs/benchmarks.md: sizes beside Tracr's, and answers at several lengths.

The programs, what they mean in plain Python, and Tracr's sizes are in benchmarks/size_table.py. Times
are nowhere asserted. `make bench-peers` and `make bench-sequences` measure more, and longer.
"""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import pytest

from handcraft.compiler import compile_sequences

TABLE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "size_table.py"))
ROWS = {row.name: row for row in TABLE["ROWS"]}
CAUSAL_ROWS = {row.name: row for row in TABLE["CAUSAL_ROWS"]}
LONG_ROWS = {row.name: row for row in TABLE["LONG_ROWS"]}
LENGTHS = (5, 10, 20, 50)


@cache
def compiled(write, context, tokens, architecture="block"):
    row = next(r for r in (*ROWS.values(), *LONG_ROWS.values()) if r.write is write)
    prompts = row.prompts(causal=architecture == "gpt2", context=context, tokens=tokens)
    return compile_sequences({"value": write(prompts)}, architecture=architecture)


def wrong(model, meaning, texts):
    values = model.apply(texts)["value"]
    pairs = zip(texts, values, strict=True)
    return [("".join(text), says) for text, says in pairs if says != tuple(meaning(text))]


def test_every_program_of_the_table_is_here():
    assert len(ROWS) == 16
    assert len(CAUSAL_ROWS) == 3


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.theirs])
def test_no_program_is_deeper_than_in_tracr_or_larger_than_the_goal(name):
    row = ROWS[name]
    model = compiled(row.write, row.context, row.tokens).model
    shape = model.shape
    ours = TABLE["Ours"](shape.n_layer, shape.n_embd, model.parameters)
    assert TABLE["missed"](row.theirs, ours, row.share) == []


def test_a_goal_can_be_missed():
    theirs = TABLE["Theirs"](4, 357, 7_907_907, 6.7)
    ours = TABLE["Ours"](5, 7, 790_791, 6.8)
    assert TABLE["missed"](theirs, ours, 0.1) == [
        "5 layers; Tracr has 4",
        "790,791 parameters; Tracr has 7,907,907, of which 0.1 is 790,790",
        "6.800 s; Tracr takes 6.700 s",
    ]


@pytest.mark.parametrize("length", LENGTHS)
def test_brackets_are_drawn_balanced_and_unbalanced(length):
    row = ROWS["shuffle-Dyck-2, 10 tokens, length 20"]
    texts = TABLE["inputs"](row, length, 20)
    assert {row.meaning(text)[0] for text in texts} == {False, True}
    assert {len(text) for text in texts} == {length}


@pytest.mark.parametrize("name", [name for name in ROWS if ", length" not in name])
@pytest.mark.parametrize("length", LENGTHS)
def test_random_texts_get_the_values_that_they_should(name, length):
    row = ROWS[name]
    is_distinct = row.draw is TABLE["distinct_text"]
    tokens = 2 * row.tokens if is_distinct and length > row.tokens else row.tokens
    model = compiled(row.write, 50, tokens)
    texts = TABLE["inputs"](row, length, 20, tokens)
    assert wrong(model, row.meaning, texts) == []


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.context < 50])
def test_the_models_of_the_table_are_right_as_well(name):
    row = ROWS[name]
    model = compiled(row.write, row.context, row.tokens)
    for length in range(1, row.context + 1):
        assert wrong(model, row.meaning, TABLE["inputs"](row, length, 20)) == []


@pytest.mark.parametrize("name", CAUSAL_ROWS)
@pytest.mark.parametrize("length", LENGTHS)
def test_random_texts_get_the_values_that_they_should_with_a_causal_mask(name, length):
    row = CAUSAL_ROWS[name]
    model = compiled(row.write, row.context, row.tokens, "gpt2")
    texts = TABLE["inputs"](row, length, 20)
    assert wrong(model, lambda text: TABLE["causally"](row.meaning, text), texts) == []


@pytest.mark.parametrize("name", LONG_ROWS)
@pytest.mark.parametrize("length", [100, 300, 1000])
def test_long_texts_are_counted(name, length):
    row = LONG_ROWS[name]
    model = compiled(row.write, row.context, row.tokens)
    assert wrong(model, row.meaning, TABLE["inputs"](row, length, 2)) == []
