"""What the condition of a sentence means, as a flag."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from lark import Token, Tree

from handcraft.errors import RuleSyntaxError
from handcraft.language.graph.domain import Finite
from handcraft.language.graph.node import COMPARED
from handcraft.language.sequences import Expression
from handcraft.language.text.read_place import Places, Seen
from handcraft.language.text.sentence import word
from handcraft.language.written.written_place import written_at

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    **{comparison.value: compare for comparison, compare in COMPARED.items()},
    "is more than": operator.gt,
    "is less than": operator.lt,
    "is at least": operator.ge,
    "is at most": operator.le,
}

JOINT = ("either", "both", "negated")
"""Conditions that are made of others."""

Number = Expression | int


@dataclass(frozen=True)
class Conditions:
    """Reads conditions as flags."""

    places: Places

    def flag(self, tree: Tree[Token]) -> Expression:
        """What a condition means; conditions within it are read first."""
        read: dict[int, Expression] = {}
        waiting = [(tree, False)]
        while waiting:
            part, are_parts_read = waiting.pop()
            parts: list[Any] = part.children if part.data in JOINT else []
            if parts and not are_parts_read:
                waiting += [(part, True), *((each, False) for each in reversed(parts))]
                continue
            with written_at(self.places.sentence.place_of(part)):
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
            case "compared":
                return self._compared(*parts)
            case "came_before":
                return self.places.selected(parts[0]).exists()
            case "is_same" | "is_another":
                return self._same(parts[0], parts[1], is_same=tree.data == "is_same")
        return self._is(parts[0], parts[1], negated=tree.data == "is_none_of")

    def _same(self, one: Tree[Token], other: Tree[Token], *, is_same: bool) -> Expression:
        """Whether two places exist and have the same token, or different ones."""
        a, b = self.places.seen(one), self.places.seen(other)
        shared = [v for v in _values(a.value) if v in _values(b.value)]
        if not shared:
            raise RuleSyntaxError(
                "the two are never the same",
                where=self.places.sentence.at(other),
                fix="compare places, or tables, that have a token in common",
            )
        flag = a.value == b.value if is_same else a.value != b.value
        return self._there((a, b), flag)

    def _is(self, place: Tree[Token], tree: Tree[Token], *, negated: bool) -> Expression:
        """Whether what is read at a place is one of a class, or there and none of it."""
        if place.data == "mapped":
            numbers = self._is_number(place, tree, negated)
            if numbers is not None:
                return numbers
        allowed = self.places.allowed(tree)
        tokens = self.places.prompts.vocabulary.tokens
        if negated:
            allowed = frozenset(range(len(tokens))) - allowed
            if not allowed:
                raise RuleSyntaxError(
                    "no token satisfies the condition",
                    where=self.places.sentence.at(tree),
                    fix="leave out fewer",
                )
        if place.data != "mapped" and self.places.missing(place) is None:
            return self._token_is(place, allowed)
        seen = self.places.seen(place)
        known = _values(seen.value)
        kept = frozenset(i for i in allowed if tokens[i] in known)
        if not kept:
            raise RuleSyntaxError(
                f"the token at this place is never `{word(tree)}`",
                where=self.places.sentence.at(tree),
                fix=f"name some of: {', '.join(map(str, known))}",
            )
        if len(kept) == len(known):
            return self.places.prompts.position >= seen.there_from
        wanted = [tokens[i] for i in sorted(kept)]
        flag = reduce(operator.or_, [seen.value == token for token in wanted])
        return self._there((seen,), flag)

    def _is_number(self, place: Tree[Token], tree: Tree[Token], negated: bool) -> Expression | None:
        """Whether a table gives a number; None where it gives tokens."""
        table = self.places.tables.get(str(place.children[0]))
        if table is None or not table.has_numbers or not word(tree).removeprefix("-").isdecimal():
            return None
        if all(result in self.places.prompts.vocabulary for result in table.results):
            return None
        seen = self.places.seen(place, as_number=True)
        number = int(word(tree))
        if number not in _values(seen.value):
            raise RuleSyntaxError(
                f"the table `{table.name}` never gives {number}",
                where=self.places.sentence.at(tree),
                fix=f"it gives: {', '.join(table.results)}",
            )
        return self._there((seen,), seen.value != number if negated else seen.value == number)

    def _token_is(self, place: Tree[Token], allowed: frozenset[int]) -> Expression:
        """Whether the token at some place is there and one of these."""
        tokens = self.places.prompts.vocabulary.tokens
        distance = self.places.distance(place) if place.data == "back" else 0
        if len(allowed) == len(tokens):
            return self.places.prompts.position >= distance
        outside = next(token for i, token in enumerate(tokens) if i not in allowed)
        return self.places.is_one_of(self.places.look(place, outside), allowed)

    def _compared(self, left: Tree[Token], sign: Token, right: Tree[Token]) -> Expression:
        """Whether two sums compare, and everything in them is there."""
        seen: list[Seen] = []
        one, other = self._sum(left, seen), self._sum(right, seen)
        return self._there(seen, COMPARE[" ".join(sign.split())](one, other))

    def _sum(self, tree: Tree[Token], seen: list[Seen]) -> Number:
        parts: list[Any] = tree.children
        total = self._term(parts[0], seen)
        for sign, part in zip(parts[1::2], parts[2::2], strict=True):
            term = self._term(part, seen)
            total = total + term if sign in ("+", "plus") else total - term
        return total

    def _term(self, tree: Tree[Token], seen: list[Seen]) -> Number:
        parts: list[Any] = tree.children
        match tree.data:
            case "number":
                return int(parts[0])
            case "term":
                return self._atom(parts[0], seen)
            case "modulo":
                left = self._atom(parts[0], seen) % int(parts[1])
                return left * int(parts[2]) if len(parts) > 2 else left
        atom, number = parts if isinstance(parts[0], Tree) else parts[::-1]
        return self._atom(atom, seen) * int(number)

    def _atom(self, tree: Tree[Token], seen: list[Seen]) -> Expression:
        if tree.data == "position":
            return self.places.prompts.position
        if tree.data == "count":
            return self.places.selected(tree.children[0]).count()
        found = self.places.seen(tree, as_number=True)
        seen.append(found)
        return found.value

    def _there(self, seen: Any, flag: Expression) -> Expression:
        """The flag, where everything that it reads is there."""
        there_from = max((each.there_from for each in seen), default=0)
        return (self.places.prompts.position >= there_from) & flag if there_from else flag


def _values(value: Expression) -> tuple[Any, ...]:
    assert isinstance(value.domain, Finite)
    return value.domain.values
