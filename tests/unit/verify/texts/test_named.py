"""Which tokens a program looks for."""

from __future__ import annotations

import pytest

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.verify.texts.named import Window, named_by

PROMPTS = Prompts("abcdefgh", context=9)
TOKEN = PROMPTS.token
BACK = [TOKEN.at(-distance, default="a") for distance in range(4)]


def program(flag, prompts=PROMPTS):
    return Program(prompts=prompts, rules=[predict("a").when(flag), predict("b").otherwise()])


def names(flag):
    return "".join("abcdefgh"[token] for token in named_by(program(flag)).tokens)


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        (TOKEN == "c", "c"),
        (TOKEN != "c", "c"),
        (BACK[2] == "d", "d"),
        (select(TOKEN, "e").exists(), "e"),
        (select(TOKEN, "e", "!=").count() == 3, "e"),
        (TOKEN.map({"a": 1, "b": 2}, default=0) == select(TOKEN, TOKEN).count(), "ab"),
        (TOKEN.map({"a": 1, "b": 2}, default=0).at(-1, default=0) >= 1, "ab"),
        (select(TOKEN.map(lambda t: t in "gh"), True).latest(PROMPTS.position, default=0) == 2, "gh"),
        (select(PROMPTS.position, 3).latest(TOKEN, default="a") == "f", "f"),
        (BACK[1] == TOKEN, ""),
        (PROMPTS.position == 3, ""),
    ],
    ids=str,
)
def test_tokens_that_a_condition_names(flag, named):
    assert names(flag) == named


def test_a_node_is_inspected_and_not_its_name():
    assert names((TOKEN == "c").named("token == 'd'")) == "c"
    assert names(TOKEN.named("position") == "c") == "c"


def test_conditions_at_fixed_distances_are_a_window():
    flag = (BACK[0] == "c") & (PROMPTS.position >= 2) & (BACK[2].map(lambda token: token in "ab"))
    assert named_by(program(flag)).windows == (Window(((0, 1), (), (2,))),)


def test_a_pattern_beside_expressions_is_a_window():
    rules = [predict("a").after("cd"), predict(TOKEN).otherwise()]
    assert named_by(Program(prompts=PROMPTS, rules=rules)).windows == (Window(((2,), (3,))),)


def test_patterns_alone_are_windows():
    rules = [predict("b").after("start a[bc]"), predict("a").otherwise()]
    assert named_by(Program("abc", 4, rules)).windows == (Window(((0,), (1, 2)), anchored=True),)


def test_conditions_that_exclude_each_other_are_no_window():
    flag = (BACK[0] == "c") & (BACK[1] == "b") & (BACK[0] == "d")
    assert Window(((1,), (2,))) in named_by(program(flag | (TOKEN == "e"))).windows
    assert all(all(window.classes) for window in named_by(program(flag | (TOKEN == "e"))).windows)


def test_circuits_name_what_their_heads_and_neurons_read():
    for tokens in ("one-hot", "auto"):
        compiled = compile_program(program(select(TOKEN, "e").exists()), tokens=tokens)
        assert 4 in named_by(compiled.circuits).tokens
