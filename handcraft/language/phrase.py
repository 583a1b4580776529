"""Phrases: expressions in the words of rule files, the way back from `read_sentence`.

The text of an expression is Python, so Python's own parser takes it apart. Only what has words is
understood; functions and tables, whose text may leave something out, have none.
"""

from __future__ import annotations

import ast
from typing import TypeAlias

from handcraft.errors import ProgramError
from handcraft.language.pattern import Pattern, escape
from handcraft.language.sequences import Expression
from handcraft.vocabulary import Vocabulary

COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}

OWN_WORDS = frozenset(("not", "token", "position", "first", "last", "count"))
"""Tokens that a condition would take for words of its own, were they not in brackets."""

OR, AND, NOT = 1, 2, 3
"""How tightly phrases bind."""

Phrase: TypeAlias = tuple[str, int]


class NoWordsError(ProgramError):
    """An expression that rule files have no words for."""


def answer_phrase(expression: Expression) -> str:
    """How a rule predicts the value of a category.

    Raises:
        NoWordsError: there are no words for it.
    """
    tree = _parse(expression)
    match tree:
        case ast.Constant(value=str(token)):
            return escape(token)
        case ast.Name("token"):
            return "the last token"
    place, followed = _place(tree), _followed(tree)
    if followed is not None:
        return f"what followed last time otherwise {escape(followed)}"
    if place is None:
        raise _no_words(tree)
    words, default = place
    return f"the {words}" if default is None else f"the {words} otherwise {escape(default)}"


def flag_phrase(expression: Expression) -> str:
    """How a rule says when it is tried.

    Raises:
        NoWordsError: there are no words for it.
    """
    return _Flags(expression.prompts.vocabulary).phrase(_parse(expression))[0]


class _Flags:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def phrase(self, tree: ast.expr) -> Phrase:
        """The words of a flag, and how tightly they bind."""
        found = self._place_is(tree)
        if found is not None:
            return found, NOT
        match tree:
            case ast.BinOp(left, ast.BitOr(), right):
                return f"{self._within(left, OR)} or {self._within(right, AND)}", OR
            case ast.BinOp(left, ast.BitAnd(), right):
                return f"{self._within(left, AND)} and {self._within(right, NOT)}", AND
            case ast.UnaryOp(ast.Invert(), flag):
                return f"not ({self.phrase(flag)[0]})", NOT
            case ast.Compare(number, [comparison], [ast.Constant(value=int(bound))]):
                return f"{self._number(number)} {COMPARISONS[type(comparison)]} {bound}", NOT
            case ast.Call(ast.Attribute(selection, "exists"), [], []):
                return f"{self._selected(selection)} came before", NOT
        raise _no_words(tree)

    def _within(self, tree: ast.expr, binding: int) -> str:
        words, bound = self.phrase(tree)
        return words if bound >= binding else f"({words})"

    def _number(self, tree: ast.expr) -> str:
        match tree:
            case ast.Name("position"):
                return "position"
            case ast.BinOp(number, ast.Mod(), ast.Constant(value=int(modulus))):
                if not isinstance(number, ast.BinOp):
                    return f"{self._number(number)} % {modulus}"
            case ast.Call(ast.Attribute(selection, "count"), [], []):
                return f"count of {self._selected(selection)}"
        raise _no_words(tree)

    def _selected(self, tree: ast.expr) -> str:
        """The class of tokens that a selection looks for."""
        match tree:
            case ast.Name("everything"):
                return "."
            case ast.Call(ast.Name("select"), [ast.Name("token"), ast.Constant(value=str(token))], []):
                return self._class({token})
            case ast.Call(ast.Name("select"), [flag, ast.Constant(value=True)], []):
                place, allowed = self._allowed(flag) or ("", set())
                if place == "token":
                    return self._class(allowed)
        raise _no_words(tree)

    def _place_is(self, tree: ast.expr) -> str | None:
        """That the token at a place is there and in a class; None where the flag is no such test."""
        found = self._allowed(tree)
        if found is None or not found[1]:
            return None
        place, allowed = found
        others = set(self.vocabulary.tokens) - allowed
        if not others:
            return f"position >= {next((word for word in place.split() if word.isdecimal()), 0)}"
        if len(others) == 1:
            return f"{place} is not {self._class(others)}"
        return f"{place} is {self._class(allowed)}"

    def _allowed(self, tree: ast.expr) -> tuple[str, set[str]] | None:
        """A place, and the tokens that a flag allows there; None where it is no such test."""
        match tree:
            case ast.BinOp(left, ast.BitOr() | ast.BitAnd(), right):
                one, other = self._allowed(left), self._allowed(right)
                if one is None or other is None or one[0] != other[0]:
                    return None
                both = isinstance(tree.op, ast.BitAnd)
                return one[0], one[1] & other[1] if both else one[1] | other[1]
            case ast.Compare(there, [ast.Eq() | ast.NotEq()], [ast.Constant(value=str(token))]):
                found = ("token", None) if _is_token(there) else _place(there)
                if found is None:
                    return None
                place, default = found
                allowed = {token}
                if isinstance(tree.ops[0], ast.NotEq):
                    allowed = set(self.vocabulary.tokens) - allowed
                return None if default in allowed else (place, allowed)
        return None

    def _class(self, tokens: set[str]) -> str:
        ids = frozenset(self.vocabulary.ids(sorted(tokens)))
        written = Pattern((ids,)).text(self.vocabulary)
        for character in "()":
            written = written.replace(character, f"\\{character}")
        return f"[{written}]" if written in OWN_WORDS else written


def _parse(expression: Expression) -> ast.expr:
    try:
        return ast.parse(str(expression), mode="eval").body
    except SyntaxError:  # a function without a name is no Python
        raise NoWordsError(f"`{expression}` has no words in rule files") from None


def _place(tree: ast.expr) -> tuple[str, str | None] | None:
    """A place that a token is read from, and the token that stands for a missing one."""
    match tree:
        case ast.Call(ast.Attribute(ast.Name("token"), "at_position"), [ast.Constant(value=0)], _):
            return "first token", None
        case ast.Call(
            ast.Attribute(ast.Name("token"), "at"),
            [ast.UnaryOp(ast.USub(), ast.Constant(value=int(distance)))],
            [ast.keyword("default", ast.Constant(value=str(default)))],
        ):
            return f"token {distance} back", default
    return None


def _followed(tree: ast.expr) -> str | None:
    """The token that stands for a missing one, where it reads what followed this token last time."""
    match tree:
        case ast.Call(
            ast.Attribute(
                ast.BinOp(
                    ast.Call(ast.Name("select"), [before, ast.Name("token")], []), ast.BitAnd(), later
                ),
                "latest",
            ),
            [ast.Name("token")],
            [ast.keyword("default", ast.Constant(value=str(default)))],
        ):
            place = _place(before)
            if place is not None and place[0] == "token 1 back":
                return default if ast.unparse(later) == "select(position, 0, '>')" else None
    return None


def _is_token(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Name) and tree.id == "token"


def _no_words(tree: ast.expr) -> NoWordsError:
    return NoWordsError(f"`{ast.unparse(tree)}` has no words in rule files")
