"""Every primitive on a text worked out by hand: what it means, how it reads, its values."""

from __future__ import annotations

from fractions import Fraction

import pytest

from handcraft import Prompts, lookup, select, weighted, where, window

PROMPTS = Prompts("abc", context=5)
BOTH_WAYS = Prompts("ab", context=4, causal=False)

half, third, quarter, fifth = (Fraction(1, n) for n in (2, 3, 4, 5))

# each on the text abcab
SOURCES = [
    ("token", "'a' 'b' 'c'", ("a", "b", "c", "a", "b")),
    ("position", "0 to 4", (0, 1, 2, 3, 4)),
]

ARITHMETIC = [
    ("position + 1", "1 to 5", (1, 2, 3, 4, 5)),
    ("1 + position", "1 to 5", (1, 2, 3, 4, 5)),
    ("position - 3", "-3 to 1", (-3, -2, -1, 0, 1)),
    ("3 - position", "-1 to 3", (3, 2, 1, 0, -1)),
    ("position + position", "0 2 4 6 8", (0, 2, 4, 6, 8)),
    ("position - position", "0", (0, 0, 0, 0, 0)),
    ("position - (position - 1)", "1", (1, 1, 1, 1, 1)),
    ("2 * position", "0 2 4 6 8", (0, 2, 4, 6, 8)),
    ("position * position", "0 1 4 9 16", (0, 1, 4, 9, 16)),
    ("(position + 1) * 2", "2 4 6 8 10", (2, 4, 6, 8, 10)),
    ("position * (1/2)", "0 1/2 1 3/2 2", (0, half, 1, 3 * half, 2)),
    ("position / 2", "0 1/2 1 3/2 2", (0, half, 1, 3 * half, 2)),
    ("1 / (position + 1)", "1/5 1/4 1/3 1/2 1", (1, half, third, quarter, fifth)),
    ("position // 2", "0 1 2", (0, 0, 1, 1, 2)),
    ("position % 2", "0 1", (0, 1, 0, 1, 0)),
    ("(position - 3) % 3", "0 1 2", (0, 1, 2, 0, 1)),
    ("-position", "-4 to 0", (0, -1, -2, -3, -4)),
    ("(token == 'a') + 1", "1 2", (2, 1, 1, 2, 1)),
    ("position + (token == 'a')", "0 to 5", (1, 1, 2, 4, 4)),
]

TABLES = [
    ("token.map({'a': 1, 'b': 2, 'c': 2})", "1 2", (1, 2, 2, 1, 2)),
    (
        "position.map({0: 'x', 1: 'x', 2: 'y', 3: 'y', 4: 'z'})",
        "'x' 'y' 'z'",
        ("x", "x", "y", "y", "z"),
    ),
    ("(position / 10).map({0: 1, 1/10: 2, 1/5: 3, 3/10: 4, 2/5: 5})", "1 to 5", (1, 2, 3, 4, 5)),
    ("(position - 2).map(abs)", "0 1 2", (2, 1, 0, 1, 2)),
    ("lookup(max, position, 2)", "2 3 4", (2, 2, 2, 3, 4)),
    ("lookup(max, 3, position)", "3 4", (3, 3, 3, 3, 4)),
    (
        "lookup({(0, 0): 1, (0, 1): 2, (1, 0): 3, (1, 1): 4}, position // 3, position % 2)",
        "1 to 4",
        (1, 2, 1, 4, 3),
    ),
]

FLAGS = [
    ("token == 'a'", "False True", (True, False, False, True, False)),
    ("token != 'a'", "False True", (False, True, True, False, True)),
    ("token == token", "True", (True, True, True, True, True)),
    ("position < 2", "False True", (True, True, False, False, False)),
    ("position <= 2", "False True", (True, True, True, False, False)),
    ("position > 2", "False True", (False, False, False, True, True)),
    ("position >= 2", "False True", (False, False, True, True, True)),
    ("position == 2", "False True", (False, False, True, False, False)),
    ("position >= 0", "True", (True, True, True, True, True)),
    ("position > 9", "False", (False, False, False, False, False)),
    ("position > 3 - position", "False True", (False, False, True, True, True)),
    ("(token == 'a') == (token == 'b')", "False True", (False, False, True, False, False)),
    ("(token == 'a') & (position > 1)", "False True", (False, False, False, True, False)),
    ("(token == 'a') & (token == 'b')", "False", (False, False, False, False, False)),
    ("(token == 'a') | (position > 1)", "False True", (True, False, True, True, True)),
    ("~(token == 'a')", "False True", (False, True, True, False, True)),
    ("~((token == 'a') & (position > 1))", "False True", (True, True, True, False, True)),
    (
        "(token == 'a') | (token == 'b') & (position > 1)",
        "False True",
        (True, False, False, True, True),
    ),
    (
        "((token == 'a') | (token == 'b')) & (position > 1)",
        "False True",
        (False, False, False, True, True),
    ),
]

CHOICES = [
    ("where(token == 'a', 1, position)", "0 to 4", (1, 1, 2, 1, 4)),
    ("where(token == 'a', token, 'c')", "'c' 'a'", ("a", "c", "c", "a", "c")),
    ("where(token == 'a', position > 1, False)", "False True", (False, False, False, True, False)),
    ("where(token == 'a', 1/2, position / 4)", "0 1/4 1/2 3/4 1", (half, quarter, half, half, 1)),
]

LOOK_BACK = [
    ("token.at(-1, default='a')", "'a' 'b' 'c'", ("a", "a", "b", "c", "a")),
    ("token.at(0, default='b')", "'a' 'b' 'c'", ("a", "b", "c", "a", "b")),
    ("token.at(-9, default='c')", "'a' 'b' 'c'", ("c", "c", "c", "c", "c")),
    ("position.at(-2, default=-1)", "-1 to 4", (-1, -1, 0, 1, 2)),
    ("position.at(-2, default=1/2)", "0 1/2 1 2 3 4", (half, half, 0, 1, 2)),
    ("(token == 'a').at(-1, default=False)", "False True", (False, True, False, False, True)),
    ("(position >= 0).at(-1, default=False)", "False True", (False, True, True, True, True)),
    ("token.at_position(0)", "'a' 'b' 'c'", ("a", "a", "a", "a", "a")),
    ("token.at_position(2, default='b')", "'a' 'b' 'c'", ("b", "b", "c", "c", "c")),
    (
        "window(2).mean(position)",
        "0 1/2 1 3/2 2 5/2 3 7/2 and 1 more",
        (0, half, 3 * half, 5 * half, 7 * half),
    ),
    ("window(1).mean(position)", "0 to 4", (0, 1, 2, 3, 4)),
    (
        "window(9).mean(token == 'a')",
        "0 1/5 1/4 1/3 2/5 1/2 3/5 2/3 and 3 more",
        (1, half, third, half, 2 * fifth),
    ),
    (
        "weighted(position, {0: 1, -1: 1/2})",
        "0 1/2 1 3/2 2 5/2 3 7/2 and 5 more",
        (0, 1, 5 * half, 4, 11 * half),
    ),
    ("weighted(position, {-1: 1}, default=9)", "0 1 2 3 4 9", (9, 0, 1, 2, 3)),
    ("weighted(token == 'a', {0: 1, -1: 2, -2: 4})", "0 to 7", (1, 2, 4, 1, 2)),
    ("weighted(token == 'a', {-1: 2}, default=1)", "0 2", (2, 2, 0, 0, 2)),
    ("weighted(position, {})", "0", (0, 0, 0, 0, 0)),
]

LOOK_FOR = [
    ("select(token, token).count()", "1 to 5", (1, 1, 1, 2, 2)),
    ("select(token, 'a').count()", "0 to 5", (1, 1, 1, 2, 2)),
    ("select(token, token, '!=').count()", "0 to 5", (0, 1, 2, 2, 3)),
    ("select(position, position, '<').count()", "0 to 5", (0, 1, 2, 3, 4)),
    ("select(position, position, '<=').count()", "1 to 5", (1, 2, 3, 4, 5)),
    ("select(position, 2, '>').count()", "0 to 5", (0, 0, 0, 1, 2)),
    ("select(position, 2, '>=').count()", "0 to 5", (0, 0, 1, 2, 3)),
    ("select(position, position / 2).exists()", "False True", (True, False, True, False, True)),
    ("select(token, 'c').exists()", "False True", (False, False, True, True, True)),
    ("everything.count()", "1 to 5", (1, 2, 3, 4, 5)),
    ("(~select(token, 'a')).count()", "0 to 5", (0, 1, 2, 2, 3)),
    ("(select(token, 'a') & select(position, position, '<')).count()", "0 to 5", (0, 1, 1, 1, 2)),
    ("(select(token, 'a') | select(token, 'b')).count()", "0 to 5", (1, 2, 2, 3, 4)),
    (
        "(~(select(token, 'a') | select(token, 'b'))).exists()",
        "False True",
        (False, False, True, True, True),
    ),
    ("select(token, 'b').latest(position, default=-1)", "-1 to 4", (-1, 1, 1, 1, 4)),
    ("select(token, 'b').earliest(position, default=-1)", "-1 to 4", (-1, 1, 1, 1, 1)),
    ("(select(token, 'b') | select(position, 0)).latest(position)", "0 to 4", (0, 1, 1, 1, 4)),
    ("(select(position, 0) | select(token, 'b')).latest(position)", "0 to 4", (0, 1, 1, 1, 4)),
    (
        "(select(token, token) & select(position, position, '<')).latest(token, default='c')",
        "'a' 'b' 'c'",
        ("c", "c", "c", "a", "b"),
    ),
    ("select(token, token).earliest(position)", "0 to 4", (0, 1, 2, 0, 1)),
    (
        "select(token, 'a').mean(position, default=0)",
        "0 1/5 1/4 1/3 2/5 1/2 3/5 2/3 and 33 more",
        (0, 0, 0, 3 * half, 3 * half),
    ),
    (
        "everything.mean(token == 'a')",
        "0 1/5 1/4 1/3 2/5 1/2 3/5 2/3 and 3 more",
        (1, half, third, half, 2 * fifth),
    ),
]

# each on the text abba, where every position sees the whole text
WITHOUT_MASK = [
    ("token.at(1, default='a')", "'a' 'b'", ("b", "b", "a", "a")),
    ("token.at_position(3, default='a')", "'a' 'b'", ("a", "a", "a", "a")),
    ("select(token, 'b').count()", "0 to 4", (2, 2, 2, 2)),
    ("select(position, position, '>').count()", "0 to 4", (3, 2, 1, 0)),
    ("select(token, token).latest(position)", "0 to 3", (3, 2, 2, 3)),
    ("everything.mean(position)", "0 1/4 1/3 1/2 2/3 3/4 1 5/4 and 11 more", (3 * half,) * 4),
    ("window(2).mean(position)", "0 1/2 1 3/2 2 5/2 3", (0, half, 3 * half, 5 * half)),
]


def made(text: str, prompts: Prompts):
    """The expression that a program with this text makes."""
    names = {"token": prompts.token, "position": prompts.position, "everything": prompts.everything}
    functions = {
        "lookup": lookup,
        "select": select,
        "weighted": weighted,
        "where": where,
        "window": window,
    }
    return eval(text, names | functions)


@pytest.mark.parametrize(
    ("text", "domain", "values"),
    [*SOURCES, *ARITHMETIC, *TABLES, *FLAGS, *CHOICES, *LOOK_BACK, *LOOK_FOR],
)
def test_a_primitive_means_what_was_worked_out(text, domain, values):
    expression = made(text, PROMPTS)
    assert expression.trace("abcab") == values
    assert str(expression) == text
    assert str(expression.domain) == domain
    assert all(value in expression.domain for value in values)


@pytest.mark.parametrize(("text", "domain", "values"), WITHOUT_MASK)
def test_without_a_mask_every_position_sees_the_whole_text(text, domain, values):
    expression = made(text, BOTH_WAYS)
    assert expression.trace("abba") == values
    assert str(expression) == text
    assert str(expression.domain) == domain


TOKEN, POSITION = PROMPTS.token, PROMPTS.position


@pytest.mark.parametrize(
    ("expression", "text", "values"),
    [
        (TOKEN.map(str.upper), "token.map(upper)", ("A", "B", "C", "A", "B")),
        (
            POSITION.map(lambda p: p > 2),
            "position.map(lambda p: p > 2)",
            (False, False, False, True, True),
        ),
        (POSITION.map(float), "position.map(float)", (0, 1, 2, 3, 4)),
        (
            lookup(lambda t, p: f"{t}{p}", TOKEN, POSITION),
            "lookup(lambda t, p: f'{t}{p}', token, position)",
            ("a0", "b1", "c2", "a3", "b4"),
        ),
        (
            select(TOKEN, TOKEN, lambda key, query: key > query).count(),
            "select(token, token, lambda key, query: key > query).count()",
            (0, 0, 0, 2, 1),
        ),
        (2 <= POSITION, "position >= 2", (False, False, True, True, True)),  # noqa: SIM300
        (PROMPTS.constant("c"), "'c'", ("c",) * 5),
        (PROMPTS.constant(2) + 1, "2 + 1", (3,) * 5),
        (PROMPTS.constant(0.5) + POSITION, "1/2 + position", tuple(half + n for n in range(5))),
        (
            TOKEN.map(dict.fromkeys("abc", 1)).assume([1]),
            "token.map({'a': 1, 'b': 1, 'c': 1}).assume([1])",
            (1,) * 5,
        ),
    ],
)
def test_what_is_made_with_functions_and_constants_reads_as_near_as_it_can(expression, text, values):
    assert str(expression) == text
    assert expression.trace("abcab") == values


def test_a_long_table_is_shown_by_its_first_rows():
    wide = Prompts("abcdefgh", context=3).token.map({letter: letter for letter in "abcdefgh"})
    shown = "token.map({'a': 'a', 'b': 'b', 'c': 'c', 'd': 'd', 'e': 'e', 3 more})"
    assert repr(wide) == f"<category: wide = {shown}>"


def test_floats_are_the_decimals_that_they_are_written_as():
    tenths = POSITION * 0.1
    assert tenths.trace("abcab")[3] == Fraction(3, 10)
    assert tenths.map({0: 0, 0.1: 1, 0.2: 2, 0.3: 3, 0.4: 4}).trace("abcab") == (0, 1, 2, 3, 4)


def test_an_assumption_narrows_the_domain_and_is_checked_on_every_text():
    assumed = TOKEN.at(-1, default="a").assume("ab")
    assert str(assumed.domain) == "'a' 'b'"
    assert assumed.trace("abb") == ("a", "a", "b")
    with pytest.raises(Exception, match="is 'c' at position 2 of 'a c b', and 'a' 'b' is assumed"):
        assumed.trace("acb")


def test_an_expression_shows_its_kind_and_its_text():
    assert repr(TOKEN == "a") == "<flag: token == 'a'>"
    assert repr(select(TOKEN, "a") | ~select(TOKEN, "b")) == (
        "<selection: select(token, 'a') | ~select(token, 'b')>"
    )


def test_expressions_can_be_keys_and_selections_cannot_be_values():
    assert len({TOKEN, TOKEN, POSITION}) == 2
    with pytest.raises(TypeError):
        hash(select(TOKEN, "a"))
