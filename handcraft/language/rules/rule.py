"""Rules as written: `predict("b").after("aa").when(position >= 3)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

from handcraft.errors import ProgramError
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rules.distribution import exact, show_distribution
from handcraft.language.sequences import Expression
from handcraft.origin import Origin, Place, caller_place

Answer: TypeAlias = str | Expression | Mapping[str, Fraction]
"""What a rule predicts: a token, a category, or how probable each of some tokens is."""


@dataclass(frozen=True, repr=False, eq=False)
class Rule:
    """One rule as written; its meaning depends on the program that it is in.

    Two rules are equal if all their parts are; an expression is equal only to itself.

    Args:
        answer: what to predict.
        pattern: the text of the pattern that the context must end in; None for any context.
        place: where the rule was written.
        pattern_place: where the pattern begins, if the rule was read from text.
        flag: the condition besides the pattern; None for no condition.
        written: the sentence that it was read from; None for a rule written in Python.
    """

    answer: Answer
    pattern: str | None = None
    place: Place | None = None
    pattern_place: Place | None = None
    flag: Expression | None = field(default=None, kw_only=True)
    written: str | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        return f"predict({_show(self.answer, repr)}){self._ending('.after({!r})', '.when({!s})')}"

    def __str__(self) -> str:
        if self.written is not None:
            return self.written
        return f"predict {_show(self.answer, str)}{self._ending(' after {}', ' when {}')}"

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Rule) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def token(self) -> str:
        """The token that it predicts, where that is the same wherever it fires.

        Raises:
            ProgramError: it is not.
        """
        if isinstance(self.answer, str):
            return self.answer
        raise ProgramError(
            f"`{self}` does not predict one token", where=self.place, fix="read its answer"
        )

    @cached_property
    def origin(self) -> Origin:
        """The origin of everything that serves this rule."""
        return Origin(str(self), self.place)

    @property
    def where(self) -> str:
        """Where it was written, and how, for errors."""
        return f"{self.place}, {self}" if self.place else str(self)

    @property
    def has_expressions(self) -> bool:
        """Whether its answer or its condition is an expression."""
        return self.flag is not None or isinstance(self.answer, Expression)

    def after(self, pattern: str) -> Rule:
        """The same rule, where the context ends in `pattern` as well."""
        self._check_free(self.pattern, "after", "write one pattern for both")
        return replace(self, pattern=pattern, written=None)

    def when(self, flag: Expression) -> Rule:
        """The same rule, where `flag` is true as well."""
        self._check_free(self.flag, "when", "join the two flags with &")
        return replace(self, flag=flag, written=None)

    def _check_free(self, taken: object, method: str, fix: str) -> None:
        if self.pattern is None and self.flag is None:
            raise ProgramError(
                f"`.{method}()` comes after otherwise(), which always fires",
                where=f"{caller_place(2)}, {self}",
                fix="leave otherwise() out",
            )
        if taken is not None:
            raise ProgramError(
                f"the rule has a second `.{method}()`", where=f"{caller_place(2)}, {self}", fix=fix
            )

    def _ending(self, after: str, when: str) -> str:
        """The conditions, each written in a form."""
        if self.pattern is None and self.flag is None:
            return ".otherwise()" if after.startswith(".") else " otherwise"
        pattern = "" if self.pattern is None else after.format(self.pattern)
        return pattern + ("" if self.flag is None else when.format(self.flag))

    @property
    def _identity(self) -> tuple[object, ...]:
        answer: object = self.answer
        if isinstance(answer, Expression):
            answer = answer.node
        elif isinstance(answer, Mapping):
            answer = frozenset(answer.items())
        return answer, self.pattern, None if self.flag is None else self.flag.node


def _show(answer: object, show: Any) -> str:
    if isinstance(answer, Expression):
        return str(answer)
    if isinstance(answer, Mapping):
        return show_distribution(answer) if show is str else repr(_plain(answer))
    return str(show(answer))


def _plain(probabilities: Mapping[Any, Any]) -> dict[Any, Any]:
    """Probabilities as the shortest decimals that mean the same, where there are such."""
    floats = {
        token: float(probability) if isinstance(probability, Fraction) else probability
        for token, probability in probabilities.items()
    }
    return floats if exact(floats) == probabilities else dict(probabilities)


@dataclass(frozen=True, repr=False)
class Prediction:
    """The first half of a rule: what to predict. `after`, `when` or `otherwise` completes it."""

    answer: Answer

    def __repr__(self) -> str:
        return f"predict({_show(self.answer, repr)})"

    def after(self, pattern: str) -> Rule:
        """Predict it where the context ends in `pattern`.

        The pattern may contain tokens, ``.`` for any token, ``[ab]``, ``[^a]``, and begin with
        ``start`` and a space, which anchors it at the first position.
        """
        return Rule(self.answer, pattern, caller_place(1))

    def when(self, flag: Expression) -> Rule:
        """Predict it where `flag` is true."""
        return Rule(self.answer, place=caller_place(1), flag=flag)

    def otherwise(self) -> Rule:
        """Predict it wherever no earlier rule fires."""
        return Rule(self.answer, place=caller_place(1))


def predict(answer: str | Expression | Mapping[str, float | Fraction]) -> Prediction:
    """Begin a rule that predicts `answer`.

    Args:
        answer: a token; a category, whose value is the token; or a mapping that gives tokens their
            probabilities, which sum to 1. A float is taken as its decimal notation: 0.1 is 1/10.

    >>> print(predict("b").after("aa"))
    predict b after aa
    >>> print(predict({"a": 0.25, "b": 0.75}).otherwise())
    predict a 1/4 b 3/4 otherwise
    """
    return Prediction(exact(answer) if isinstance(answer, Mapping) else answer)


@dataclass(frozen=True)
class Clause:
    """A rule that predicts one token after a pattern, parsed with a vocabulary.

    Args:
        token: the id of the token to predict.
        pattern: what the context must end in; the empty pattern matches always.
        rule: the rule as written.
    """

    token: int
    pattern: Pattern
    rule: Rule

    @property
    def is_otherwise(self) -> bool:
        """Whether it fires on every context that reaches it."""
        return len(self.pattern) == 0
