"""Tables of flags that take room for the values inside only: they are tables like all others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, Prompts, predict
from handcraft.language.graph.domain import FLAGS, finite
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import Embedded, Lookup
from handcraft.language.graph.wording import reads

LETTERS = "abcdef"
DOMAIN = finite(LETTERS)
INSIDE = st.frozensets(st.sampled_from(LETTERS), min_size=1, max_size=len(LETTERS) - 1)


def rows(inside: frozenset[str]) -> dict[tuple[str, ...], bool]:
    return {(letter,): letter in inside for letter in LETTERS}


def node(table) -> Lookup:
    return Lookup(FLAGS, reads("flag"), (Embedded(DOMAIN, reads("token"), "token"),), table)


@given(one=INSIDE, other=INSIDE)
def test_it_equals_a_dictionary_with_the_same_rows_and_no_other(one, other):
    table = Members(DOMAIN, one)
    assert dict(table) == rows(one)
    assert (table == rows(other)) is (rows(other) == table) is (one == other)
    assert (table == Members(DOMAIN, other)) is (one == other)


@given(one=INSIDE, other=INSIDE)
def test_a_node_is_the_same_whichever_of_both_tables_it_has(one, other):
    assert (node(Members(DOMAIN, one)) == node(rows(other))) is (one == other)
    assert (node(Members(DOMAIN, one)) == node(Members(DOMAIN, other))) is (one == other)


def test_a_value_that_the_argument_never_has_is_in_no_row():
    with pytest.raises(KeyError):
        Members(DOMAIN, frozenset("a"))[("z",)]


def test_a_condition_on_the_token_is_the_literal_of_a_pattern():
    prompts = Prompts(LETTERS, context=3)
    rules = [
        predict("a").after("b"),
        predict("b").when(prompts.token == "b"),
        predict("a").when(prompts.position > 1),
        predict("b").otherwise(),
    ]
    first, second, *_ = Program(prompts=prompts, rules=rules).decisions
    assert first.literals == second.literals
