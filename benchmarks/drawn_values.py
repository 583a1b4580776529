"""Random expressions, each with its meaning as a plain Python function of the text.

These functions use nothing of the package, so they judge the language as well as the compiler.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from random import Random
from typing import Any

from handcraft import Expression, Prompts, Selection, lookup, regex, select, weighted, where, window
from handcraft.errors import DomainError
from handcraft.language.graph.domain import Finite

Text = tuple[str, ...]
Column = list[Any]
"""A value at every position of a text."""

FEW, SOME = 5, 16
"""The most values of a table's argument, and of any other number."""

SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
REGEXES = ("(ab|b)*a?", "[ab]*a[ab]", "(a|bb)*", "a.*|b", "b?a*b?")


class Drawn:
    """An expression and its meaning.

    Args:
        expression: what the compiler gets.
        meaning: from a text to the value at every position.
    """

    def __init__(self, expression: Expression, meaning: Callable[[Text], Column]) -> None:
        self.expression = expression
        self.values = cache(meaning)


@dataclass(frozen=True)
class DrawnSelection:
    """A selection, and the function from a text to whether each destination selects each source."""

    selection: Selection
    rows: Callable[[Text], list[list[bool]]]

    def learned(self, text: Text, values: Column) -> list[Column]:
        """For each destination, the values at the sources that it selects."""
        return [
            [value for value, yes in zip(values, row, strict=True) if yes] for row in self.rows(text)
        ]


def pointwise(expression: Expression, function: Callable[..., Any], *arguments: Drawn) -> Drawn:
    """An expression that is a function of the values of others at the same position."""
    return Drawn(
        expression,
        lambda text: [function(*row) for row in zip(*(a.values(text) for a in arguments), strict=True)],
    )


class Values:
    """Draws expressions over some prompts.

    Args:
        random: the source of all choices.
        prompts: what the expressions are made of.
    """

    def __init__(self, random: Random, prompts: Prompts) -> None:
        self.random = random
        self.prompts = prompts
        self.tokens = prompts.vocabulary.tokens
        self.token = Drawn(prompts.token, list)
        self.position = Drawn(prompts.position, lambda text: list(range(len(text))))

    def draw(self, kind: str, depth: int) -> Drawn:
        """An expression of a kind, `category`, `flag` or `number`, with so many nested operations.

        A draw that the language refuses, such as a table with too many rows, is drawn again.
        """
        while True:
            try:
                return self._draw(kind, depth)
            except DomainError:
                continue

    def _draw(self, kind: str, depth: int) -> Drawn:
        if depth <= 0:
            return self._source(kind)
        own = {"category": self._category, "flag": self._flag, "number": self._number}[kind]
        general = (self._choice, self._back, self._at_position, self._selected)
        ways = [own, own, own, *(partial(way, kind) for way in general)]
        made = self.random.choice(ways)(depth - 1)
        return self.small(made, SOME) if kind == "number" else made

    def _source(self, kind: str) -> Drawn:
        if kind != "flag":
            return self.token if kind == "category" else self.position
        if self.random.random() < 0.6:
            token = self.random.choice(self.tokens)
            return pointwise(self.prompts.token == token, lambda t: t == token, self.token)
        return self._compared(self.position, self.random.randint(0, self.prompts.context - 1))

    def _value(self, kind: str) -> Any:
        if kind == "number":
            return self.random.randint(-1, 3)
        return self.random.choice(self.tokens if kind == "category" else (False, True))

    def small(self, number: Drawn, most: int) -> Drawn:
        """The number, or one made of it that has at most so many values."""
        domain = number.expression.domain
        if isinstance(domain, Finite) and len(domain.values) <= most:
            return number
        if isinstance(domain, Finite) and all(isinstance(value, int) for value in domain.values):
            modulus = self.random.randint(2, min(most, 4))
            return pointwise(number.expression % modulus, lambda n: n % modulus, number)
        flag = self._compared(number, self.random.randint(-1, 3))
        return pointwise(where(flag.expression, 1, 0), int, flag)

    # of every kind

    def _choice(self, kind: str, depth: int) -> Drawn:
        flag, yes, no = self.draw("flag", 0), self.draw(kind, depth), self.draw(kind, min(depth, 1))
        made = where(flag.expression, yes.expression, no.expression)
        return pointwise(made, lambda f, y, n: y if f else n, flag, yes, no)

    def _back(self, kind: str, depth: int) -> Drawn:
        drawn, default = self.draw(kind, depth), self._value(kind)
        offset = -self.random.randint(1, self.prompts.context)
        if not self.prompts.causal and self.random.random() < 0.5:
            offset = -offset

        def meaning(text: Text) -> Column:
            values = drawn.values(text)
            sources = [here + offset for here in range(len(text))]
            return [values[there] if 0 <= there < len(text) else default for there in sources]

        return Drawn(drawn.expression.at(offset, default=default), meaning)

    def _at_position(self, kind: str, depth: int) -> Drawn:
        drawn, default = self.draw(kind, depth), self._value(kind)
        place = self.random.randrange(self.prompts.context)

        def meaning(text: Text) -> Column:
            seen = [self._seen(here, text) for here in range(len(text))]
            return [drawn.values(text)[place] if place < count else default for count in seen]

        return Drawn(drawn.expression.at_position(place, default=default), meaning)

    def _selected(self, kind: str, depth: int) -> Drawn:
        drawn, default, chosen = self.draw(kind, depth), self._value(kind), self.selection(depth)
        end = self.random.choice((0, -1))
        learn = chosen.selection.latest if end else chosen.selection.earliest

        def meaning(text: Text) -> Column:
            values = drawn.values(text)
            found = (
                [v for v, yes in zip(values, row, strict=True) if yes] for row in chosen.rows(text)
            )
            return [some[end] if some else default for some in found]

        return Drawn(learn(drawn.expression, default=default), meaning)

    def _seen(self, here: int, text: Text) -> int:
        return here + 1 if self.prompts.causal else len(text)

    # categories

    def _category(self, depth: int) -> Drawn:
        return self.random.choice((self._mapped, self._looked_up, self._spelled))(depth)

    def _mapped(self, depth: int) -> Drawn:
        drawn = self.draw("category", depth)
        table = {token: self._value("category") for token in self.tokens}
        return pointwise(drawn.expression.map(table), table.__getitem__, drawn)

    def _looked_up(self, depth: int) -> Drawn:
        kind = self.random.choice(("category", "flag", "number"))
        one, other = self.draw("category", depth), self.small_or_any(kind, min(depth, 1))
        return self._table(one, other, "category")

    def _spelled(self, depth: int) -> Drawn:
        number = self.small(self.draw("number", depth), FEW)
        table = {value: self._value("category") for value in number.expression.domain.values}
        return pointwise(number.expression.map(table), table.__getitem__, number)

    def small_or_any(self, kind: str, depth: int) -> Drawn:
        """An expression with few enough values for a table."""
        drawn = self.draw(kind, depth)
        return self.small(drawn, FEW) if kind == "number" else drawn

    def _table(self, one: Drawn, other: Drawn, kind: str) -> Drawn:
        rows = [(x, y) for x in one.expression.domain.values for y in other.expression.domain.values]
        table = {row: self._value(kind) for row in rows}
        made = lookup(table, one.expression, other.expression)
        return pointwise(made, lambda x, y: table[x, y], one, other)

    # flags

    def _flag(self, depth: int) -> Drawn:
        ways = [self._equal, self._joined, self._negated, self._exists, self._number_compared]
        ways += [self._number_compared, self._accepted] if self.prompts.causal else []
        return self.random.choice(ways)(depth)

    def _equal(self, depth: int) -> Drawn:
        kind = self.random.choice(("category", "flag"))
        one, other = self.draw(kind, depth), self.draw(kind, min(depth, 1))
        sign = self.random.choice(("==", "!="))
        return pointwise(SIGNS[sign](one.expression, other.expression), SIGNS[sign], one, other)

    def _joined(self, depth: int) -> Drawn:
        one, other = self.draw("flag", depth), self.draw("flag", min(depth, 1))
        join = self.random.choice((operator.and_, operator.or_))
        return pointwise(join(one.expression, other.expression), join, one, other)

    def _negated(self, depth: int) -> Drawn:
        flag = self.draw("flag", depth)
        return pointwise(~flag.expression, operator.not_, flag)

    def _number_compared(self, depth: int) -> Drawn:
        number = self.draw("number", depth)
        if self.random.random() < 0.6:
            return self._compared(number, self.random.randint(-1, 4))
        return self._compared(number, self.draw("number", 0))

    def _compared(self, one: Drawn, other: Drawn | int) -> Drawn:
        sign = self.random.choice(list(SIGNS))
        if isinstance(other, int):
            made = SIGNS[sign](one.expression, other)
            return pointwise(made, lambda x: SIGNS[sign](x, other), one)
        return pointwise(SIGNS[sign](one.expression, other.expression), SIGNS[sign], one, other)

    def _accepted(self, depth: int) -> Drawn:
        drawn, pattern = self.draw("category", min(depth, 1)), self.random.choice(REGEXES)
        made = regex(pattern, alphabet=self.tokens).accepts(drawn.expression)

        def meaning(text: Text) -> Column:
            line = "".join(drawn.values(text))
            return [bool(re.fullmatch(pattern, line[: here + 1])) for here in range(len(text))]

        return Drawn(made, meaning)

    def _exists(self, depth: int) -> Drawn:
        chosen = self.selection(depth)
        return Drawn(chosen.selection.exists(), lambda text: list(map(any, chosen.rows(text))))

    # numbers

    def _number(self, depth: int) -> Drawn:
        ways = (self._sum, self._sum, self._product, self._extreme, self._counted, self._counted)
        more = (self._valued, self._mean, self._mean, self._window, self._weighted, self._divided)
        return self.random.choice(ways + more)(depth)

    def _sum(self, depth: int) -> Drawn:
        one = self.draw("number", depth)
        other = self.draw(self.random.choice(("number", "flag")), min(depth, 1))
        p, q, r = (self.random.randint(-2, 3) for _ in range(3))
        made = p * one.expression + q * other.expression + r
        return pointwise(made, lambda x, y: p * x + q * y + r, one, other)

    def _product(self, depth: int) -> Drawn:
        one = self.small(self.draw("number", depth), FEW)
        other = self.small(self.draw("number", min(depth, 1)), FEW)
        return pointwise(one.expression * other.expression, operator.mul, one, other)

    def _extreme(self, depth: int) -> Drawn:
        one, other = self.draw("number", depth), self.draw("number", 0)
        choose = self.random.choice((max, min))
        return pointwise(lookup(choose, one.expression, other.expression), choose, one, other)

    def _divided(self, depth: int) -> Drawn:
        number, by = self.draw("number", depth), self.random.randint(2, 3)
        divide = self.random.choice((operator.floordiv, operator.mod, operator.truediv))
        made = divide(number.expression, by)
        return pointwise(made, lambda n: divide(Fraction(n), by), number)

    def _valued(self, depth: int) -> Drawn:
        kind = self.random.choice(("category", "flag"))
        drawn = self.draw(kind, depth)
        table = {value: self._value("number") for value in drawn.expression.domain.values}
        return pointwise(drawn.expression.map(table), table.__getitem__, drawn)

    def _counted(self, depth: int) -> Drawn:
        chosen = self.selection(depth)
        return Drawn(chosen.selection.count(), lambda text: list(map(sum, chosen.rows(text))))

    def _mean(self, depth: int) -> Drawn:
        drawn, default = self.draw(self.random.choice(("number", "flag")), depth), self._value("number")
        chosen = self.selection(min(depth, 1))

        def meaning(text: Text) -> Column:
            values = drawn.values(text)
            found = (
                [v for v, yes in zip(values, row, strict=True) if yes] for row in chosen.rows(text)
            )
            return [Fraction(sum(some)) / len(some) if some else default for some in found]

        return Drawn(chosen.selection.mean(drawn.expression, default=default), meaning)

    def _window(self, depth: int) -> Drawn:
        drawn = self.draw(self.random.choice(("number", "flag")), depth)
        length = self.random.randint(1, self.prompts.context)

        def meaning(text: Text) -> Column:
            values = drawn.values(text)
            found = [values[max(0, here - length + 1) : here + 1] for here in range(len(text))]
            return [Fraction(sum(some)) / len(some) for some in found]

        return Drawn(window(length).mean(drawn.expression), meaning)

    def _weighted(self, depth: int) -> Drawn:
        drawn = self.draw(self.random.choice(("number", "flag")), depth)
        offsets = self.random.sample((0, -1, -2), self.random.randint(1, 3))
        weights = {offset: self.random.choice((1, 2, -1, Fraction(1, 2))) for offset in offsets}
        default = self.random.choice((0, 0, 1))

        def meaning(text: Text) -> Column:
            values = drawn.values(text)
            return [
                sum(
                    weight * (values[here + offset] if here + offset >= 0 else default)
                    for offset, weight in weights.items()
                )
                for here in range(len(text))
            ]

        return Drawn(weighted(drawn.expression, weights, default=default), meaning)

    # selections

    def selection(self, depth: int) -> DrawnSelection:
        """A comparison of keys with queries, or one or two of those joined and negated."""
        first = self._matching(depth)
        shape = self.random.choice(("alone", "alone", "not", "and", "or", "not and"))
        if shape in ("alone", "not"):
            return self._complement(first) if shape == "not" else first
        second = self._matching(0)
        join = operator.or_ if shape == "or" else operator.and_

        def rows(text: Text) -> list[list[bool]]:
            pairs = zip(first.rows(text), second.rows(text), strict=True)
            return [list(map(join, one, other)) for one, other in pairs]

        both = DrawnSelection(join(first.selection, second.selection), rows)
        return self._complement(both) if shape == "not and" else both

    def _matching(self, depth: int) -> DrawnSelection:
        kind = self.random.choice(("category", "category", "flag", "number"))
        key = self.draw(kind, depth)
        sign = self.random.choice(list(SIGNS) if kind == "number" else ("==", "!="))
        query: Drawn | Any = self.draw(kind, min(depth, 1))
        if self.random.random() < 0.4:
            query = self._value(kind)
        if kind == "number" and self.random.random() < 0.3:
            key, query, sign = self.position, self.position, self.random.choice(list(SIGNS))
        asked = query.expression if isinstance(query, Drawn) else query

        def rows(text: Text) -> list[list[bool]]:
            keys = key.values(text)
            queries = query.values(text) if isinstance(query, Drawn) else [query] * len(text)
            return [
                [
                    there < self._seen(here, text) and SIGNS[sign](keys[there], queries[here])
                    for there in range(len(text))
                ]
                for here in range(len(text))
            ]

        return DrawnSelection(select(key.expression, asked, sign), rows)

    def _complement(self, chosen: DrawnSelection) -> DrawnSelection:
        def rows(text: Text) -> list[list[bool]]:
            return [
                [there < self._seen(here, text) and not yes for there, yes in enumerate(row)]
                for here, row in enumerate(chosen.rows(text))
            ]

        return DrawnSelection(~chosen.selection, rows)
