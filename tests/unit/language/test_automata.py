"""Automata: the state after each token, in Python, by expressions, and in a compiled model."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Automaton, Program, Prompts, compile_program, predict, regex, verify
from handcraft.compiler import compile_sequences
from handcraft.errors import DomainError, HandcraftError, ProgramError

FLIPS = {("even", "0"): "even", ("even", "1"): "odd", ("odd", "0"): "odd", ("odd", "1"): "even"}
PARITY = Automaton(["even", "odd"], "even", ["even"], FLIPS)
THIRDS = Automaton(range(3), 0, [0], {(s, d): (2 * s + int(d)) % 3 for s in range(3) for d in "01"})


def texts(alphabet: str, longest: int):
    for length in range(1, longest + 1):
        yield from map("".join, product(alphabet, repeat=length))


@pytest.mark.parametrize("machine", [PARITY, THIRDS], ids=["parity", "thirds"])
@pytest.mark.parametrize("context", [1, 2, 3, 5, 8])
def test_states_are_those_of_a_run(machine, context):
    token = Prompts("01", context=context).token
    state, accepts = machine.state(token), machine.accepts(token)
    for text in texts("01", min(context, 6)):
        after = tuple(machine.run(text[: i + 1]) for i in range(len(text)))
        assert state.trace(text) == after
        assert accepts.trace(text) == tuple(s in machine.accept for s in after)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize(("context", "blocks"), [(4, 2), (8, 3), (16, 4), (32, 5)])
def test_a_block_for_each_doubling_is_enough(architecture, context, blocks):
    token = Prompts("01", context=context).token
    made = compile_sequences({"state": THIRDS.state(token)}, architecture=architecture)
    assert made.model.shape.n_layer == blocks
    text = "1101001110100101011011100101101"[: context - 1] + "1"
    assert made.apply([text])["state"] == [tuple(THIRDS.run(text[: i + 1]) for i in range(context))]


PATTERNS = ["(ab)*", "a|b", "a*b*", "(a|bb)*", "[^a]b?", ".b.", "a{2,3}", "(?:ab)+a?", "b"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_regular_expression_accepts_what_python_matches(pattern):
    machine = regex(pattern, "ab")
    token = Prompts("ab", context=6).token
    accepts = machine.accepts(token)
    for text in texts("ab", 6):
        meant = tuple(re.fullmatch(pattern, text[: i + 1]) is not None for i in range(len(text)))
        assert accepts.trace(text) == meant


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("[a-c]", "abc"),
        (r"\d", "0123456789"),
        ("a{2,3}", "a"),
        ("(ab)*", "ab"),
        ("b|a", "ab"),
        ("[^a]b", "ab"),
        (r"\D", "0123456789"),
        (r"[\d\D]", "0123456789"),
        ("(?i)k", "Kk"),
        ("[^b-d]|.", "bcd"),
        (r"(\(\)|\.)+", "()."),
        ("[é7]?", "7é"),
    ],
)
def test_without_an_alphabet_it_reads_what_the_pattern_names(pattern, named):
    assert regex(pattern).alphabet == tuple(named)


def test_a_class_that_is_all_of_the_alphabet_needs_no_other():
    token = Prompts("abc", context=4).token
    assert regex("[a-c]{2}").accepts(token).trace("cabb") == (False, True, False, False)


@pytest.mark.parametrize("pattern", [".", ".*", "", "()"])
def test_a_pattern_that_names_no_character_needs_an_alphabet(pattern):
    with pytest.raises(ProgramError, match="names no character") as caught:
        regex(pattern)
    assert "alphabet=" in caught.value.fix
    assert "test_automata.py" in str(caught.value.where)
    assert regex(pattern, "ab").alphabet == ("a", "b")


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("ba++", "has a possessive quantifier at character 2"),
        ("b(?>a)", "has an atomic group at character 1"),
        ("(?<=a)(?<!ab)b", "has a lookbehind of other than one character at character 6"),
        ("(a|b){2000}", "takes more than 1,000 states"),
        (r"((a|b)*)\1", "takes more than 1,000 states"),
    ],
)
def test_what_no_automaton_decides_is_refused(pattern, says):
    with pytest.raises(ProgramError, match=says) as caught:
        regex(pattern, "ab")
    assert "test_automata.py" in str(caught.value.where)


def test_states_that_accept_the_same_are_one():
    assert len(regex("aab|bab|(a|b)ab").states) == len(regex("[ab]ab").states) == 5
    assert len(regex("(?!b)[ab]*", "ab").states) == 3


def test_digits_of_every_script_are_digits_where_they_are_tokens():
    machine = regex(r"\d+", "1٣x")
    assert machine.run("1٣") in machine.accept
    assert machine.run("1x") not in machine.accept


@settings(max_examples=sweep(80))
@given(st.data())
def test_random_automata_run_as_their_tables_say(data):
    states = range(data.draw(st.integers(1, 3)))
    table = {(s, t): data.draw(st.sampled_from(states)) for s in states for t in "ab"}
    machine = Automaton(states, 0, [0], table)
    token = Prompts("ab", context=5).token
    made = compile_sequences({"state": machine.state(token)})
    text = data.draw(st.text("ab", min_size=1, max_size=5))
    assert made.apply([text])["state"] == [tuple(machine.run(text[: i + 1]) for i in range(len(text)))]


def test_a_program_that_writes_its_state_needs_one_step():
    """Bits and states take turns: a bit is read, and the state after it is written."""
    prompts = Prompts("01eo", context=9, inputs="([01][eo])*[01]")
    token = prompts.token
    table = {(s, t): (s if t == "0" else "eo"[s == "e"]) for s in "eo" for t in "01"}
    machine = Automaton("eo", "e", "e", table)
    before = token.at(-1, default="e").map({"e": "e", "o": "o", "0": "e", "1": "e"})
    bit = token.map({"0": "0", "1": "1", "e": "0", "o": "0"})
    stepped = machine.step(before, bit)
    program = Program(prompts=prompts, rules=[predict(stepped).otherwise()])
    compiled = compile_program(program, architecture="block")
    assert len(compiled.circuits.blocks) <= 2
    assert verify(compiled.model, program).passed
    assert compiled.complete("1", n=1) == "o"
    assert compiled.complete("1o1", n=1) == "e"


def test_an_automaton_reads_any_category():
    prompts = Prompts("abc", context=4)
    bits = prompts.token.map({"a": "0", "b": "1", "c": "1"})
    assert PARITY.state(bits).trace("abc") == ("even", "odd", "even")


def test_rules_ask_whether_it_accepts():
    prompts = Prompts("ab", context=6)
    balanced = regex("(ab)*").accepts(prompts.token)
    program = Program(prompts=prompts, rules=[predict("a").when(balanced), predict("b").otherwise()])
    assert compile_program(program).complete("ab", n=4) == "abab"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((["e", "o"], "e", ["e"], {("e", "1"): "o"}), "no transition for ('o', '1')"),
        (
            (["e", "o"], "e", ["e"], [("e", "1", "o"), ("e", "1", "e"), ("o", "1", "e")]),
            "in state 'e' the token '1' leads to 'o' and to 'e'",
        ),
        ((["e", "e"], "e", ["e"], {("e", "1"): "e"}), "state 'e' is listed twice"),
        (([], "e", [], {}), "an automaton has no states"),
        ((["e"], "x", ["e"], {("e", "1"): "e"}), "no state 'x'"),
        ((["e"], "e", ["y"], {("e", "1"): "e"}), "no state 'y'"),
        ((["e"], "e", ["e"], {("e", "1"): "z"}), "no state 'z'"),
        ((["e"], "e", ["e"], {}), "no transitions"),
        ((["e"], "e", ["e"], {"e": "e"}), "the wrong form"),
        ((["e"], "e", ["e"], 7), "the wrong form"),
    ],
)
def test_what_is_no_automaton_is_refused_with_its_place(arguments, says):
    with pytest.raises(HandcraftError) as caught:
        Automaton(*arguments)
    problems = getattr(caught.value, "problems", (caught.value,))
    assert any(says in problem.what for problem in problems)
    assert all("test_automata.py" in str(problem.where) for problem in problems)
    assert all(problem.fix for problem in problems)


@pytest.mark.parametrize(
    ("pattern", "at"),
    [("(ab", 0), ("[ab", 0), ("a**", 2), ("ab)", 2), ("a{2,1}", 2), ("*a", 0), ("[c-a]", 1),
     ("a(?i)", 1), (r"\1", 1)],
)  # fmt: skip
def test_what_is_no_regular_expression_says_from_where(pattern, at):
    with pytest.raises(ProgramError, match=f"at character {at}:") as caught:
        regex(pattern)
    assert "test_automata.py" in str(caught.value.where)


def test_an_alphabet_other_than_the_vocabulary_is_refused():
    token = Prompts("abc", context=4).token
    with pytest.raises(DomainError, match=r"outside the alphabet of .* such as 'c'") as caught:
        regex("(ab)*").state(token)
    assert "test_automata.py" in str(caught.value.where)
    regex("(ab)*", "abc").state(token)


def test_states_other_than_its_own_are_refused():
    prompts = Prompts("01x", context=4)
    with pytest.raises(DomainError, match="outside the states"):
        PARITY.step(prompts.token, prompts.token.assume("01"))
    with pytest.raises(DomainError, match="outside the alphabet"):
        PARITY.state(prompts.position)
    with pytest.raises(DomainError, match="outside the alphabet"):
        PARITY.state(prompts.token == "0")


def test_too_many_maps_say_how_many():
    """Seven states that a and b permute: they make all 5,040 permutations."""
    table = {(s, "a"): (s + 1) % 7 for s in range(7)}
    table |= {(s, "b"): {0: 1, 1: 0}.get(s, s) for s in range(7)}
    machine = Automaton(range(7), 0, [0], table)
    with pytest.raises(DomainError, match=r"tokens can do .* different things") as caught:
        machine.state(Prompts("ab", context=64).token)
    assert ".step(state, token)" in caught.value.fix
