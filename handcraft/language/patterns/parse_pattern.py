"""Text to pattern, and errors that show where it broke."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from handcraft.errors import RuleSyntaxError, VocabularyError
from handcraft.language.patterns.pattern import ANCHOR, SPECIAL, Pattern, unescape
from handcraft.language.rules.rule import Rule
from handcraft.limits import PATTERN, PATTERN_TEXT
from handcraft.vocabulary import Vocabulary

CHARACTERS = re.compile(r"\s+|(?P<token>\\[\s\S]|[^\s.\[\]^\\])|[\s\S]")
WORDS = re.compile(r"\s+|(?P<token>(?:\\[\s\S]|[^\s.\[\]^\\])+)|[\s\S]")
"""The signs of a pattern: blanks, tokens, which may contain escaped characters, and single others."""

Item = tuple[bool, tuple[str, ...]]
"""Whether the tokens are those left out, and the tokens; ``(True, ())`` is any token."""

SPECIALS = frozenset(SPECIAL)

ANCHORED = re.compile(rf"\s*{ANCHOR}(\s+|$)")
"""How a pattern begins that must begin at the first position."""


class PatternSyntaxError(RuleSyntaxError):
    """A pattern that cannot be read; `column` counts from 1 within the pattern."""

    def __init__(self, what: str, *, column: int, fix: str, in_rules: str | None = None) -> None:
        super().__init__(what, fix=fix, in_rules=in_rules)
        self.column = column

    def of(self, rule: Rule) -> RuleSyntaxError:
        """The same error, with the place of the pattern in its rule."""
        start = rule.pattern_place
        place = start and replace(start, column=start.column + self.column - 1)
        where = f"{place or rule.place}, {rule}" if place or rule.place else str(rule)
        return RuleSyntaxError(self.what, where=where, fix=self.fix, in_rules=self.in_rules)


def parse_pattern(text: str, vocabulary: Vocabulary) -> Pattern:
    r"""Read a pattern.

    A pattern is a suffix of the context: tokens, ``.`` for any token, ``[ab]`` for one of several,
    ``[^a]`` for any other; ``start`` and a space before it anchor it at the first position.
    A backslash escapes a character, but ``\n``, ``\r`` and ``\t`` are newline, carriage return and
    tab. If tokens are words, they are separated by spaces.

    Raises:
        PatternSyntaxError: the text is not a pattern, or is empty.
        VocabularyError: it names a token that is not in the vocabulary.
        LimitError: it is longer than `PATTERN_TEXT`, or has more tokens than `PATTERN`.

    >>> v = Vocabulary("ab")
    >>> parse_pattern("start a.[^a]", v).text(v)
    'start a.b'
    """
    anchored, start = _split_anchor(text)
    body = text[start:]
    if not body.strip():
        raise PatternSyntaxError(
            f"the pattern {text!r} has no tokens",
            column=1,
            fix="use otherwise() to match always",
            in_rules="write `otherwise` in place of `after` to match always",
        )
    items = _items(body, vocabulary.is_characters, start)
    return Pattern(tuple(_token_class(item, vocabulary, text) for item in items), anchored)


def pattern_items(text: str, characters: bool) -> Sequence[Item]:
    """The classes of a pattern of characters, or of words, before a vocabulary gives the tokens ids.

    Raises:
        PatternSyntaxError: the text is not a pattern.
    """
    _, start = _split_anchor(text)
    return _items(text[start:], characters, start)


def _split_anchor(text: str) -> tuple[bool, int]:
    """Whether the pattern is anchored, and where the rest of it begins."""
    anchor = ANCHORED.match(text)
    return (True, anchor.end()) if anchor else (False, 0)


def _items(body: str, characters: bool, start: int) -> Sequence[Item]:
    PATTERN_TEXT.check(len(body))
    if not SPECIALS.isdisjoint(body):
        items = _read_items(body, characters, start)
    else:  # thousands of plain patterns are split faster
        plain = [c for c in body if not c.isspace()] if characters else body.split()
        items = [(False, (token,)) for token in plain]
    PATTERN.check(len(items))
    return items


def _read_items(body: str, characters: bool, start: int) -> list[Item]:
    """Tokens, `.` and classes; `start` is where the body begins in the pattern."""
    items: list[Item] = []
    opened, negated, members = -1, False, list[str]()  # of the class that is being read
    for found in (CHARACTERS if characters else WORDS).finditer(body):
        sign, is_inside = found[0], opened >= 0
        if sign.isspace():
            continue
        if found["token"] is not None and is_inside:
            members.append(unescape(sign))
        elif found["token"] is not None:
            items.append((False, (unescape(sign),)))
        elif sign == "." and not is_inside:
            items.append((True, ()))
        elif sign == "[" and not is_inside:
            opened, negated, members = found.start(), False, []
        elif sign == "^" and is_inside and not (negated or members):
            negated = True
        elif sign == "]" and is_inside and members:
            items.append((negated, tuple(members)))
            opened = -1
        else:
            column = start + found.start() + 1
            raise PatternSyntaxError(
                f"the pattern cannot continue with {sign!r} at its character {column}",
                column=column,
                fix="a pattern consists of tokens, `.`, `[ab]` and `[^a]`; "
                "write \\ before a literal character",
            )
    if opened >= 0:
        raise PatternSyntaxError(
            f"the class `{body[opened:].strip()}` is not closed",
            column=start + opened + 1,
            fix="write `]` after its last token, or \\[ for a literal bracket",
        )
    return items


def _token_class(item: Item, vocabulary: Vocabulary, text: str) -> frozenset[int]:
    negated, tokens = item
    if not negated and len(tokens) == 1 and tokens[0] in vocabulary:
        return frozenset(vocabulary.ids(tokens))
    unknown = [token for token in tokens if token not in vocabulary]
    if unknown:
        raise VocabularyError(
            f"the pattern {text!r} names {unknown[0]!r}, which is not in the vocabulary",
            fix=vocabulary.advice(unknown[0]),
        )
    ids = frozenset(vocabulary.ids(tokens))
    allowed = frozenset(range(len(vocabulary))) - ids if negated else ids
    if not allowed:
        raise PatternSyntaxError(
            f"the class [^{vocabulary.join(tokens)}] in {text!r} leaves no token",
            column=1,
            fix="exclude fewer tokens",
        )
    return allowed
