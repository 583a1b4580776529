"""The latest or the earliest source with another key: no head tests the inequality."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from short_texts import assert_same, setting_of
from sweeps import sweep

from handcraft import Expression, Program, Prompts, compile_program, predict, select
from handcraft.compiler.features.scores import score_terms
from handcraft.compiler.passes.aggregates import unequal
from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.aggregates.unequal import is_inequality
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Attend
from handcraft.errors import CompileError
from handcraft.language.graph.node import Match, Node, walk
from handcraft.testing import assert_agreement

TURNED = {"a": "b", "b": "c", "c": "c"}

KEYS = {"the token": lambda t: t, "two kinds": lambda t: t.map(TURNED)}
QUERIES = {
    "the token": lambda t: t,
    "one back": lambda t: t.at(-1, default="b"),
    "the first": lambda t: t.at(-2, default="c").map(TURNED),
}
OTHERS = {
    "all": lambda t, i: [],
    "no a": lambda t, i: [select(t, "a", "!=")],
    "c": lambda t, i: [select(t, "c")],
    "earlier": lambda t, i: [select(i, i, "<")],
    "two back": lambda t, i: [select(i, i - 2, "<=")],
    "no b, earlier": lambda t, i: [select(t, "b", "!="), select(i, i, "<")],
}
LEARNT = {
    "exists": lambda s, t: s.exists(),
    "latest": lambda s, t: s.latest(t, default="a"),
    "earliest": lambda s, t: s.earliest(t.map(TURNED), default="b"),
    "latest of a number": lambda s, t: s.latest(t.prompts.position, default=9),
}


@pytest.fixture
def two_are_many(monkeypatch):
    """Two keys are enough, and of the tokens no pairs are listed."""
    monkeypatch.setattr(unequal, "KEYS_FROM", 2)
    monkeypatch.setattr(unequal, "TABLE_UP_TO", 4)


def lowered(*expressions: Expression) -> list[Node]:
    prompts = expressions[0].prompts
    nodes = rebuild([expression.node for expression in expressions])
    return lower_aggregates(nodes, replace(setting_of(prompts), in_bits=True))


def conditions(*roots: Node) -> list[Match]:
    """All conditions of heads."""
    return [match for node in walk(*roots) if isinstance(node, Attend) for match in node.case]


@pytest.mark.usefixtures("two_are_many")
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@settings(max_examples=sweep(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_source_with_another_key_is_one_of_two(causal, data):
    prompts = Prompts("abc", context=4, causal=causal)
    token, position = prompts.token, prompts.position
    key, query, others, learn = (
        data.draw(st.sampled_from(sorted(names))) for names in (KEYS, QUERIES, OTHERS, LEARNT)
    )
    chosen = select(KEYS[key](token), QUERIES[query](token), "!=")
    for other in OTHERS[others](token, position):
        chosen &= other
    expression = LEARNT[learn](chosen, token)
    found = lowered(expression)
    assert_same(prompts, [expression.node], found)
    assert not any(map(is_inequality, conditions(*found)))


@pytest.mark.usefixtures("two_are_many")
@pytest.mark.parametrize(
    "choose",
    [
        lambda t, i: select(t, t, "!=") & select(t, t.at(-1, default="a")),
        lambda t, i: select(t, t, "!=") & select(i, i - 1, ">="),
        lambda t, i: select(t, t, "!=") & select(t, t.at(-1, default="a"), "!="),
        lambda t, i: select(t, t, "!=") | select(i, i),
    ],
    ids=["another query", "from some position on", "two inequalities", "one or the other"],
)
def test_where_more_depends_on_the_query_the_score_tests_it(choose):
    prompts = Prompts("abc", context=4)
    expression = choose(prompts.token, prompts.position).latest(prompts.token, default="a")
    found = lowered(expression)
    assert_same(prompts, [expression.node], found)


def words_program(count: int, *more) -> Program:
    """The latest word that is not the last one, of so many words."""
    prompts = Prompts([f"w{n}" for n in range(count)], context=6)
    chosen = select(prompts.token, prompts.token, "!=")
    for choose in more:
        chosen &= choose(prompts)
    answer = chosen.latest(prompts.token, default="w0")
    return Program(prompts=prompts, rules=[predict(answer).otherwise()])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_another_word_among_many_takes_bits_and_not_a_channel_for_each(dtype):
    made = compile_program(words_program(100), dtype=dtype)
    assert made.model.shape.n_embd <= 120
    assert_agreement(made, every_up_to=60, sample=60)


def test_what_cannot_be_selected_among_many_words_says_what_could(monkeypatch):
    def same_as_before(prompts):
        return select(prompts.token, prompts.token.at(-1, default="w0"))

    refused = words_program(24, same_as_before)
    monkeypatch.setattr(score_terms, "ROWS_UP_TO", 20)
    with pytest.raises(CompileError, match="takes 24 channels") as error:
        compile_program(refused)
    monkeypatch.undo()
    assert "with other conditions that depend on the source alone" in str(error.value)
    compile_program(words_program(24, lambda prompts: select(prompts.token, "w3", "!=")))
