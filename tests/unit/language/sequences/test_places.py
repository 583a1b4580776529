"""Where expressions and their errors say that they were written."""

from __future__ import annotations

import inspect

import pytest

from handcraft import Prompts, lookup, select, weighted, where, window
from handcraft.errors import DomainError, ProgramError
from handcraft.language.written.written_place import written_at
from handcraft.origin import Place

PROMPTS = Prompts("ab", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
FLAG = TOKEN == "a"


def here() -> int:
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.parametrize(
    "write",
    [
        lambda: POSITION + 1,
        lambda: 1 + POSITION,
        lambda: -POSITION,
        lambda: ~FLAG,
        lambda: FLAG & FLAG,
        lambda: POSITION >= 2,
        lambda: TOKEN.map({"a": 1, "b": 2}),
        lambda: TOKEN.assume("a"),
        lambda: TOKEN.at(-1, default="a"),
        lambda: TOKEN.at_position(0),
        lambda: where(FLAG, 1, 2),
        lambda: lookup(max, POSITION, 1),
        lambda: window(2).mean(POSITION),
        lambda: weighted(POSITION, {0: 1, -1: 1}),
        lambda: select(TOKEN, TOKEN).count(),
        lambda: select(TOKEN, "a").latest(TOKEN, default="a"),
    ],
)
def test_an_expression_knows_the_line_that_made_it(write):
    place = write().node.place
    assert place.file == __file__
    assert place.line == write.__code__.co_firstlineno
    assert write().node.origin.place == place


def test_the_innermost_line_of_the_user_counts():
    def later(expression):
        return expression + 1

    assert later(POSITION).node.place.line == later.__code__.co_firstlineno + 1


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda: TOKEN + 1, "token + 1"),
        (lambda: TOKEN.at(-1), "token.at(-1)"),
        (lambda: select(TOKEN, "x"), "select(token, 'x')"),
        (lambda: where(POSITION, 1, 2), "where(position, 1, 2)"),
        (lambda: lookup(max, POSITION, TOKEN), "lookup(max, position, token)"),
        (lambda: window(2).mean(TOKEN), "window(2).mean(token)"),
        (lambda: TOKEN.map({"a": 1}), "token.map({'a': 1})"),
    ],
)
def test_an_error_gives_line_column_and_text(write, text):
    with pytest.raises(DomainError) as caught:
        write()
    place, _, said = caught.value.where.partition(", ")
    assert said == text
    assert place.rpartition(":")[0].endswith(f"test_places.py:{write.__code__.co_firstlineno}")


def test_two_prompts_are_distinguished_by_the_lines_that_made_them():
    other = Prompts("ab", context=5)
    with pytest.raises(ProgramError, match="belongs to other prompts") as caught:
        _ = other.token == TOKEN
    assert caught.value.where.rpartition(":")[0].endswith(f"test_places.py:{here() - 1}")
    assert f"test_places.py:{PROMPTS.place.line}:" in caught.value.what


def test_a_language_that_is_read_from_text_gives_places_of_its_own():
    place = Place("a.rules", 3, 7)
    with written_at(place):
        assert (POSITION + 1).node.place == place
        with pytest.raises(DomainError) as caught:
            _ = TOKEN + 1
    assert caught.value.where == "a.rules:3:7, token + 1"
    assert (POSITION + 1).node.place != place


def test_a_name_stands_for_an_expression_in_others():
    token = Prompts("ab", context=5).token
    before = token.at(-1, default="a").named("before")
    assert str(before) == "before"
    assert str(before == token) == "before == token"
    assert before.trace("aab") == token.at(-1, default="a").trace("aab")


@pytest.mark.parametrize("name", ["", "  ", 7])
def test_an_empty_name_is_refused(name):
    token = Prompts("ab", context=5).token
    with pytest.raises(DomainError, match="the name of an expression"):
        token.named(name)
