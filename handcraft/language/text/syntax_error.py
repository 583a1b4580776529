"""Syntax errors of rule files: from the parser's message to one with a fix."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from difflib import get_close_matches

from lark import Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from handcraft.errors import RuleSyntaxError
from handcraft.origin import Place

KEYWORDS = (
    "vocabulary context predict after when otherwise first last token back followed time inputs writes "
    "bos table is before and or"
)
"""The words that the grammar calls by their own name."""

EXPECTED = {
    **{f"_{word.upper()}": f"`{word}`" for word in KEYWORDS.split()},
    "_ARROW": "`->`",
    "REGEX": "a regular expression",
    "_CAME": "`came before`",
    "RPAR": "`)`",
    "COMPARISON": "a comparison such as `==`, `>=` or `is at least`",
    "_MODULO": "`%`",
    "WORD": "a word",
    "NAME": "a token or a class",
    "SHARE": "a probability",
    "NUMBER": "a whole number",
    "PATTERN": "a pattern",
    "_NEWLINE": "the end of the line",
    "$END": "the end of the file",
}
"""How errors name what the grammar expects."""

BEGINNINGS = {
    "position": "position",
    "token": "token",
    "first": "first token",
    "last": "last token",
    "count": "count of",
    "not": "not",
}
"""The words that a condition can begin with, and how it goes on."""

CONDITION = {f"_{word.upper()}" for word in (*BEGINNINGS, "the")} | {"LPAR", "CLASS", "NAME"}
"""What a condition can begin with."""


MEANT = {
    ("if", "_WHEN"): "write `when`",
    ("else", "_OTHERWISE"): "write `otherwise`",
    ("unless", "_WHEN"): "write `when not` and the condition in parentheses",
    ("=", "_IS"): "write `is`",
    ("==", "_IS"): "write `is`; `==` compares numbers",
    ("equals", "_IS"): "write `is`",
    ("=", "COMPARISON"): "write `==`",
    ("is", "COMPARISON"): "write `==`, or `is at least`, `is at most`, `is more than`, `is less than`",
    ("equals", "COMPARISON"): "write `==`",
}
"""Words of other languages, beside what the grammar would have taken: how to write it here."""


@dataclass(frozen=True)
class Beyond:
    """A construct that needs Python.

    Args:
        name: its description in errors.
        python: one expression that shows it; `token` and `position` are those of some `Prompts`.
    """

    name: str
    python: str


MEAN = Beyond("a mean over positions", 'select(token, "a").mean(position, default=0) > 2')
EARLIEST = Beyond("the earliest of some positions", 'select(token, "a").earliest(token, default="b")')
CHOICE = Beyond("a choice between two values", 'where(token == "a", token.at_position(0), token)')
WINDOW = Beyond("a window of positions", "window(3).mean(position) > 1")
WEIGHTED = Beyond("weights on positions", "weighted(position, {0: 1, -1: 10}) > 3")
FUNCTION = Beyond("a table of two values", "lookup(max, token, token.at_position(0))")
STATE = Beyond("a state that every token changes", 'regex("(ab)*").accepts(token)')
UNMASKED = Beyond("a program without causal mask", 'Prompts("ab", 4, causal=False)')
ASSUMED = Beyond("an assumption about values", 'select(token, "a").count().assume([0, 1])')

WORDS = {
    "mean": MEAN,
    "average": MEAN,
    "earliest": EARLIEST,
    "where": CHOICE,
    "window": WINDOW,
    "weighted": WEIGHTED,
    "lookup": FUNCTION,
    "map": FUNCTION,
    "regex": STATE,
    "state": STATE,
    "causal": UNMASKED,
    "mask": UNMASKED,
    "assume": ASSUMED,
}
"""The words in a rule file that suggest one of them."""


def syntax_error(error: UnexpectedInput, text: str, file: str) -> RuleSyntaxError:
    """What cannot be read, where, and what was expected."""
    lines = text.split("\n")
    if isinstance(error, UnexpectedToken):
        names = error.accepts or error.expected
        found = repr((str(error.token).split() or [str(error.token)])[0])  # of what may be a whole line
        ended = error.token.type in ("$END", "_NEWLINE")
        found = "the line's end" if ended else found
    else:
        assert isinstance(error, UnexpectedCharacters)
        names, found = error.allowed, repr(error.char)
    line, column = error.line, error.column
    if line < 1 or line > len(lines):
        line, column = len(lines), len(lines[-1]) + 1
    left = set(names or ())
    what = f"{found} is not allowed here"
    other = next(
        (MEANT[found.strip("'"), name] for name in left if (found.strip("'"), name) in MEANT), None
    )
    fix = other or _meant(found.strip("'"), left) or _expected(left)
    token = _taken_for_token(error) if left in ({"_CAME"}, {"_CAME", "_OF"}, {"_OF"}) else None
    rest = lines[line - 1][column - 1 :]
    if token is not None:
        line, column = token.line or line, token.column or column
        if "_CAME" in left:
            what = f"{str(token)!r} is read as a token here, and {found} cannot follow it"
            fix = _condition_like(str(token), is_alone=found in ("the line's end", "'and'", "'or'"))
        else:
            what = f"{str(token)!r} is neither a place, nor a number, nor a table followed by `of`"
            fix = "expected a whole number, `position`, `count of` tokens, or a table, `of` and a place"
    elif rest.startswith("[") and left >= {"CLASS"}:
        what = f"the class `{rest.strip()}` is not closed"
        fix = "write `]` after its last token, or \\[ for a literal bracket"
    beyond = _beyond(lines[line - 1], error.column if line == error.line else column)
    if beyond is not None and other is None:
        what = f"rule files cannot express {beyond.name}"
        fix = f"write the program in Python, with an expression such as `{beyond.python}`"
    return RuleSyntaxError(
        what, where=f"{Place(file, line, column)}, {lines[line - 1].strip()}", fix=fix
    )


def _meant(found: str, names: Set[str]) -> str | None:
    """A question, where what was found is nearly a word that the grammar would have taken."""
    words = [EXPECTED[name].strip("`") for name in names if EXPECTED.get(name, "").startswith("`")]
    near = get_close_matches(found.lower(), words, n=1)
    return f"did you mean `{near[0]}`?" if near else None


def _beyond(line: str, column: int) -> Beyond | None:
    """What a line contains, up to where it cannot be read, that needs Python."""
    rest = line[column - 1 :].split()
    start = [*line[: column - 1].split(), *rest[:1]]
    return next((WORDS[word] for word in reversed(start) if word in WORDS), None)


def _expected(names: Set[str]) -> str:
    """What the grammar would have taken."""
    expected = ["a condition"] if names >= CONDITION else []
    left = names - CONDITION if names >= CONDITION else names
    expected += sorted(EXPECTED[name] for name in left if name in EXPECTED)
    return f"expected {' or '.join(expected)}"


def _taken_for_token(error: UnexpectedInput) -> Token | None:
    """What was read last, where it is a token or a class that a condition begins with."""
    parser = getattr(error, "interactive_parser", None)
    if parser is None:
        return None
    last = parser.parser_state.value_stack[-1]
    read = last.children[0] if isinstance(last, Tree) else last
    return read if isinstance(read, Token) else None


def _condition_like(word: str, *, is_alone: bool) -> str:
    """What may have been meant by a condition that begins with a word that is no such beginning."""
    if word == "the":
        return "did you mean `the token`, `the first token` or `the last token`?"
    near = get_close_matches(word.lower(), BEGINNINGS, n=1)
    if near:
        return f"did you mean `{BEGINNINGS[near[0]]}`?"
    others = ", ".join(f"`{words}`" for words in BEGINNINGS.values())
    lone = f"`token is {word}` or " if is_alone else ""
    return f"write {lone}`{word} came before`, or begin with {others}"
