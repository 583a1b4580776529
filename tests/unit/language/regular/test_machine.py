"""Automata and Python's `re.fullmatch` agree on every text, whatever the expression and the letters."""

# ruff: noqa: RUF001 - letters that look like others are what this is about
from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Prompts
from handcraft.language.regular import DEAD, Letters, Machine, RegularExpressionError, machine
from handcraft.language.regular.matching import Matching
from handcraft.vocabulary import Vocabulary

ODD = "0aKkſsSßİiıIéÉ٣½Σσςµμ̈\u200d_ -^$.]\\\n\r\x1c𝒜𐐀𐐨𝟘"
"""Digits, letters and blanks of several scripts; cases that fold in threes; combining and astral."""

FLAGS = ["", "(?i)", "(?a)", "(?s)", "(?m)", "(?ai)", "(?ims)"]


def letters() -> st.SearchStrategy[str]:
    return st.sampled_from(ODD).map(re.escape)


def classes() -> st.SearchStrategy[str]:
    ranges = st.tuples(st.sampled_from(ODD), st.sampled_from(ODD)).map(
        lambda ends: "-".join(map(re.escape, sorted(ends)))
    )
    parts = st.one_of(letters(), ranges, st.sampled_from([r"\w", r"\d", r"\S", r"\W"]))
    inside = st.lists(parts, min_size=1, max_size=3).map("".join)
    return st.tuples(st.sampled_from(["", "^"]), inside).map("[{0[0]}{0[1]}]".format)


def leaves() -> st.SearchStrategy[str]:
    signs = [r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", ".", "^", "$", r"\A", r"\Z", r"\b", "(?:)"]
    return st.one_of(letters(), classes(), st.sampled_from(signs))


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions of smaller ones."""
    times = ["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "??", "{1,2}?"]
    groups = ["(?:{})", "({})", "(?i:{})", "(?-i:{})", "(?={})", "(?!{})", "(?:{}|)"]
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(times)).map("(?:{0[0]}){0[1]}".format),
        st.tuples(st.sampled_from(groups), inner).map(lambda pair: pair[0].format(pair[1])),
    )


def expressions() -> st.SearchStrategy[str]:
    inside = st.recursive(leaves(), wrapped, max_leaves=6)
    return st.tuples(st.sampled_from(FLAGS), inside).map("".join)


def vocabularies() -> st.SearchStrategy[Vocabulary]:
    characters = st.lists(st.sampled_from(ODD), min_size=1, max_size=3, unique=True)
    sign = st.sampled_from([sign for sign in ODD if not sign.isspace()])
    words = st.lists(st.text(sign, min_size=1, max_size=3), min_size=2, max_size=3, unique=True)
    return st.one_of(characters, words).map(Vocabulary)


def assert_as_python(pattern: str, vocabulary: Vocabulary, longest: int) -> None:
    """All who ask which texts are allowed hear what `re.fullmatch` says."""
    prompts = Prompts(vocabulary, longest, inputs=pattern)
    found = Matching(pattern, vocabulary, longest)
    meant = []
    for length in range(1, longest + 1):
        rows = list(product(range(len(vocabulary)), repeat=length))
        allowed = [re.fullmatch(pattern, vocabulary.text(row)) is not None for row in rows]
        meant += [row for row, is_allowed in zip(rows, allowed, strict=True) if is_allowed]
        assert prompts.allowed(np.array(rows)).tolist() == allowed
        tokens = [[vocabulary.token(place) for place in row] for row in rows]
        assert [prompts.allows(each) for each in tokens] == allowed
        assert found.count_of(length) == sum(allowed)
    assert [tuple(row) for rows in found for row in rows.tolist()] == meant
    assert {tuple(row) for rows in found.draw(9) for row in rows.tolist()} <= set(meant)


@given(expressions(), vocabularies())
@example(r"\w{2}", Vocabulary("0é"))
@example("(?i)[a-z]+", Vocabulary("Kſı"))
@example("(?i)ß|İ|σ|µ", Vocabulary("ßİiςμ"))
@example(r"(?i)[^\W\d]\d", Vocabulary("K٣½"))
@example(r"a$\n?", Vocabulary(["a", "\n"]))
@example(r"(?m)a$\n^b", Vocabulary(["a", "\n", "b"]))
@example(r"\ba\b.?", Vocabulary(["a", "é", " "]))
@example(r"[\^\-\]]\^", Vocabulary("^-]"))
@example(r"\u0061{,2}", Vocabulary("ab"))
@example("a a", Vocabulary(["a", "aa"]))
@example("𐐀|(?i:𐐀)𐐀", Vocabulary("𐐀𐐨"))
def test_automata_and_python_agree_on_every_text(pattern, vocabulary):
    assert_as_python(pattern, vocabulary, 3)


AGAIN = [
    r"(a|b)\1", r"(.)(.)\2\1", r"(?P<x>a?)b(?P=x)", r"(?i)(k)\1", r"(?:(a)|b)*\1", r"(a)?(?(1)b|c)",
    r"(?!.*(.)\1).*", r"(([abc])(?!.*\2))*", r"(?:(a|b)c\1)+", r"(?=(a|b).\1).*", r"(ab?)\1c?",
]  # fmt: skip


@pytest.mark.parametrize("pattern", AGAIN)
def test_a_group_is_said_again_as_python_says_it(pattern):
    assert_as_python(pattern, Vocabulary("abcKk"), 4)


@pytest.mark.parametrize(
    "pattern", ["(?<=a)b|a", "a(?<!b)b*", "(?<!a)b(?<=b)", "(?:(?<!b)b|a)*", r"(?i)k(?<=K)"]
)
def test_a_look_behind_of_one_letter_is_as_python_says(pattern):
    assert_as_python(pattern, Vocabulary("abKk"), 4)


@given(st.data())
def test_one_character_is_in_a_class_where_python_says_so(data):
    """Over all of Unicode: the letters are drawn from everywhere, not from those that look odd."""
    text = "".join(sorted(set(data.draw(st.text(max_size=8))) | set("Kaİ")))
    ends = data.draw(st.tuples(st.sampled_from(text), st.sampled_from(text)))
    inside = data.draw(st.sampled_from(["{0}-{1}", "^{0}-{1}", r"\w{0}", r"^\s{0}", r"\D{0}{1}"]))
    flags = data.draw(st.sampled_from(FLAGS))
    first, last = map(re.escape, sorted(ends))
    pattern = f"{flags}[{inside.format(first, last)}]"
    machine = Machine(pattern, Letters(text))
    for letter in text:
        found = machine.is_final(machine.after(machine.start, letter))
        assert found == (re.fullmatch(pattern, letter) is not None)


def test_letters_that_ignore_case_are_those_that_python_says():
    """For every character that has a case, and those that fold to it."""
    cased = "".join(c for c in map(chr, range(0x1E944)) if c.lower() != c or c.upper() != c)
    known = Letters(cased)
    for letter in "KkſsİıIiΣςµßẞǅΐΰᲀꙋÅ𐐀":
        places = known.places_of(known.matched(re.escape(letter), re.IGNORECASE))
        found = [known.text[place] for place in places]
        assert found == [c for c in cased if re.fullmatch(re.escape(letter), c, re.IGNORECASE)]


def test_what_leads_nowhere_is_dead():
    machine = Machine("ab", Letters("ab"))
    assert machine.after(machine.start, "b") == machine.after(DEAD, "a") == DEAD
    assert not machine.is_final(DEAD)


def test_states_are_as_many_as_there_are_things_to_remember():
    """Eight of nine digits, none twice: any set of them, and the first."""
    table = Matching(r"(([1-9])(?!.*\2)){1,8}", Vocabulary("123456789"), 9).table
    assert len(table) == 2**9 + 1 - 10
    assert len(Matching("[a-d]{500}", Vocabulary("abcd"), 8).table) == 1


HOSTILE = {
    "nested stars": "(a*)*b",
    "choices that overlap": "(?:a|aa)+$",
    "plus in plus": "(x+x+)+y",
    "stars in stars": "(" * 90 + "a" + ")*" * 90,
    "a square of repetitions": "(a{1000}){1000}",
    "many optional letters": "(a?b?){2000}",
    "optional repetitions in repetitions": "(?:" * 90 + "a" + "){0,1000}" * 90,
    "a letter far from the end": "[ab]*a[ab]{40}",
    "a letter very far from the end": ".*a.{20000}",
    "lookaheads that remember": "(?=[ab]*a[ab]{15}$)" * 20 + ".*",
    "a text nowhere again": r"(?!.*(.+)\1).*",
    "a text again and again": "".join(rf"(.*)\{n}*" for n in range(1, 4)),
    "groups in groups": "(" * 5_000 + ")" * 5_000,
    "unfinished classes": "[" * 90_000,
    "more than can be counted": "a{99999999999999999999}",
    "wide ranges": "".join(f"[\0-{chr(65_535 - i)}]" for i in range(15_000)),
    "wide ranges that ignore case": "(?i)" + "".join(f"[\0-{chr(65_535 - i)}]" for i in range(15_000)),
    "all that ignores case": "(?i)[\0-\U0010ffff]+",
    "long choices": "|".join("a" * i for i in range(250)),
    "a million characters": "a" * 1_000_000,
}


@pytest.fixture
def low_limits(monkeypatch):
    """What an automaton may take, a quarter of it where a run is no deep one."""
    for name in ("REGEX_STEPS", "REGEX_STATES"):
        limit = getattr(machine, name)
        monkeypatch.setattr(machine, name, replace(limit, most=sweep(limit.most)))


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("pattern", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_expression_takes_long(pattern):
    """What is answered in time is answered; anything else is an error that says by how much."""
    texts = Matching(pattern, Vocabulary(["a", "b", "x", "\n"]), 200)
    problem = None
    try:
        assert texts.table.matches(np.array([[0] * 200])).shape == (1, 200)
    except RegularExpressionError as error:
        problem = error
    if problem is not None:
        assert problem.fix
        assert re.search(r"\d|more often than Python", problem.what)
        assert len(str(problem)) < 400


@pytest.mark.usefixtures("low_limits")
def test_what_only_longer_texts_need_is_not_made():
    with pytest.raises(RegularExpressionError, match="takes more than"):
        _ = Matching(r"((a|b)*)\1", Vocabulary("ab"), 100).table
    assert len(Matching(r"((a|b)*)\1", Vocabulary("ab"), 8).table) < 200
