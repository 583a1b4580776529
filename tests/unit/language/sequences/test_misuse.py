"""What Python lets somebody write by mistake: each mistake has its error, and the fix in it works."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from handcraft import HandcraftError, Prompts, lookup, select, where
from handcraft.errors import DomainError

prompts = Prompts("abc", context=6)
token, position = prompts.token, prompts.position
known = {
    "token": token,
    "position": position,
    "prompts": prompts,
    "select": select,
    "lookup": lookup,
    "where": where,
    "np": np,
    "math": math,
}

MISTAKES = [
    # what was written, a part of the error, and what the fix says, written out
    ('token == "a" & position > 1', "& binds tighter than ==", '(token == "a") & (position > 1)'),
    ('position > 1 & token == "a"', "& binds tighter than ==", '(position > 1) & (token == "a")'),
    ('token == "a" | position > 1', "| binds tighter than ==", '(token == "a") | (position > 1)'),
    ('select(token, "a") + 1', ".count()", 'select(token, "a").count() + 1'),
    ('1 - select(token, "a")', ".count()", '1 - select(token, "a").count()'),
    ('select(token, "a") == 1', ".count()", 'select(token, "a").count() == 1'),
    ('bool(select(token, "a"))', ".exists()", 'select(token, "a").exists()'),
    ('1 if token == "a" else 2', "where(c, x, y)", 'where(token == "a", 1, 2)'),
    ('(token == "a") and (position > 1)', "use & | ~", '(token == "a") & (position > 1)'),
    ("1 < position < 3", "(1 < x) & (x < 3)", "(1 < position) & (position < 3)"),
    ("list(token)", ".trace(text)", 'token.trace("ab")'),
    ("len(token)", "prompts.everything.count()", "prompts.everything.count()"),
    ("token[-1]", ".at(-1, default=...)", 'token.at(-1, default="a")'),
    ("token(1)", ".map(function)", "position.map(lambda x: x)"),
    ("int(position)", ".map(function)", "position.map(lambda x: x * x)"),
    ("float(position)", ".map(function)", "position.map(lambda x: x * x)"),
    ("math.sqrt(position)", ".map(function)", "position.map(math.sqrt)"),
    ("range(position)", ".map(function)", "position.map(lambda x: x * x)"),
    ("abs(position - 3)", ".map(abs)", "(position - 3).map(abs)"),
    ("round(position / 2)", ".map(round)", "(position / 2).map(round)"),
    ("position ** 2", ".map(lambda x: x ** 2)", "position.map(lambda x: x ** 2)"),
    ("2 ** position", ".map(lambda x: 2 ** x)", "position.map(lambda x: 2 ** x)"),
    ("10 % (position + 1)", ".map(lambda x: 10 % x)", "(position + 1).map(lambda x: 10 % x)"),
    ("10 // (position + 1)", ".map(lambda x: 10 // x)", "(position + 1).map(lambda x: 10 // x)"),
    ("divmod(position, 2)", "x // 2 and x % 2", "(position // 2, position % 2)"),
    ('(token == "a") ^ (position > 1)', "use !=", '(token == "a") != (position > 1)'),
    ("position << 1", "use * 1", "position * 1"),
    ("position >> 1", "use // 1", "position // 1"),
    ("position @ position", "use *", "position * position"),
    ("np.sqrt(position)", ".map(numpy.sqrt)", "position.map(np.sqrt)"),
    ("token.latest(token)", "has no .latest", 'select(token, "a").latest(position, default=-1)'),
    ('(token == "a").count()', "select(flag, True).count()", 'select(token == "a", True).count()'),
    ('(token == "a").exists()', "select(", 'select(token, "a").exists()'),
    ("position.mean()", "select(", 'select(token, "a").mean(position, default=0)'),
    ("position.earliest()", "select(", 'select(token, "a").earliest(position, default=-1)'),
    ("token.mpa({})", "did you mean .map?", "token.map"),
    ('select(token, "a").latst(token)', "did you mean .latest?", 'select(token, "a").latest'),
]


@pytest.mark.parametrize(("mistake", "part", "mended"), MISTAKES, ids=[m for m, _, _ in MISTAKES])
def test_a_mistake_has_an_error_in_three_parts_and_its_fix_works(mistake, part, mended):
    with pytest.raises(HandcraftError) as caught:
        eval(mistake, known)
    error = caught.value
    assert part in str(error)
    assert error.where
    assert error.fix
    eval(mended, known)


def test_a_number_of_numpy_stands_beside_an_operator():
    assert (np.int64(2) + position).trace("aa") == (2, 3)
    assert (position * np.float64(0.5)).trace("aa")[0] == 0
    assert (np.int64(1) == position).trace("aa") == (False, True)
    with pytest.raises(DomainError, match="is for arrays"):
        np.array([1, 2]) + position


@pytest.mark.parametrize("value", [token, select(token, "a")])
def test_what_notebooks_and_copies_look_for_is_simply_not_there(value):
    assert not hasattr(value, "_repr_latex_")
    assert not hasattr(value, "no_such_method")
    assert str(copy.copy(value)) == str(value)
