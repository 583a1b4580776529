"""Patterns with classes, escapes and wildcards, read with the grammar in pattern.lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput

from handcraft.language.patterns.pattern import unescape

if TYPE_CHECKING:
    from handcraft.language.patterns.parse_pattern import Item

__all__ = ["UnexpectedInput", "read_items"]


def read_items(body: str, characters: bool) -> list[Item]:
    """The classes of a pattern without its anchor.

    Args:
        body: the pattern.
        characters: whether to read single characters; otherwise words separated by spaces.

    Raises:
        UnexpectedInput: the text is not a pattern.
    """
    tree = _parser().parse(body, start="characters" if characters else "words")
    return _ReadItems().transform(tree)  # type: ignore[no-any-return]


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("pattern.lark").read_text("utf-8")
    return Lark(grammar, start=["characters", "words"], parser="lalr")


@v_args(inline=True)
class _ReadItems(Transformer[Token, Any]):
    def character(self, token: Token) -> Item:
        return False, (unescape(token),)

    word = character

    def any_character(self) -> Item:
        return True, ()

    any_word = any_character

    def character_class(self, *tokens: Token) -> Item:
        negated = tokens[0].type == "NOT"
        return negated, tuple(unescape(token) for token in tokens[negated:])

    word_class = character_class

    def characters(self, *items: Item) -> list[Item]:
        return list(items)

    words = characters
