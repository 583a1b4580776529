"""Long chains: every operator thousands deep is built, shown, run and compiled, or refused in words."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft import (
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    parse_rules,
    predict,
    select,
    where,
    window,
)
from handcraft.compiler.passes.run_passes import PASSES, run_passes
from handcraft.errors import HandcraftError, LimitError
from handcraft.language import write_rules
from handcraft.language.graph.domain import Finite
from handcraft.language.graph.wording import LONGEST
from handcraft.limits import DEPTH

PROMPTS = Prompts("ab", context=8)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position

LINKS = {
    "token": [
        lambda x: x.at(-1, default="a"),
        lambda x: x.map({"a": "b", "b": "a"}),
        lambda x: where(x == "a", x, "b"),
        lambda x: select(x, x).latest(x),
        lambda x: x.named("x"),
    ],
    "flag": [
        lambda x: ~x,
        lambda x: x & (TOKEN == "a"),
        lambda x: x | (POSITION > 2),
        lambda x: x & x,
        lambda x: select(TOKEN, x.map({True: "a", False: "b"})).exists(),
        lambda x: x.at(-1, default=False),
    ],
    "number": [
        lambda x: x + 1,
        lambda x: x + x,
        lambda x: -x,
        lambda x: (x + 1) % 8,
        lambda x: 2 * x - x,
        lambda x: where(TOKEN == "a", x, 0),
        lambda x: window(2).mean(x),
        lambda x: select(POSITION, x % 8).count(),
        lambda x: x.assume(x.domain.values) if isinstance(x.domain, Finite) else x,
    ],
}
STARTS = {"token": TOKEN, "flag": TOKEN == "a", "number": POSITION}


def chain(kind: str, links: list, length: int):
    made = STARTS[kind]
    for i in range(length):
        made = links[i % len(links)](made)
    return made


@st.composite
def chains(draw, length: int):
    kind = draw(st.sampled_from(sorted(LINKS)))
    links = draw(st.lists(st.sampled_from(LINKS[kind]), min_size=1, max_size=4))
    return kind, links, length


def attempt(make):
    """What is made, or the error in three parts that refuses it."""
    try:
        return make()
    except HandcraftError as error:
        return error


def assert_refused(error: HandcraftError) -> None:
    assert error.fix
    assert len(str(error)) < 4 * LONGEST


@settings(max_examples=4, deadline=None)
@given(chains(1_000))
def test_a_long_chain_is_shown_and_run_or_refused(drawn):
    made = attempt(lambda: chain(*drawn))
    if isinstance(made, HandcraftError):
        assert_refused(made)
        return
    assert len(str(made)) <= LONGEST
    assert len(repr(made.node)) <= LONGEST + 20
    assert all(value in made.domain for value in made.trace("abab"))


@pytest.mark.parametrize(("kind", "link"), [("flag", 0), ("number", 0), ("number", 3)])
def test_a_long_chain_compiles(kind, link):
    made = chain(kind, [LINKS[kind][link]], 300)
    assert compile_sequences({"value": made}).apply(["abab"])["value"] == [made.trace("abab")]


def test_a_long_chain_that_needs_a_block_for_each_link_is_refused():
    made = chain("token", [LINKS["token"][0]], 300)
    with pytest.raises(LimitError, match="300 blocks") as caught:
        compile_sequences({"value": made})
    assert_refused(caught.value)


@pytest.mark.parametrize(
    "condition",
    [
        "not " * 500 + "token is a",
        "(" * 500 + "token is a" + ")" * 500,
        "not (" * 500 + "token is a" + ")" * 500,
        " and ".join(["token is a"] * 500),
    ],
)
def test_conditions_nest_as_deep_as_they_are_written(condition):
    text = f"vocabulary a b\ncontext 5\npredict b when {condition}\npredict a otherwise\n"
    program = parse_rules(text)
    assert program.trace("abab") == ("b", "a", "b", "a")
    assert parse_rules(write_rules(program)).trace("abab") == ("b", "a", "b", "a")


def with_frames(count: int, make):
    """What is made where so many functions wait for it already."""
    return make() if count == 0 else with_frames(count - 1, make)


READERS = {
    "token": [
        lambda x: x.at(-1, default="a").map({"a": "b", "b": "a"}),
        lambda x: select(x, x).latest(x),
    ],
    "number": [lambda x: x.at(-1, default=0)],
}
"""Links of which each takes one block, whose heads read what the heads of the last have brought."""


@pytest.mark.parametrize(("kind", "link"), [("token", 0), ("token", 1), ("number", 0)])
def test_as_many_blocks_as_there_may_be_compile_where_many_functions_wait(kind, link):
    prompts = Prompts("ab", context=8)
    start = {"token": prompts.token, "number": prompts.position}[kind]
    made = reduce(lambda x, _: READERS[kind][link](x), range(DEPTH.most), start)
    found = with_frames(300, lambda: compile_sequences({"value": made}))
    assert found.apply(["ab"])["value"] == [made.trace("ab")]


def test_a_chain_of_too_many_blocks_is_refused_before_any_pass(monkeypatch):
    never = dict.fromkeys(PASSES, lambda nodes, setting: pytest.fail("a pass ran"))
    monkeypatch.setitem(run_passes.__globals__, "PASSES", never)
    made = chain("token", [LINKS["token"][0]], 2 * DEPTH.most + 1)
    with pytest.raises(LimitError, match="257 blocks, one after the other; the limit is 128"):
        compile_sequences({"before": made.prompts.position, "value": made})


def digits_of(prompts):
    return prompts.token.map({token: int(token) for token in prompts.vocabulary.tokens})


@pytest.mark.parametrize("length", [20, 200])
def test_a_long_chain_is_optimized_or_compiled_as_it_is(length):
    prompts = Prompts("012", context=3)
    digits = digits_of(prompts)
    added = reduce(lambda x, _: (x + digits.at(-1, default=0)) % 3, range(length), digits)
    program = Program(
        prompts=prompts, rules=[predict(added.map({i: str(i) for i in range(3)})).otherwise()]
    )
    compiled = with_frames(
        300, lambda: compile_program(program, architecture="block", optimize=["ordinal"])
    )
    assert compiled.passes
    for text in ([0], [1, 2], [2, 1, 2]):
        assert compiled.model.forward([text])[0, -1].argmax() == program.next_token(text)


@pytest.mark.parametrize("orders", [2, 30])
def test_orders_of_pairs_in_one_selection_are_counted_or_refused(orders):
    prompts = Prompts("ab", context=32)
    tokens = [prompts.token.map({"a": 0, "b": 100 + i}) + prompts.position for i in range(orders)]
    selection = reduce(lambda one, other: one & other, [select(key, key, "<=") for key in tokens])
    found = attempt(lambda: with_frames(300, lambda: compile_sequences({"n": selection.count()})))
    if isinstance(found, HandcraftError):
        assert_refused(found)
        assert "conditions in a selection; the limit is 4,096" in found.what
        assert orders == 30
    else:
        assert found.apply(["abab"])["n"] == [selection.count().trace("abab")]


def test_names_and_chains_too_long_for_a_box_are_drawn_with_their_beginning():
    long = "n" * 10_000
    token = TOKEN.named(long)
    compiled = compile_sequences(
        {
            long: select(token, token).count().named(long),
            "deep": chain("number", LINKS["number"][3:4], 200),
        }
    )
    drawn = compiled.draw().svg
    assert "nnn" in drawn
    assert "n" * 100 not in drawn
    assert max(map(len, drawn.splitlines())) < 2_000
