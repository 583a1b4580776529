"""Places of a sentence, where a token is read, and the tokens and classes that it names."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from lark import Token, Tree

from handcraft.errors import HandcraftError, ProgramError, RuleSyntaxError, VocabularyError, raise_all
from handcraft.language.patterns.parse_pattern import PatternSyntaxError, parse_pattern, pattern_items
from handcraft.language.patterns.pattern import ANCHOR, unescape
from handcraft.language.sequences import Expression, Prompts, Selection, select
from handcraft.language.text.sentence import Sentence, word, words
from handcraft.origin import Place
from handcraft.vocabulary import shorten


@dataclass(frozen=True)
class RuleTable:
    """A table, before there is a vocabulary: ``table next a -> b  b -> c  otherwise a``.

    Args:
        name: how rules call it.
        rows: what it gives for the tokens that it names.
        rest: what it gives for all others; None where they have no value.
        place: where it begins.
    """

    name: str
    rows: Mapping[str, str]
    rest: str | None
    place: Place

    @classmethod
    def read(cls, tree: Tree[Token], place: Place) -> RuleTable:
        """The table that a statement describes.

        Raises:
            RuleSyntaxError: a token has two rows.
        """
        name = str(tree.children[0])
        rows: dict[str, str] = {}
        rest: str | None = None
        problems: list[HandcraftError] = []
        for part in tree.children[1:]:
            assert isinstance(part, Tree)
            *tokens, value = (unescape(str(word)) for word in part.children)
            if part.data == "rest":
                rest = value
                continue
            for token in tokens:
                if token in rows:
                    problems.append(
                        RuleSyntaxError(
                            f"the table `{name}` has two rows for {token!r}",
                            where=place,
                            fix=f"leave out one of: {token} -> {rows[token]}, {token} -> {value}",
                        )
                    )
                rows.setdefault(token, value)
        raise_all(problems)
        return cls(name, rows, rest, place)

    @property
    def results(self) -> tuple[str, ...]:
        """All that it gives, each once."""
        given = [*self.rows.values(), *(() if self.rest is None else (self.rest,))]
        return tuple(dict.fromkeys(given))

    @property
    def has_numbers(self) -> bool:
        """Whether all that it gives can be read as whole numbers."""
        return all(re.fullmatch("-?[0-9]{1,9}", result) for result in self.results)

    def values(self, tokens: Sequence[str]) -> dict[str, str]:
        """What it gives for every token.

        Raises:
            RuleSyntaxError: nothing, for one of them.
        """
        missing = [token for token in tokens if token not in self.rows]
        if missing and self.rest is None:
            raise RuleSyntaxError(
                f"the table `{self.name}` has no row for {missing[0]!r}",
                where=self.place,
                fix=f"add `{missing[0]} -> ...`, or end it with `otherwise` and a value for the others",
            )
        return {token: self.rows.get(token, self.rest or "") for token in tokens}


PLACE_NAMES = {
    "first": "the first token",
    "last": "the last token",
    "back": "the token {} back",
    "followed": "what followed last time",
}
"""The words for each place that a token is read from."""


@dataclass(frozen=True)
class Seen:
    """What is read at a place.

    Args:
        value: the token there, or what a table gives for it.
        there_from: the first position at which there is one; 0 also if `else` names another.
        table: the table that gives the value.
    """

    value: Expression
    there_from: int = 0
    table: RuleTable | None = None


@dataclass(frozen=True)
class Places:
    """Reads places, tokens and classes as expressions."""

    prompts: Prompts
    sentence: Sentence
    tables: Mapping[str, RuleTable]

    def look(self, tree: Tree[Token], default: str | None) -> Expression:
        """The token at a place, or a default where there is none."""
        token, position = self.prompts.token, self.prompts.position
        if tree.data == "last":
            return token
        if tree.data == "first":
            return token.at_position(0)
        if tree.data == "back":
            distance = self.distance(tree)
            return token.at(-distance, default=default) if distance else token
        before = token.at(-1, default=self.prompts.vocabulary.tokens[0])
        return (select(before, token) & select(position, 0, ">")).latest(token, default=default)

    def seen(self, tree: Tree[Token], *, as_number: bool = False) -> Seen:
        """What is read at a place, through a table or not."""
        mapped: list[Tree[Token]] = []
        while tree.data == "mapped":
            mapped.append(tree)
            _, within = tree.children
            assert isinstance(within, Tree)
            tree = within
        found = self._unmapped(tree)
        for place in reversed(mapped):
            found = self._mapped(place, found, as_number and place is mapped[0])
        return found

    def _unmapped(self, tree: Tree[Token]) -> Seen:
        missing = self.missing(tree)
        if missing is not None:
            if not self.distance(tree):
                raise RuleSyntaxError(
                    f"`{PLACE_NAMES['back'].format(0)}` always exists",
                    where=self.sentence.at(tree),
                    fix="leave out `else` and the token after it",
                )
            return Seen(self.look(tree, self.token(missing)))
        distance = self.distance(tree) if tree.data == "back" else 0
        return Seen(self.look(tree, self.prompts.vocabulary.tokens[0]), distance)

    def missing(self, tree: Tree[Token]) -> Tree[Token] | None:
        """The token after `else`, to read if there is none; None without `else`."""
        if tree.data != "back" or len(tree.children) < 2:
            return None
        found = tree.children[1]
        return found if isinstance(found, Tree) else None

    def _mapped(self, tree: Tree[Token], inner: Seen, as_number: bool) -> Seen:
        name = str(tree.children[0])
        table = self.tables.get(name)
        if table is None:
            known = ", ".join(self.tables)
            raise RuleSyntaxError(
                f"there is no table `{name}`",
                where=self.sentence.at(tree),
                fix=f"the tables are: {known}"
                if known
                else f"write one before the rules, as in `table {name} a -> b b -> a`",
            )
        tokens = self.prompts.vocabulary.tokens
        values = table.values(tokens)
        if as_number:
            if not table.has_numbers:
                odd = next(r for r in table.results if not r.removeprefix("-").isdecimal())
                raise RuleSyntaxError(
                    f"the table `{name}` gives {odd!r}, which is not a whole number",
                    where=self.sentence.at(tree),
                    fix=f"compare it with `is`, or let `{name}` give whole numbers only",
                )
            return Seen(
                inner.value.map({token: int(values[token]) for token in tokens}),
                inner.there_from,
                table,
            )
        unknown = [value for value in values.values() if value not in self.prompts.vocabulary]
        if unknown:
            raise VocabularyError(
                f"the table `{name}` gives {unknown[0]!r}, which is not in the vocabulary",
                where=table.place,
                fix=f"use one of its {len(tokens)} tokens: {shorten(tokens)}",
            )
        return Seen(inner.value.map(values), inner.there_from, table)

    def is_one_of(self, value: Expression, allowed: frozenset[int]) -> Expression:
        """Whether a token is one of some but not all, as a test of those or of the others."""
        tokens = self.prompts.vocabulary.tokens
        wanted = [token for i, token in enumerate(tokens) if i in allowed]
        others = [token for i, token in enumerate(tokens) if i not in allowed]
        if len(others) < len(wanted):
            return reduce(operator.and_, [value != token for token in others])
        return reduce(operator.or_, [value == token for token in wanted])

    def selected(self, tree: Any) -> Selection:
        """The positions whose token is one of a class."""
        allowed = self.allowed(tree)
        tokens = self.prompts.vocabulary.tokens
        if len(allowed) == len(tokens):
            return self.prompts.everything
        if len(allowed) == 1:
            return select(self.prompts.token, tokens[min(allowed)])
        return select(self.is_one_of(self.prompts.token, allowed), True)

    def allowed(self, tree: Any) -> frozenset[int]:
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
            self.check_known([token for _, tokens in items for token in tokens], tree)
            pattern = parse_pattern(text, vocabulary)
        except PatternSyntaxError as error:
            raise self.sentence.class_error(tree, error) from None
        if len(pattern) != 1:
            raise RuleSyntaxError(
                f"`{text}` is {len(pattern)} tokens, and one is expected",
                where=self.sentence.at(tree),
                fix=f"write {text[1:-1]} without quotes"
                if text[0] == text[-1] and text[0] in "'\"" and len(text) > 2
                else f"write [{text}] for any one of them; for several in a row use `after`",
            )
        return pattern.classes[0]

    def token(self, tree: Tree[Token]) -> str:
        """A token that must be in the vocabulary."""
        token = unescape(word(tree))
        self.check_known([token], tree)
        return token

    def check_known(self, tokens: list[str], tree: Tree[Token]) -> None:
        """Raise unless all tokens are in the vocabulary."""
        vocabulary = self.prompts.vocabulary
        unknown = [token for token in tokens if token not in vocabulary]
        if unknown:
            raise VocabularyError(
                f"the rule names {unknown[0]!r}, which is not in the vocabulary",
                where=self.sentence.at(tree),
                fix=vocabulary.advice(unknown[0]),
            )

    def distance(self, tree: Tree[Token]) -> int:
        """How many tokens back a place is."""
        distance = int(word(tree))
        if distance >= self.prompts.context:
            raise ProgramError(
                f"the rule looks {distance} tokens back, but the context has {self.prompts.context}",
                where=self.sentence.at(tree),
                fix=f"`context {distance + 1}`, or a shorter distance",
            )
        return distance

    def check_default(self, tree: Tree[Token], default: Tree[Token] | None) -> None:
        """Raise unless a place that may lack a token, and no other, comes with one to predict then."""
        may_lack = tree.data == "followed" or (tree.data == "back" and int(word(tree)) > 0)
        if may_lack == (default is not None):
            return
        named = PLACE_NAMES[tree.data].format(*words(tree))
        if may_lack:
            what, fix = "may not exist", f"add a prediction for that case: {named} otherwise TOKEN"
        else:
            what, fix = "always exists", "leave out `otherwise` and the token after it"
        raise RuleSyntaxError(f"`{named}` {what}", where=self.sentence.at(tree), fix=fix)
