"""Rules, as a person writes them: `predict("b").after("aa")`."""

from __future__ import annotations

from dataclasses import dataclass, field

from handcraft.language.pattern import Pattern
from handcraft.origin import Origin, Place, caller_place


@dataclass(frozen=True, repr=False)
class Rule:
    """One rule as written; what it means is settled by the program that holds it.

    Args:
        token: the token to predict.
        pattern: the text of the pattern that the context must end in; None for ``otherwise``.
        place: where the rule was written.
        pattern_place: where the first character of the pattern stands, when the rule is text.
    """

    token: str
    pattern: str | None
    place: Place | None = field(default=None, compare=False)
    pattern_place: Place | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        ending = "otherwise()" if self.pattern is None else f"after({self.pattern!r})"
        return f"predict({self.token!r}).{ending}"

    def __str__(self) -> str:
        ending = "otherwise" if self.pattern is None else f"after {self.pattern}"
        return f"predict {self.token} {ending}"

    @property
    def origin(self) -> Origin:
        """The origin of everything that serves this rule."""
        return Origin(str(self), self.place)


@dataclass(frozen=True)
class Prediction:
    """The first half of a rule: the token. `after` or `otherwise` makes it whole."""

    token: str

    def after(self, pattern: str) -> Rule:
        """Predict the token where the context ends in `pattern`.

        The pattern may hold tokens, ``.`` for any token, ``[ab]``, ``[^a]``, and ``start`` with a
        blank at its beginning to anchor it at the first position.
        """
        return Rule(self.token, pattern, caller_place(1))

    def otherwise(self) -> Rule:
        """Predict the token wherever no earlier rule fires."""
        return Rule(self.token, None, caller_place(1))


def predict(token: str) -> Prediction:
    """Begin a rule that predicts `token`.

    >>> print(predict("b").after("aa"))
    predict b after aa
    """
    return Prediction(token)


@dataclass(frozen=True)
class Clause:
    """A rule read against a vocabulary.

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
