"""The text of a program after each pass: one small program for each, in tests/golden."""

from __future__ import annotations

from dataclasses import replace

import pytest
from short_texts import setting_of

from handcraft import Program, Prompts, predict, select
from handcraft.compiler.passes.run_passes import AS_WRITTEN, PASSES
from handcraft.compiler.text.read_graph import GraphSyntaxError, read_graph
from handcraft.compiler.text.show_pass import RANKED, SPLIT, show_pass
from handcraft.compiler.text.write_graph import write_graph
from handcraft.errors import CompileError

PROMPTS = Prompts("abc", context=6)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position

BEFORE = TOKEN.at(-1, default="a").named("before")

WORDS = Prompts([f"w{i}" for i in range(6)], context=4).token
INDUCED = select(WORDS.at(-1, default="w0"), WORDS).latest(WORDS, default="w5")

DIGITS = Prompts("012", context=4, inputs="[0-2]{3,4}")
DIGIT = DIGITS.token.map(int).named("digit")
APART = (DIGIT - DIGIT.at(-1, default=0) + 5 * DIGIT.at(-2, default=0)).assume([-1, 0, 9])

SMALL = {
    AS_WRITTEN: {
        "again": select(BEFORE, TOKEN).latest(TOKEN, default="b"),
        "until b": (2 * select(TOKEN, "b", lambda key, _: key < "c").mean(POSITION, default=0)).named(
            "m"
        ),
    },
    RANKED: Program(
        prompts=PROMPTS,
        rules=[
            predict("b").after("aa").when(POSITION > 2),
            predict(BEFORE).after("a"),
            predict("a").when(TOKEN == "b"),
            predict("c").otherwise(),
        ],
    ),
    "fold and share": {
        "never": ~(POSITION < 2) & (POSITION < 2),
        "late": ~(POSITION < 2),
        "sum": (POSITION + 1) * 2 + POSITION,
    },
    "lower aggregates": {
        "count": select(TOKEN, TOKEN).count().named("count"),
        "last c": select(TOKEN, "c").latest(POSITION, default=-1),
    },
    SPLIT: Program(
        prompts=WORDS.prompts,
        rules=[predict(INDUCED).otherwise()],
    ),
    "approximate": Program(
        prompts=DIGITS, rules=[predict((((APART > 4) + DIGIT) % 3).map(str)).otherwise()]
    ),
    "fuse tables": {"answer": ~(POSITION < 2) & (select(TOKEN, "a").count() >= 2)},
}


@pytest.mark.parametrize("name", SMALL)
def test_the_text_after_a_pass(name, golden):
    text = show_pass(SMALL[name], name)
    golden(text, f"after_{name.replace(' ', '_')}.txt")
    assert read_graph(write_graph(read_graph(text))) == read_graph(text)


def test_an_answer_that_is_no_number_has_another_pass_to_show():
    with pytest.raises(CompileError, match="always predict") as caught:
        show_pass(SMALL[RANKED], "approximate")
    assert caught.value.fix.startswith("show another pass: as written, fold and share")


def test_every_pass_has_a_text():
    assert set(SMALL) == {AS_WRITTEN, RANKED, SPLIT, *PASSES}


def test_a_pass_is_shown_where_a_later_one_refuses_the_program(monkeypatch):
    def refuse(*_):
        raise CompileError("too much", fix="ask for less")

    monkeypatch.setitem(PASSES, "fuse tables", replace(PASSES["fuse tables"], run=refuse))
    assert "attend latest" in show_pass({"it": BEFORE}, "lower aggregates")
    with pytest.raises(CompileError, match="too much"):
        show_pass({"it": BEFORE}, "fuse tables")


def test_a_pass_may_leave_no_node_that_its_contract_does_not_name():
    careless = replace(PASSES["lower aggregates"], run=lambda nodes, _: list(nodes))
    assert careless([TOKEN.node], setting_of(PROMPTS)) == [TOKEN.node]
    with pytest.raises(TypeError, match="'lower aggregates' leaves Aggregate"):
        careless([BEFORE.node], setting_of(PROMPTS))


@pytest.mark.parametrize("answer", [DIGIT * 0 + 2, DIGITS.position % 3, 2 - DIGITS.position % 2])
def test_an_answer_that_depends_on_no_token_is_a_number_too(answer):
    text = show_pass({"it": answer.map(str)}, "approximate")
    assert "nearest" in text.splitlines()[-2]


WRONG = {
    "%1 = token : {'a'}\n'x' = %2": "no line above defines %2",
    "%1 = token : {'a'}\n%1 = token : {'a'}": "%1 is listed twice",
    "%1 = token : {'a'} {": "line 1 of the graph cannot continue with '{'",
    "%1 = token :": "line 1 of the graph cannot continue with its end",
    "%1 = token : {'a', 1}": "the domain has values of 2 kinds",
    "%1 = constant <'Color.RED'> : {'a'}": "Color.RED is a Python object",
    "%1 = token : {'a'}\n%2 = table %1, %1 {'a': 1} : {1}": "'a' is not a row of a table of 2 nodes",
    "%1 = sum 1/2 : 0 to 1\n%2 = table %1 {else 1} : {1}": "`else` stands for rows that cannot be",
    "%1 = steps 0 [same >= 1 gap 1] 1 : {0, 1}": "the first step has no step before it",
    "%1 = constant 1/0 : {0}": "line 1 of the graph cannot continue with '/0'",
}


@pytest.mark.parametrize(("text", "what"), WRONG.items())
def test_text_that_is_no_graph_says_what_is_wrong_where_and_the_fix(text, what):
    with pytest.raises(GraphSyntaxError) as caught:
        read_graph(text)
    assert caught.value.what.startswith(what)
    assert caught.value.where
    assert caught.value.fix
