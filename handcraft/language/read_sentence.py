"""What sentences mean: the words of a rule file as expressions.

`rules.lark` has the grammar, docs/language-text.md the meaning.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any

from lark import Token, Tree

from handcraft.errors import ProgramError, RuleSyntaxError, VocabularyError
from handcraft.language.parse_pattern import PatternSyntaxError, parse_pattern, pattern_items
from handcraft.language.pattern import ANCHOR, unescape
from handcraft.language.rule import Answer, Rule
from handcraft.language.sentence import Sentence, word, words
from handcraft.language.sequences import Expression, Prompts, Selection, select
from handcraft.language.written import written_at
from handcraft.vocabulary import shorten

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

JOINT = ("either", "both", "negated")
"""Conditions that are made of others."""

LOOKS = {
    "first": "the first token",
    "last": "the last token",
    "back": "the token {} back",
    "followed": "what followed last time",
}
"""How the places are called that a token is read from."""


def read_sentence(sentence: Sentence, prompts: Prompts) -> Rule:
    """The rule that a sentence means.

    Args:
        sentence: as it was read.
        prompts: the texts that the program speaks about.

    Raises:
        HandcraftError: the first thing that is wrong with it, at its line and column.
    """
    reading = _Reading(prompts, sentence)
    condition = sentence.condition
    return sentence.rule(reading.answer(), None if condition is None else reading.flag(condition))


class _Reading:
    """Reads the parts of a sentence as expressions over prompts."""

    def __init__(self, prompts: Prompts, sentence: Sentence) -> None:
        self.prompts = prompts
        self.sentence = sentence

    def answer(self) -> Answer:
        """What to predict: a token, a distribution or a place to read it from."""
        tree, default = self.sentence.answer, self.sentence.default
        if tree.data == "token":
            return unescape(word(tree))
        if tree.data == "distribution":
            return self._distribution(tree)
        self._check_default(tree, default)
        token = None if default is None else self._token(default)
        with written_at(self.sentence.place_of(tree)):
            return self._look(tree, token)

    def _distribution(self, tree: Tree[Token]) -> dict[str, Fraction]:
        shares: dict[str, Fraction] = {}
        parts = words(tree)
        for token, share in zip(map(unescape, parts[::2]), parts[1::2], strict=True):
            if token in shares or re.fullmatch("[0-9]+/0+", share):
                raise RuleSyntaxError(
                    f"{token!r} has two probabilities" if token in shares else f"{share} is no number",
                    where=self.sentence.at(tree),
                    fix="give every token one, such as 1/4 or 0.25",
                )
            shares[token] = Fraction(share)
        return shares

    def _look(self, tree: Tree[Token], default: str | None) -> Expression:
        token, position = self.prompts.token, self.prompts.position
        if tree.data == "last":
            return token
        if tree.data == "first":
            return token.at_position(0)
        if tree.data == "back":
            distance = self._distance(tree)
            return token.at(-distance, default=default) if distance else token
        before = token.at(-1, default=self.prompts.vocabulary.tokens[0])
        return (select(before, token) & select(position, 0, ">")).latest(token, default=default)

    def flag(self, tree: Tree[Token]) -> Expression:
        """What a condition means; the parts of one that is made of others are read first."""
        read: dict[int, Expression] = {}
        waiting = [(tree, False)]
        while waiting:
            part, are_parts_read = waiting.pop()
            parts: list[Any] = part.children if part.data in JOINT else []
            if parts and not are_parts_read:
                waiting += [(part, True), *((each, False) for each in reversed(parts))]
                continue
            with written_at(self.sentence.place_of(part)):
                read[id(part)] = self._flag(part, [read[id(each)] for each in parts])
        return read[id(tree)]

    def _flag(self, tree: Tree[Token], flags: list[Expression]) -> Expression:
        """What a condition means, given what the conditions mean that it is made of."""
        parts: list[Any] = tree.children
        match tree.data:
            case "either":
                return reduce(operator.or_, flags)
            case "both":
                return reduce(operator.and_, flags)
            case "negated":
                return ~flags[0]
            case "position":
                return self._compare(self.prompts.position, parts[0])
            case "count":
                return self._compare(self._selected(parts[0]).count(), parts[1])
            case "came_before":
                return self._selected(parts[0]).exists()
        allowed = self._class(parts[1])
        if tree.data == "is_none_of":
            allowed = frozenset(range(len(self.prompts.vocabulary))) - allowed
            if not allowed:
                raise RuleSyntaxError(
                    "the condition leaves no token",
                    where=self.sentence.at(parts[1]),
                    fix="leave out fewer",
                )
        return self._place_is(parts[0], allowed)

    def _compare(self, number: Expression, comparison: Any) -> Expression:
        *modulo, sign, bound = words(comparison)
        compared = number % int(modulo[0]) if modulo else number
        return COMPARE[sign](compared, int(bound))  # type: ignore[no-any-return]

    def _place_is(self, place: Tree[Token], allowed: frozenset[int]) -> Expression:
        """Whether the token at some place is there and one of these."""
        tokens = self.prompts.vocabulary.tokens
        distance = self._distance(place) if place.data == "back" else 0
        if len(allowed) == len(tokens):
            return self.prompts.position >= distance
        outside = next(token for i, token in enumerate(tokens) if i not in allowed)
        return self._is(self._look(place, outside), allowed)

    def _is(self, value: Expression, allowed: frozenset[int]) -> Expression:
        """Whether a token is one of some but not all, said of those or of the others."""
        tokens = self.prompts.vocabulary.tokens
        wanted = [token for i, token in enumerate(tokens) if i in allowed]
        others = [token for i, token in enumerate(tokens) if i not in allowed]
        if len(others) < len(wanted):
            return reduce(operator.and_, [value != token for token in others])
        return reduce(operator.or_, [value == token for token in wanted])

    def _selected(self, tree: Any) -> Selection:
        """The positions whose token is one of a class."""
        allowed = self._class(tree)
        tokens = self.prompts.vocabulary.tokens
        if len(allowed) == len(tokens):
            return self.prompts.everything
        if len(allowed) == 1:
            return select(self.prompts.token, tokens[min(allowed)])
        return select(self._is(self.prompts.token, allowed), True)

    def _class(self, tree: Any) -> frozenset[int]:
        """The tokens that a class allows, as places in the vocabulary."""
        text = word(tree)
        if text == ANCHOR:
            raise RuleSyntaxError(
                f"`{ANCHOR}` is a place, not a token",
                where=self.sentence.at(tree),
                fix=rf"write \{ANCHOR}",
            )
        vocabulary = self.prompts.vocabulary
        try:
            items = pattern_items(text, vocabulary.is_characters)
            self._check_known([token for _, tokens in items for token in tokens], tree)
            pattern = parse_pattern(text, vocabulary)
        except PatternSyntaxError as error:
            raise self.sentence.class_error(tree, error) from None
        if len(pattern) != 1:
            raise RuleSyntaxError(
                f"`{text}` is {len(pattern)} tokens, and one is asked for",
                where=self.sentence.at(tree),
                fix=f"write [{text}] for any one of them; for several in a row use `after`",
            )
        return pattern.classes[0]

    def _token(self, tree: Tree[Token]) -> str:
        token = unescape(word(tree))
        self._check_known([token], tree)
        return token

    def _check_known(self, tokens: list[str], tree: Tree[Token]) -> None:
        vocabulary = self.prompts.vocabulary
        unknown = [token for token in tokens if token not in vocabulary]
        if unknown:
            raise VocabularyError(
                f"the rule names {unknown[0]!r}, which is not in the vocabulary",
                where=self.sentence.at(tree),
                fix=f"use one of its {len(vocabulary)} tokens: {shorten(vocabulary.tokens)}",
            )

    def _distance(self, tree: Tree[Token]) -> int:
        distance = int(word(tree))
        if distance >= self.prompts.context:
            raise ProgramError(
                f"the rule looks {distance} tokens back, but the context has {self.prompts.context}",
                where=self.sentence.at(tree),
                fix=f"context {distance + 1}, or look less far",
            )
        return distance

    def _check_default(self, tree: Tree[Token], default: Tree[Token] | None) -> None:
        may_lack = tree.data == "followed" or (tree.data == "back" and int(word(tree)) > 0)
        if may_lack == (default is not None):
            return
        looked = LOOKS[tree.data].format(*words(tree))
        if may_lack:
            what, fix = "may not be there", f"say what then: {looked} otherwise TOKEN"
        else:
            what, fix = "is always there", "leave out what to predict otherwise"
        raise RuleSyntaxError(f"`{looked}` {what}", where=self.sentence.at(tree), fix=fix)
