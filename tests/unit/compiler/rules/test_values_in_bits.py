"""Values of many kinds as flags: what is split, what stays, and what is known of position 0."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Expression, Program, Prompts, compile_program, predict, select, where
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading
from handcraft.compiler.features.scores.at_start import value_at_start
from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Attend, Equal, StepFunction
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.passes.tables import split_bits
from handcraft.compiler.passes.tables.fuse import fuse
from handcraft.compiler.passes.tables.split_bits import Splitting, width_of
from handcraft.errors import PrecisionError
from handcraft.language.graph.node import Node, walk
from handcraft.model import as_rounded
from handcraft.testing import assert_agreement

WORDS = tuple(f"w{i}" for i in range(12))
PROMPTS = Prompts(WORDS, context=3)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="w5")
SETTING = Setting(3, causal=True)

FOLLOWED = select(BEFORE, TOKEN).latest(TOKEN, default="w7")
VALUES = {
    "a token": TOKEN,
    "one back": BEFORE,
    "a choice": where(POSITION >= 1, BEFORE, TOKEN),
    "induction": FOLLOWED,
    "a table of a table": FOLLOWED.map(lambda word: WORDS[-1 - WORDS.index(word)]),
    "another word": select(TOKEN, BEFORE, "!=").latest(TOKEN, default="w0"),
}


def lowered(expression: Expression) -> Node:
    (node,) = lower_aggregates(rebuild([expression.node]), SETTING)
    return node


def bits_of(expression: Expression) -> list[Node]:
    """The bits of a value, as they are compiled."""
    node = lowered(expression)
    places = {word: i for i, word in enumerate(WORDS)}
    bits = Splitting([node]).bits(node, places, width_of(len(WORDS)))
    return fuse(rebuild(bits), SETTING)


@pytest.mark.parametrize("name", VALUES)
def test_the_bits_of_a_value_say_which_it_is(name):
    bits = bits_of(VALUES[name])
    for text in product(WORDS[::3], repeat=3):
        found = run_nodes(bits, text, causal=True)
        said = [int("".join(str(int(bit)) for bit in column), 2) for column in zip(*found, strict=True)]
        assert [WORDS[place] for place in said] == list(VALUES[name].trace(text))


def test_bits_take_a_step_or_two_where_the_value_takes_one_for_each_of_its_kinds():
    (whole,) = fuse([lowered(FOLLOWED)], SETTING)
    assert len(whole.thresholds) == 12, whole.thresholds
    assert [len(bit.thresholds) for bit in bits_of(FOLLOWED)] == [2] * 4


def test_a_long_chain_of_choices_is_split_without_pythons_stack():
    chain = TOKEN
    for place in range(400):
        chain = where(WORDS[place % 12] == TOKEN, BEFORE if place % 2 else TOKEN, chain)
    (node,) = lower_aggregates([chain.node], SETTING)
    places = {word: i for i, word in enumerate(WORDS)}
    assert len(Splitting([node]).bits(node, places, 1)) == 1


def test_many_values_are_compared_by_two_steps_along_a_difference():
    many = Prompts([f"w{i}" for i in range(200)], context=3).token
    (found,) = lower_aggregates([select(many.at(-1, default="w0"), many).exists().node], SETTING)
    assert isinstance(found, Equal)
    (step_function,) = fuse([found], SETTING)
    assert isinstance(step_function, StepFunction)
    assert step_function.values == (False, True, False)


@pytest.mark.parametrize("relation", ["==", "!="])
def test_whether_any_of_many_values_matches(relation):
    many = Prompts([f"w{i}" for i in range(200)], context=3)
    before = many.token.at(-1, default="w0")
    found = select(before, many.token, relation).exists()
    nodes = lower_aggregates([found.node], SETTING)
    for text in product(["w0", "w7", "w199"], repeat=3):
        assert run_nodes(nodes, text, causal=True) == [found.trace(text)]


@pytest.mark.parametrize("most", [12, 11, 4, 3])
def test_values_too_many_for_one_sum_are_equal_where_all_their_digits_are(most):
    node = lowered(FOLLOWED == BEFORE)
    (table,) = [each for each in walk(node) if str(each) == str(node)]
    equal = Equal(table.domain, table.text, *table.arguments)
    found = Splitting([equal], most).kept(equal)
    pairs = [each for each in walk(found) if isinstance(each, Equal) and str(each) == str(node)]
    assert (len(pairs) == 1) == (most == 12)
    assert all(len(each.one.domain.values) <= most for each in pairs if most < 12)
    (fused,) = fuse([found], SETTING)
    for text in product(WORDS[::3], repeat=3):
        assert run_nodes([fused], text, causal=True)[0] == run_nodes([node], text, causal=True)[0]


@given(st.lists(st.integers(-9, 9), min_size=12, max_size=12))
def test_any_whole_number_of_the_token_is_a_sum_of_its_bits_and_of_flags(numbers):
    features = Features(normed=True, in_bits=True)
    node = TOKEN.node
    reading = features.read(node, tuple(numbers))
    for place, number in enumerate(numbers):
        assert reading.constant + sum(
            factor * next(row[place] for row, k in feature.numbers.items() if k == i)
            for factor, feature, i in reading.terms
        ) == number  # fmt: skip
    assert all(feature.is_code or feature.is_flag(i) for _, feature, i in reading.terms)


def test_what_reads_the_bits_of_the_id_takes_no_dimension_of_its_own():
    features = Features(normed=True, in_bits=True)
    places = tuple(range(12))
    assert len(features.read(TOKEN.node, places).terms) == 4
    assert [feature.is_code for feature in features.by_node.values()] == [True]


def test_a_flag_counts_half_where_it_is_stored_as_minus_or_plus_1():
    features = Features(normed=True, in_bits=True)
    reading = features.read(POSITION.node, (0, 1, 1)) * 6
    assert (reading.constant, reading.rest) in {(0, 3), (6, 3)}
    assert Reading((), 5).rest == 5


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (POSITION, 0),
        (POSITION * 3 + 1, 1),
        (BEFORE, "w5"),
        (BEFORE == "w5", True),
        (TOKEN, None),
        (TOKEN == "w5", None),
        (where(POSITION >= 1, BEFORE, TOKEN), None),
    ],
)
def test_what_is_known_of_position_0(expression, value):
    (node,) = fuse([lowered(expression)], SETTING)
    assert value_at_start(node) == value
    if value is not None:
        assert all(expression.trace(word)[0] == value for word in zip(WORDS))


def test_the_output_of_a_head_at_position_0_is_unknown():
    """Without a mask it may come from later positions."""
    raw = [node for node in walk(lowered(BEFORE)) if isinstance(node, Attend)]
    brought = replace(raw[0], value=POSITION.node, domain=POSITION.node.domain)
    assert value_at_start(brought) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", VALUES)
def test_many_words_are_answered_right_rounded_at_every_step(name, dtype, tmp_path):
    program = Program(prompts=PROMPTS, rules=[predict(VALUES[name]).otherwise()])
    made = compile_program(program, dtype=dtype)
    made.save(tmp_path / "model")
    model = made.model if dtype == "float32" else as_rounded(made.model)
    assert_agreement(replace(made, model=model), sample=60, every_up_to=200)


@pytest.mark.parametrize("picked", [POSITION == 0, POSITION >= 1, POSITION == POSITION])
def test_a_flag_that_holds_at_other_sources_only_holds_at_none_of_those(picked):
    found = (select(TOKEN, "w3") & select(picked, True)).exists()
    rules = [predict("w1").when(found), predict("w2").otherwise()]
    assert_agreement(compile_program(Program(prompts=PROMPTS, rules=rules)), sample=80)


def test_scores_that_may_tie_when_they_are_rounded_are_refused():
    """`latest` of a token that the source's own token decides: position 0 may have any."""
    prompts = Prompts([f"w{i}" for i in range(40)], context=30)
    token = prompts.token
    asked = token.map(lambda word: f"w{(int(word[1:]) + 1) % 40}")
    found = select(token, asked).latest(token.at(-1, default="w0"), default="w0")
    program = Program(prompts=prompts, rules=[predict(found).otherwise()])
    compile_program(program)
    with pytest.raises(PrecisionError, match="to one number"):
        compile_program(program, dtype="bfloat16")


def test_a_table_has_no_row_for_what_never_occurs(monkeypatch):
    monkeypatch.setattr(split_bits, "MANY", 1)
    unmasked = Prompts(WORDS, context=3, causal=False)
    always = unmasked.token.map(dict.fromkeys(WORDS, "w0"))
    found = select(always, "w0").count().map({1: "w3", 2: "w4", 3: "w8"})  # there is no row for 0
    (node,) = lower_aggregates([found.node], Setting(3, causal=False))
    places = {word: place for place, word in enumerate(WORDS)}
    bits = Splitting([node]).bits(node, places, 4)
    for text in product(WORDS[:2], repeat=3):
        values = run_nodes(bits, text, causal=False)
        assert [*zip(*values, strict=True)] == [(True, False, False, False)] * 3  # w8
