"""Phrases: expressions in the words of rule files, the way back from `read_sentence`.

The words depend on the structure of an expression, never on its name: two expressions with the same
meaning and the same parts get the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from handcraft.errors import ProgramError
from handcraft.language.graph.domain import Kind, Value
from handcraft.language.graph.node import (
    Aggregate,
    Constant,
    Linear,
    Lookup,
    Match,
    Node,
    Sources,
    is_position,
    is_token,
)
from handcraft.language.graph.reachable import bases, rows
from handcraft.language.patterns.pattern import Pattern, escape
from handcraft.language.sequences import Comparison, Expression
from handcraft.language.text.phrase_number import (
    Place,
    Tables,
    comparison,
    escape_brackets,
    modulo,
    place_of,
    place_words,
    table_at,
)
from handcraft.limits import WRITTEN_TEXT
from handcraft.vocabulary import Vocabulary

OWN_WORDS = frozenset(("not", "token", "position", "first", "last", "count"))
"""Tokens that must be in brackets in a condition, because they are words of the grammar."""


OR, AND, NOT = 1, 2, 3
"""How tightly phrases bind."""

JOINTS: dict[int, dict[str, Callable[[tuple[Value, ...]], bool]]] = {
    1: {"not": lambda row: not row[0]},
    2: {"and": all, "or": any, "not both": lambda row: not all(row)},
}
"""How a flag is made of one or two others."""

Phrase: TypeAlias = tuple[str, int]

Allowed: TypeAlias = tuple[Place, frozenset[str]]
"""A place, and the tokens that a flag allows there; without a default the place must be there."""


class NoWordsError(ProgramError):
    """An expression that rule files cannot express."""


def answer_phrase(expression: Expression, tables: Tables) -> str:
    """The words for a rule that predicts the value of a category.

    Raises:
        NoWordsError: a rule file cannot express it.
    """
    node, context = expression.node, expression.prompts.context
    if isinstance(node, Constant) and isinstance(node.value, str):
        return escape(node.value)
    if is_token(node):
        return "the last token"
    place, followed = place_of(node, context), _followed(node, context)
    if followed is not None:
        return f"what followed last time otherwise {escape(followed)}"
    if place is not None:
        otherwise = "" if place.default is None else f" otherwise {escape(place.default)}"
        return f"the {place.words}{otherwise}"
    return _found(place_words(node, context, tables, Kind.CATEGORY), node)


def flag_phrase(expression: Expression, tables: Tables) -> str:
    """The words for the condition of a rule.

    Raises:
        NoWordsError: a rule file cannot express it.
    """
    prompts = expression.prompts
    return _Flags(prompts.vocabulary, prompts.context, tables).phrase(expression.node)[0]


@dataclass
class _Flags:
    """Writes flags as words, operands before results.

    Attributes:
        allowed: for the flags that test the token at a place, that place and the tokens for which they
            are true.
        phrases: the words of a flag, and how tightly they bind.
    """

    vocabulary: Vocabulary
    context: int
    tables: Tables
    allowed: dict[Node, Allowed] = field(default_factory=dict)
    phrases: dict[Node, Phrase] = field(default_factory=dict)

    def phrase(self, root: Node) -> Phrase:
        """The words of a flag, and how tightly they bind."""
        waiting = [(root, False)]
        while waiting:
            node, are_parts_done = waiting.pop()
            if node in self.phrases:
                continue
            parts = node.children if _joint(node) is not None else ()
            if parts and not are_parts_done:
                waiting += [(node, True), *((part, False) for part in reversed(parts))]
                continue
            allowed = self._allowed(node)
            if allowed is not None:
                self.allowed[node] = allowed
            words, binding = self._place_is(allowed) or self._joined(node) or (self._test(node), NOT)
            if len(words) > WRITTEN_TEXT.most:
                raise NoWordsError(
                    f"the words for `{root}` are more than {WRITTEN_TEXT.most:,} characters, since "
                    "they repeat its shared parts"
                )
            self.phrases[node] = words, binding
        return self.phrases[root]

    def _allowed(self, node: Node) -> Allowed | None:
        """A place, and the tokens that a flag allows there; None where it is no such test."""
        found = table_at(node, self.context)
        if found is not None:
            place, table = found
            allowed = frozenset(str(token) for token, holds in table.items() if holds)
            return (place if place.default in allowed else replace(place, default=None)), allowed
        joint = _joint(node)
        if joint not in ("and", "or"):
            return None
        one, other = (self.allowed.get(part) for part in node.children)
        if one is None or other is None or one[0] != other[0]:
            return None
        return one[0], one[1] & other[1] if joint == "and" else one[1] | other[1]

    def _place_is(self, allowed: Allowed | None) -> Phrase | None:
        """The words for: the token at a place exists and is in a class."""
        if allowed is None or not allowed[1]:
            return None
        place, tokens = allowed
        others = frozenset(self.vocabulary.tokens) - tokens
        if not others:
            return f"position >= {place.distance if place.default is None else 0}", NOT
        if len(others) == 1:
            return f"{place.in_condition} is not {self._class(others)}", NOT
        return f"{place.in_condition} is {self._class(tokens)}", NOT

    def _joined(self, node: Node) -> Phrase | None:
        """What is made of other flags."""
        joint = _joint(node)
        if joint is None:
            return None
        parts = [self.phrases[part] for part in node.children]
        if joint == "not":
            return f"not ({parts[0][0]})", NOT
        binding = OR if joint == "or" else AND
        left, right = (_within(part, binding + i) for i, part in enumerate(parts))
        if joint == "not both":
            return f"not ({left} and {right})", NOT
        return f"{left} {joint} {right}", binding

    def _test(self, node: Node) -> str:
        """A flag of one number, or of what came before."""
        if isinstance(node, Aggregate) and node.how == "exists":
            return f"{self._selected(node.sources, node)} came before"
        return _found(self._same(node) or comparison(node, self._number), node)

    def _same(self, node: Node) -> str | None:
        """Whether two places have the same token; None for any other flag."""
        if not isinstance(node, Lookup) or len(node.arguments) != 2:
            return None
        is_same = {found is (one == other) for (one, other), found in node.table.items()}
        if len(is_same) != 1:
            return None
        kind = Kind.CATEGORY
        one, other = (place_words(n, self.context, self.tables, kind) for n in node.arguments)
        if one is None or other is None:
            return None
        the = "the " if place_of(node.arguments[1], self.context) is not None else ""
        return f"{one} {'is' if is_same == {True} else 'is not'} {the}{other}"

    def _number(self, node: Node) -> str:
        remainder = modulo(node)
        if remainder is not None:
            number, divisor = remainder
            if isinstance(number, Linear):  # of a sum there is no remainder in words
                raise _no_words(node)
            return f"{self._counted(number)} % {divisor}"
        return self._counted(node)

    def _counted(self, node: Node) -> str:
        if is_position(node):
            return "position"
        if isinstance(node, Aggregate) and node.how == "count":
            return f"count of {self._selected(node.sources, node)}"
        return _found(place_words(node, self.context, self.tables, Kind.NUMBER), node)

    def _selected(self, sources: Sources, node: Node) -> str:
        """The class of tokens that a selection selects."""
        match sources.cases:
            case ((),):
                return "."
            case ((Match(key=key, query=Constant(value=wanted)) as match,),):
                below = bases(key)
                if len(below) == 1 and is_token(below[0]):
                    values = {str(token): value for (token,), (value,) in rows([key], below)}
                    allowed = frozenset(t for t, value in values.items() if match.holds(value, wanted))
                    if allowed:
                        return self._class(allowed)
        raise _no_words(node)

    def _class(self, tokens: frozenset[str]) -> str:
        ids = frozenset(self.vocabulary.ids(sorted(tokens)))
        written = escape_brackets(Pattern((ids,)).text(self.vocabulary))
        return f"[{written}]" if written in OWN_WORDS else written


def _within(phrase: Phrase, binding: int) -> str:
    words, bound = phrase
    return words if bound >= binding else f"({words})"


def _joint(node: Node) -> str | None:
    """How a flag is made of other flags: not, and, or, not both; None where it is not."""
    if not isinstance(node, Lookup) or any(a.domain.kind is not Kind.FLAG for a in node.arguments):
        return None
    for joint, holds in JOINTS.get(len(node.arguments), {}).items():
        if all(found is holds(row) for row, found in node.table.items()):
            return joint
    return None


def _followed(node: Node, context: int) -> str | None:
    """The default token of an expression for what followed this token last time; None for any other."""
    if not isinstance(node, Aggregate) or node.how != "latest" or not is_token(node.value):
        return None
    if len(node.sources.cases) != 1 or len(node.sources.cases[0]) != 2:
        return None
    if not isinstance(node.default, str):
        return None
    pair = node.sources.cases[0]
    for same, later in (pair, pair[::-1]):
        place = place_of(same.key, context)
        is_same = same.relation is Comparison.EQ and is_token(same.query)
        is_later = later.relation is Comparison.GT and is_position(later.key)
        starts = isinstance(later.query, Constant) and later.query.value == 0
        if place is not None and place.distance == 1 and is_same and is_later and starts:
            return node.default
    return None


def _found(words: str | None, node: Node) -> str:
    if words is None:
        raise _no_words(node)
    return words


def _no_words(node: Node) -> NoWordsError:
    return NoWordsError(f"`{node}` cannot be expressed in a rule file")
