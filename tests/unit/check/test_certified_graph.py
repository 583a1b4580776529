"""A meaning is read strictly, computed fast, and printed in words."""

from __future__ import annotations

import copy
import time
from fractions import Fraction

import numpy as np
import pytest

from handcraft import Program, Prompts, predict
from handcraft.proofs import statement_of
from handcraft_check.errors import CheckError
from handcraft_check.program.interpret import Interpreter
from handcraft_check.program.meaning import BROKEN, Meaning, program_hash

TOKEN, POSITION = {"op": "token"}, {"op": "position"}
BEGINNING = [
    TOKEN,
    POSITION,
    {"op": "constant", "value": "a"},
    {"op": "constant", "value": 3},
    {"op": "constant", "value": True},
    {"op": "constant", "value": {"over": [1, 2]}},
]
"""Nodes 0 to 5 of every graph below: the token, the position, a label, two numbers and a flag."""

LAST = {"if": None, "token": 2}


def meaning(*nodes, rules=(LAST,), **more):
    return {"nodes": [*BEGINNING, *nodes], "answer": {"rules": list(rules)}, **more}


def read(data):
    return Meaning.read(data, "ab")


def table(of=(0,), rows=(("a", True), ("b", False)), **more):
    return {"op": "table", "of": list(of), "rows": [list(row) for row in rows], **more}


def aggregate(how="latest", value=0, default="a", key=0, query=2, relation="=="):
    match = {"key": key, "query": query, "relation": relation}
    return {"op": "aggregate", "how": how, "cases": [[match]], "value": value, "default": default}


def assumed(values, of=1):
    return {"op": "assumed", "of": of, "values": values}


FINE = [
    (table(), False),
    (table(of=(0, 1), rows=[("a", 0, 1), ("b", 1, {"over": [1, 2]})]), Fraction(1, 2)),
    ({"op": "table", "of": [0], "rows": [["a", 0]], "else": 1}, 1),
    ({"op": "sum", "of": [1, 4], "factors": [2, {"over": [-1, 3]}], "constant": 0}, Fraction(5, 3)),
    ({"op": "sum", "of": [], "factors": [], "constant": 7}, 7),
    ({"op": "at_least", "of": 5, "bound": {"over": [1, 2]}}, True),
    ({"op": "at_least", "of": 4, "bound": 2}, False),
    ({"op": "choice", "if": 4, "then": 2, "else": 0}, "a"),
    ({"op": "choice", "if": 4, "then": 3, "else": 1}, 3),
    (assumed([0, 1]), 1),
    (assumed({"low": 0, "high": 5, "unit": {"over": [1, 2]}, "parts": 1}), 1),
    (aggregate(), "a"),
    (aggregate(default=None), "a"),
    (aggregate(value=1, default=7, how="earliest"), 0),
    (aggregate(value=1, default=7, relation="!="), 1),
    (aggregate("count", None, None), 1),
    (aggregate("exists", None, None), True),
    (aggregate("mean", 1, {"over": [1, 2]}, 1, 3, "<="), Fraction(1, 2)),
    (aggregate("mean", 1, {"over": [1, 3]}, 1, 3, ">"), Fraction(1, 3)),
    (aggregate("mean", 4, 0), 1),
    (aggregate(relation={"pairs": [["a", "a"], ["b", "a"]]}), "b"),
    (aggregate(key=1, query=0, relation={"pairs": [[0, "a"]]}), "a"),
    ({"op": "aggregate", "how": "count", "cases": [], "value": None, "default": None}, 0),
    ({"op": "aggregate", "how": "count", "cases": [[]], "value": None, "default": None}, 2),
]
"""Nodes, and their value after the text ab."""

NODES = {
    "a number": 7,
    "no op": {},
    "an unknown op": {"op": "product", "of": [3, 3]},
    "an op that is no text": {"op": ["token"]},
    "an unknown field": {"op": "token", "of": [0]},
    "a missing field": {"op": "constant"},
    "a value that is null": {"op": "constant", "value": None},
    "a float": {"op": "constant", "value": 0.5},
    "a list as a value": {"op": "constant", "value": ["a"]},
    "a fraction over nothing": {"op": "constant", "value": {"over": [1, 0]}},
    "a fraction over a negative number": {"op": "constant", "value": {"over": [1, -2]}},
    "a fraction of three": {"op": "constant", "value": {"over": [1, 2, 3]}},
    "a fraction of flags": {"op": "constant", "value": {"over": [True, True]}},
    "a fraction of another name": {"op": "constant", "value": {"of": [1, 2]}},
    "a number of many bits": {"op": "constant", "value": 1 << 5000},
    "a node that reads itself": table(of=(6,)),
    "a node that reads a later one": table(of=(7,)),
    "a node that reads one before the first": table(of=(-1,)),
    "a node by a flag": table(of=(True,)),
    "a node by a float": table(of=(0.0,)),
    "nodes that are no list": {"op": "table", "of": 0, "rows": []},
    "a table of no values": table(rows=()),
    "a table of no nodes": table(of=(), rows=((True,),)),
    "a row too short": table(rows=(("a",),)),
    "a row too long": table(rows=(("a", "b", True),)),
    "a row twice": table(rows=(("a", True), ("a", True))),
    "a row for a value of another kind": table(rows=((True, True),)),
    "a row for 1 where flags are": table(of=(4,), rows=((1, True),)),
    "values of two kinds": table(rows=(("a", True), ("b", 1))),
    "another kind for the rest": table(**{"else": 0}),
    "a sum of labels": {"op": "sum", "of": [0], "factors": [1], "constant": 0},
    "factors too few": {"op": "sum", "of": [1], "factors": [], "constant": 0},
    "a factor that is a flag": {"op": "sum", "of": [1], "factors": [True], "constant": 0},
    "a constant that is a label": {"op": "sum", "of": [1], "factors": [1], "constant": "0"},
    "a bound for labels": {"op": "at_least", "of": 0, "bound": 1},
    "a bound that is a flag": {"op": "at_least", "of": 1, "bound": True},
    "a choice by a number": {"op": "choice", "if": 1, "then": 3, "else": 3},
    "a choice between kinds": {"op": "choice", "if": 4, "then": 3, "else": 2},
    "an assumed value of another kind": assumed(["a"]),
    "assumed values that are no list": assumed(3),
    "a range of labels": assumed({"low": 0, "high": 1, "unit": 1, "parts": 1}, of=0),
    "a range with no unit": assumed({"low": 0, "high": 1, "unit": 0, "parts": 1}),
    "a range without parts": assumed({"low": 0, "high": 1, "unit": 1}),
    "an unknown aggregate": aggregate("median"),
    "an aggregate that is no text": aggregate(["mean"]),
    "a mean of labels": aggregate("mean", 0, 0),
    "a mean of nothing": aggregate("mean", None, 0),
    "a count of something": aggregate("count", 0, None),
    "a count with a default": aggregate("count", None, 0),
    "a default of another kind": aggregate(default=0),
    "an order of labels": aggregate(relation="<"),
    "a comparison of two kinds": aggregate(query=3),
    "an order of flags": aggregate(key=4, query=4, relation=">="),
    "an unknown relation": aggregate(relation="~"),
    "a relation that is a number": aggregate(relation=1),
    "pairs of three": aggregate(relation={"pairs": [["a", "a", "a"]]}),
    "pairs of another kind": aggregate(relation={"pairs": [["a", 1]]}),
    "cases that are no list": {**aggregate(), "cases": {}},
    "a case that is no list": {**aggregate(), "cases": [{}]},
    "a match without a query": {**aggregate(), "cases": [[{"key": 0, "relation": "=="}]]},
}
"""What is wrong with a node."""

MEANINGS = {
    "a list": [],
    "nothing": {},
    "an unknown field": meaning(more=1),
    "nodes that are an object": {**meaning(), "nodes": {}},
    "answers without rules": {**meaning(), "answer": {}},
    "values in place of rules": {**meaning(), "answer": {"values": {}}},
    "no rules": meaning(rules=()),
    "a rule that is a number": meaning(rules=(1,)),
    "a last rule with a flag": meaning(rules=({"if": 4, "token": 2},)),
    "an early rule without a flag": meaning(rules=(LAST, LAST)),
    "a flag that is a number": meaning(rules=({"if": 3, "token": 2}, LAST)),
    "a flag that is not there": meaning(rules=({"if": 99, "token": 2}, LAST)),
    "a token that is a number": meaning(rules=({"if": None, "token": 3},)),
    "a token and probabilities": meaning(rules=({**LAST, "probabilities": {"a": 1}},)),
    "no answer": meaning(rules=({"if": None},)),
    "probabilities of other tokens": meaning(rules=({"if": None, "probabilities": {"c": 1}},)),
    "probabilities of 2": meaning(rules=({"if": None, "probabilities": {"a": 1, "b": 1}},)),
    "a negative one": meaning(rules=({"if": None, "probabilities": {"a": 2, "b": -1}},)),
    "a probability of 0": meaning(rules=({"if": None, "probabilities": {"a": 1, "b": 0}},)),
    "a probability that is a flag": meaning(rules=({"if": None, "probabilities": {"a": True}},)),
    "probabilities in a list": meaning(rules=({"if": None, "probabilities": [1]},)),
    "names in a list": meaning(names=[]),
    "a name of no node": meaning(names={"6": "other"}),
    "a name that is a number": meaning(names={"0": 1}),
}
"""What is wrong with a meaning."""


@pytest.mark.parametrize(("node", "value"), FINE)
def test_every_op_is_computed(node, value):
    made = read(meaning(node))
    ends, broken = Interpreter(made.nodes, [6], made.vocabulary, causal=True).compute(
        np.array([[0, 1]])
    )
    found = ends[6].values[ends[6].codes[0, 0]]
    assert found == value
    assert type(found) is type(value)
    assert not broken.any()


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_a_node_of_another_form_is_an_error(node):
    with pytest.raises(CheckError) as raised:
        read(meaning(node))
    assert raised.value.where.startswith("meaning.nodes[6]")


@pytest.mark.parametrize("data", MEANINGS.values(), ids=MEANINGS)
def test_a_meaning_of_another_form_is_an_error(data):
    with pytest.raises(CheckError) as raised:
        read(data)
    assert raised.value.where.startswith("meaning")


def test_too_many_rows_are_an_error(monkeypatch):
    monkeypatch.setattr("handcraft_check.program.nodes.ROWS_UP_TO", 3)
    read(meaning(table()))
    with pytest.raises(CheckError, match="1 are checked at most"):
        read(meaning(table(), table()))


def test_a_number_that_grows_too_long_is_an_error():
    large = (1 << 4000) + 1
    growing = [
        {"op": "sum", "of": [3 if n == 0 else 5 + n], "factors": [large], "constant": 1} for n in (0, 1)
    ]
    flag = {"op": "at_least", "of": 7, "bound": 0}
    data = meaning(*growing, flag, rules=({"if": 8, "token": 2}, LAST))
    with pytest.raises(CheckError, match="4,096 bits"):
        read(data).answers(np.array([[0]]))


def answers(*nodes, rules, texts):
    return read(meaning(*nodes, rules=rules)).answers(np.array(texts)).token.tolist()


@pytest.mark.parametrize(
    "node",
    [table(rows=[("a", "b")]), aggregate(default=None), aggregate(default=None, how="earliest")],
    ids=["a row that is missing", "nothing to read", "nothing to read first"],
)
def test_a_text_without_a_value_is_not_allowed(node):
    rules = [{"if": None, "token": 6}]
    assert answers(node, rules=rules, texts=[[0], [1]])[1] == BROKEN
    assert answers(node, rules=rules, texts=[[0], [1]])[0] != BROKEN


def test_an_assumption_is_about_every_position():
    held = assumed(["a"], of=0)
    for rules in ([LAST], [{"if": None, "token": 6}]):  # also where nothing reads it
        assert answers(held, rules=rules, texts=[[0, 0], [1, 0], [0, 1]]) == [0, BROKEN, BROKEN]


@pytest.mark.parametrize(
    ("number", "is_allowed"),
    [(3, True), ({"over": [1, 2]}, True), (4, False), (-1, False), ({"over": [1, 3]}, False)],
)
def test_an_assumed_range_has_a_unit(number, is_allowed):
    value = {"op": "constant", "value": number}
    held = assumed({"low": 0, "high": 3, "unit": {"over": [1, 2]}, "parts": 1}, of=6)
    assert answers(value, held, rules=[LAST], texts=[[0]]) == [0 if is_allowed else BROKEN]


def test_an_answer_that_is_no_token_is_none():
    other = {"op": "constant", "value": "c"}
    assert answers(other, rules=[{"if": None, "token": 6}], texts=[[0]]) == [BROKEN]


def test_texts_are_computed_in_parts(monkeypatch):
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    texts = np.random.default_rng(0).integers(0, 2, (50, 5))
    made = Meaning.read(statement_of(program)["meaning"], "ab")
    whole = made.answers(texts)
    monkeypatch.setattr("handcraft_check.program.meaning.CELLS_AT_ONCE", 60)
    parts = made.answers(texts)
    assert parts.token.tolist() == whole.token.tolist()


WORDS = """\
vocabulary: 'a', 'b'
v0 = the position
v1 = table of v0: 2: 1, 3: 2, 4: 3, else 0   # 1 back, or the first
v2 = the token
v3 = v2 at the latest position with v0 there == v1   # token.at(-1)
v4 = v3 is 'a'   # token.at(-1) == 'a'
v5 = v2 is 'a'   # token == 'a'
v6 = v0 is not 0   # position >= 1
v7 = v4 + v5 + v6   # (token.at(-1) == 'a') & (token == 'a') & (position >= 1)
v8 = v7 >= 3   # (token.at(-1) == 'a') & (token == 'a') & (position >= 1)
v9 = 'b'
v10 = 'a'
rule 1: predict v9 if v8
rule 2: predict v10 otherwise"""


def test_a_program_in_words():
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    assert str(Meaning.read(statement_of(program)["meaning"], "ab")) == WORDS


@pytest.mark.parametrize("node", [node for node, _ in FINE])
def test_every_op_has_words(node):
    made = read(meaning(node, names={"6": "a\nname"}))
    lines = [line for line in str(made).split("\n") if line.startswith("v6 =")]
    assert all(line.endswith("   # a?name") for line in lines)
    assert len(lines) == (node["op"] == "assumed")  # nothing reads the others


def test_the_hash_of_a_program_leaves_out_names():
    data = meaning(names={"0": "x"})
    other = copy.deepcopy(data)
    other["nodes"][3]["value"] = 4
    assert program_hash({}, data) == program_hash({}, meaning())
    assert (
        len({program_hash({}, data), program_hash({}, other), program_hash({"length": 1}, data)}) == 3
    )


def test_a_hundred_thousand_texts_take_seconds():
    prompts = Prompts("abc", context=10)
    token = prompts.token
    rules = [predict(token).when(token.at(-1, default="a") == token), predict("a").otherwise()]
    made = Meaning.read(statement_of(Program(prompts=prompts, rules=rules))["meaning"], "abc")
    texts = np.random.default_rng(0).integers(0, 3, (100_000, 10))
    begun = time.process_time()
    made.answers(texts)
    assert time.process_time() - begun < 10  # 0.3 s on an idle machine
