"""Random expressions: one of each kind from what is chosen, valid by construction."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any, Literal, TypeAlias, TypeVar

from handcraft.language import (
    Expression,
    Prompts,
    Selection,
    lookup,
    select,
    weighted,
    where,
    window,
)
from handcraft.language.graph.domain import Finite
from handcraft.language.graph.domain import Kind as DomainKind
from handcraft.random_programs.choosing import Choosing, members

Kind: TypeAlias = Literal["category", "flag", "number"]

T = TypeVar("T")

KINDS: tuple[Kind, ...] = ("category", "flag", "number")

FEW = 6
"""The most rows of a table, and of values that a table is made over."""

SOME = 24
"""The most values of a number, unless it may be wide."""

WEIGHTS = (1, 2, -1, 0.5, 0.25)
"""Of sources in a weighted sum."""


class Making:
    """Makes expressions of each kind from what is chosen.

    Numbers may have many values only if it is `wide`.
    """

    def __init__(self, choosing: Choosing, prompts: Prompts, wide: bool) -> None:
        self.whole = choosing.whole
        self.prompts = prompts
        self.wide = wide

    def expression(self, kind: Kind, depth: int) -> Expression:
        """An expression of a kind, with so many operations inside one another."""
        if depth <= 0:
            return self._source(kind)
        general = [self._choice, self._back, self._at_position, self._learned]
        special: dict[Kind, list[Callable[[int], Expression]]] = {
            "category": [self._mapped_category, self._looked_up],
            "flag": [self._comparison, self._joined, self._negated, self._exists],
            "number": [
                *(self._arithmetic, self._scaled, self._remainder, self._mapped_number),
                *(self._function, self._window, self._weighted, self._count, self._mean),
            ],
        }
        ways = [*special[kind], *(lambda d, way=way: way(kind, d) for way in general)]
        made = self._one(ways)(depth - 1)
        return made if kind != "number" or self.wide else self._with_some_values(made, SOME)

    def _source(self, kind: Kind) -> Expression:
        token, position = self.prompts.token, self.prompts.position
        if kind == "category":
            return token
        if kind == "number":
            return position
        return self._either(
            lambda: token == self._one(self.prompts.vocabulary.tokens),
            lambda: position >= self.whole(1, self.prompts.context),
        )

    def _one(self, choices: Sequence[T]) -> T:
        return choices[self.whole(0, len(choices) - 1)]

    def _coin(self) -> bool:
        return self.whole(0, 1) == 1

    def _either(self, *ways: Callable[[], T]) -> T:
        """The result of one of some constructions."""
        return self._one(ways)()

    def _beside(self, kind: Kind, depth: int) -> Expression:
        """A smaller expression to combine with one of this depth, so that trees stay small."""
        return self.expression(kind, self.whole(0, min(depth, 1)))

    def _few_whole(self) -> int:
        return self.whole(-3, 6)

    # numbers kept small

    def _with_some_values(self, number: Expression, most: int) -> Expression:
        """The number, or one made of it that has at most so many values."""
        domain = number.domain
        if isinstance(domain, Finite) and len(domain.values) <= most:
            return number
        if isinstance(domain, Finite) and all(isinstance(value, int) for value in domain.values):
            return number % self.whole(2, min(most, 4))
        return where(number >= self._few_whole(), 1, 0)

    def _few(self, kind: Kind, depth: int) -> Expression:
        """An expression with so few values that a table has a row for each."""
        made = self.expression(kind, depth)
        if kind == "number":
            return self._with_some_values(made, FEW)
        if kind == "category" and len(self._values(made)) > FEW:
            return self._is_one(made)
        return made

    def _is_one(self, expression: Expression) -> Expression:
        """A flag: whether it has one of its values."""
        flag: Expression = expression == self._one(self._values(expression))
        return flag

    def _values(self, expression: Expression) -> tuple[Any, ...]:
        assert isinstance(expression.domain, Finite)
        return expression.domain.values

    def _value(self, expression: Expression) -> Any:
        """A value that this may be compared with."""
        if expression.domain.kind is DomainKind.NUMBER:
            return self._few_whole()
        return self._one(self._values(expression))

    def _default(self, expression: Expression) -> Any:
        """A default for a missing value of an expression."""
        is_flag = expression.domain.kind is DomainKind.FLAG
        return self._coin() if is_flag else self._value(expression)

    # every kind

    def _choice(self, kind: Kind, depth: int) -> Expression:
        yes = self.expression(kind, depth)
        no = self._either(lambda: self._beside(kind, depth), lambda: self._value(yes))
        return where(self._beside("flag", depth), yes, no)

    def _back(self, kind: Kind, depth: int) -> Expression:
        value = self.expression(kind, depth)
        nearest = 0 if self.prompts.causal else self.prompts.context - 1
        offset = self.whole(-self.prompts.context, nearest)
        return value.at(offset, default=self._default(value))

    def _at_position(self, kind: Kind, depth: int) -> Expression:
        value = self.expression(kind, depth)
        place = self.whole(0, self.prompts.context - 1)
        return value.at_position(place, default=self._default(value))

    def _learned(self, kind: Kind, depth: int) -> Expression:
        value = self.expression(kind, depth)
        chosen = self._selection(depth)
        learn = self._one([chosen.latest, chosen.earliest])
        if chosen.sources.always and self._coin():
            return learn(value)
        return learn(value, default=self._default(value))

    # categories

    def _mapped_category(self, depth: int) -> Expression:
        argument = self._few(self._one(KINDS), depth)
        tokens = self.prompts.vocabulary.tokens
        return argument.map({value: self._one(tokens) for value in self._values(argument)})

    def _looked_up(self, depth: int) -> Expression:
        one = self._few(self._one(KINDS), depth)
        other = self._beside("flag", depth)
        if len(self._values(one)) * 2 > FEW:
            one = self._is_one(one)
        rows = product(self._values(one), self._values(other))
        tokens = self.prompts.vocabulary.tokens
        return lookup({row: self._one(tokens) for row in rows}, one, other)

    # flags

    def _comparison(self, depth: int) -> Any:
        kind = self._one(KINDS)
        one = self.expression(kind, depth)
        other = self._either(lambda: self._value(one), lambda: self._beside(kind, depth))
        ways: list[Callable[[Any, Any], Any]] = [operator.eq, operator.ne]
        if kind == "number":
            ways += [operator.lt, operator.le, operator.gt, operator.ge]
        return self._one(ways)(one, other)

    def _joined(self, depth: int) -> Expression:
        one, other = self.expression("flag", depth), self._beside("flag", depth)
        return self._either(lambda: one & other, lambda: one | other)

    def _negated(self, depth: int) -> Expression:
        return ~self.expression("flag", depth)

    def _exists(self, depth: int) -> Expression:
        return self._selection(depth).exists()

    # numbers

    def _arithmetic(self, depth: int) -> Any:
        one = self.expression(self._one(["number", "flag"]), depth)
        other: Any = self._either(self._few_whole, lambda: self._beside("number", depth))
        return self._either(lambda: one + other, lambda: one - other, lambda: other - one)

    def _scaled(self, depth: int) -> Any:
        number = self.expression("number", depth)
        factor: Any = self._one([2, 3, -1, 0.5, Fraction(-3, 4)])
        divisor: Any = self._one([2, 4, -2, 0.25])
        products = (lambda: number * factor, lambda: factor * number)
        return self._either(*products, lambda: number / divisor, lambda: -number)

    def _remainder(self, depth: int) -> Expression:
        number = self._with_some_values(self.expression("number", depth), SOME)
        divisor = self._one([2, 3, 4, -2])
        return self._either(lambda: number % divisor, lambda: number // divisor)

    def _mapped_number(self, depth: int) -> Expression:
        argument = self._few(self._one(KINDS), depth)
        return argument.map({value: self._few_whole() for value in self._values(argument)})

    def _function(self, depth: int) -> Expression:
        one = self._with_some_values(self.expression("number", depth), SOME)
        other = self._with_some_values(self._beside("number", depth), FEW)
        few = self._with_some_values(one, FEW)
        of_two = (lambda: lookup(max, one, other), lambda: lookup(min, one, 1))
        return self._either(*of_two, lambda: one.map(abs), lambda: few * other)

    def _window(self, depth: int) -> Expression:
        length = self.whole(1, self.prompts.context + 1)
        return window(length).mean(self.expression(self._one(["number", "flag"]), depth))

    def _weighted(self, depth: int) -> Expression:
        value = self.expression(self._one(["number", "flag"]), depth)
        weights = {-offset: self._one(WEIGHTS) for offset in members(self.whole(1, 7))}
        return weighted(value, weights, default=self._one([0, 0, 1]))

    def _count(self, depth: int) -> Expression:
        return self._selection(depth).count()

    def _mean(self, depth: int) -> Expression:
        value = self.expression(self._one(["number", "flag"]), depth)
        return self._selection(depth).mean(value, default=self._few_whole())

    # selections

    def _selection(self, depth: int) -> Selection:
        first = self._matching(depth)
        return self._either(
            lambda: first,
            lambda: ~first,
            lambda: first & self._matching(0),
            lambda: first | self._matching(0),
            lambda: ~(first & self._matching(0)),
            lambda: first & self.prompts.everything,
        )

    def _matching(self, depth: int) -> Selection:
        kind = self._one(KINDS)
        key = self.expression(kind, depth)
        if kind == "number":
            key = self._with_some_values(key, SOME)
        query = self._either(lambda: self._value(key), lambda: self._query(kind, depth))
        signs = ["==", "!=", "<", "<=", ">", ">="] if kind == "number" else ["==", "!="]
        return select(key, query, self._one(signs))

    def _query(self, kind: Kind, depth: int) -> Expression:
        made = self._beside(kind, depth)
        return self._with_some_values(made, SOME) if kind == "number" else made
