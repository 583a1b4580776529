"""Errors for a word such as `and` in a pattern, where it would be read as tokens."""

from __future__ import annotations

import re

from handcraft.errors import RuleSyntaxError
from handcraft.language.text.sentence import Sentence

JOINING = ("and", "or", "if", "but", "unless", "while")
"""Words that are refused as tokens after a space; `[a]nd` still spells the tokens."""

CONDITION = re.compile(
    r"(not\s+)?(the\s+)?((first|last)\s+)?(token\s(.*\s)?is|position\s(is|[<>=!%]+)|count\sof)\s"
)
"""What is surely a condition, where tokens are words and `and the` may well be two of them."""

CONDITIONS = ("position", "token", "first", "last", "count", "not", "the")
"""How a condition begins that was meant to follow such a word."""


def check_no_joined_pattern(sentence: Sentence, characters: bool) -> None:
    """Refuse `predict b after aa and token is a`, whose pattern would be a a a n d t o k e n i s a.

    Args:
        sentence: of a text that states no vocabulary, or whose tokens are characters.
        characters: whether they are.

    Raises:
        RuleSyntaxError: a part of the pattern, between blanks, is a word that joins conditions. Where
            tokens are words, a condition must follow it.
    """
    pattern = sentence.pattern
    if pattern is None:
        return
    found = re.search(rf"(?<=\S)(?<!\\)\s+({'|'.join(JOINING)})(?=\s|$)", pattern)
    if found is None or pattern[: found.start()].strip() == "start":
        return
    if not characters and not CONDITION.match(pattern[found.end() :].strip()):
        return
    raise RuleSyntaxError(
        f"`{found[1]}` in a pattern is read as the tokens {' '.join(found[1])}"
        if characters
        else f"`{found[1]}` in a pattern is read as a token",
        where=f"{sentence.place}, {sentence.text}",
        fix=_fix(sentence, found[1], pattern[: found.start()], pattern[found.end() :].strip())
        + (f"; [{found[1][0]}]{found[1][1:]} spells those tokens" if characters else ""),
    )


def _fix(sentence: Sentence, word: str, first: str, rest: str) -> str:
    before, _, _ = sentence.text.partition(" after ")
    has_more = sentence.condition is not None or not rest
    if has_more or (word != "or" and rest.split()[0] not in CONDITIONS):
        return "conditions follow `when`, as in `after a when b came before`"
    if rest.split()[0] not in CONDITIONS:
        return f"write two rules: `{before} after {first}` and `{before} after {rest}`"
    if word == "or":
        return f"write two rules: `{before} after {first}` and `{before} when {rest}`"
    condition = f"not ({rest})" if word == "unless" else rest
    return f"write `{before} after {first} when {condition}`"
