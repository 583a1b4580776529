"""The texts that a program speaks about, and the sequences that it starts from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from handcraft.errors import HandcraftError, ProgramError, raise_all
from handcraft.language.sequences.domain import Finite, Kind, whole_numbers
from handcraft.language.sequences.expression import Expression
from handcraft.language.sequences.legal_texts import illegal_prompt
from handcraft.language.sequences.look import everything
from handcraft.language.sequences.node import Embedded
from handcraft.language.sequences.selection import Selection
from handcraft.language.sequences.table import constant
from handcraft.origin import Place, caller_place
from handcraft.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, init=False, eq=False)
class Prompts:
    """The legal prompts of a program: texts over a vocabulary, up to a length.

    Args:
        vocabulary: a `Vocabulary`, or what makes one.
        context: the most tokens of a text.
        inputs: which texts are legal: a regular expression that a whole text must match, or a
            Hypothesis strategy that makes them; None for all. Outside of them a program promises
            nothing.
        bos: the token that every legal prompt begins with, and that stands nowhere else; None for no
            such token.
        causal: whether a position sees only itself and earlier ones.

    Raises:
        HandcraftError: everything that is wrong, all at once.

    >>> prompts = Prompts("ab", context=5)
    >>> print(prompts.token.at(-1, default="a") == "b")
    token.at(-1, default='a') == 'b'
    >>> (prompts.token == "a").trace("aab")
    (True, True, False)
    """

    vocabulary: Vocabulary
    context: int
    inputs: str | SearchStrategy[Any] | None
    bos: str | None
    causal: bool
    place: Place | None = field(repr=False)

    def __init__(
        self,
        vocabulary: Vocabulary | str | Iterable[str],
        context: int,
        *,
        inputs: str | SearchStrategy[Any] | None = None,
        bos: str | None = None,
        causal: bool = True,
        place: Place | None = None,
    ) -> None:
        place = place or caller_place(1)
        known = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        raise_all(list(_problems(known, context, inputs, bos, place)))
        object.__setattr__(self, "vocabulary", known)
        object.__setattr__(self, "context", int(context))
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "bos", bos)
        object.__setattr__(self, "causal", causal)
        object.__setattr__(self, "place", place)

    @cached_property
    def token(self) -> Expression:
        """The token at every position."""
        tokens = Finite(Kind.CATEGORY, self.vocabulary.tokens)
        return Expression(self, Embedded(tokens, "token", "token"))

    @cached_property
    def position(self) -> Expression:
        """The position, from 0."""
        return Expression(self, Embedded(whole_numbers(0, self.context - 1), "position", "position"))

    @cached_property
    def everything(self) -> Selection:
        """All positions that are seen: up to this one, or all of the text where it is not causal."""
        return Selection(self, everything())

    def constant(self, value: object) -> Expression:
        """The same value everywhere."""
        return Expression(self, constant(value))

    @property
    def refuses_some(self) -> bool:
        """Whether some text is known to be no legal prompt; of a strategy's texts nobody can tell."""
        return self.bos is not None or isinstance(self.inputs, str)

    def is_legal(self, tokens: Sequence[str]) -> bool:
        """Whether a text is a legal prompt, as far as that is known; longer than the context none is.

        Where nothing is known, as of a strategy's texts, any text is, of any length.
        """
        if not self.refuses_some:
            return True
        if len(tokens) > self.context or not all(token in self.vocabulary for token in tokens):
            return False
        if self.bos is not None and (not tokens or tokens[0] != self.bos or self.bos in tokens[1:]):
            return False
        if isinstance(self.inputs, str):
            return re.fullmatch(self.inputs, self.vocabulary.join(tokens)) is not None
        return True

    def check_legal(self, tokens: Sequence[str]) -> None:
        """Raise unless a text is a legal prompt, as far as that is known.

        Args:
            tokens: the text; all are in the vocabulary.

        Raises:
            PromptError: it is none; with the first token at which no legal prompt begins so, or with
                what is missing at its end.

        >>> Prompts("ab=", context=7, inputs="[ab]{3}=[ab]{0,2}").check_legal("ab=")
        Traceback (most recent call last):
            ...
        handcraft.errors.PromptError: PromptError: '=' stands where legal prompts have one of a b
          where: token 3 of 'ab='
          fix:   legal prompts match [ab]{3}=[ab]{0,2}, as 'aba=' does
        """
        if not self.is_legal(tokens):
            raise illegal_prompt(
                tokens, self.vocabulary, self.context, inputs=self.inputs, bos=self.bos
            )


def _problems(
    vocabulary: Vocabulary, context: object, inputs: object, bos: str | None, place: Place
) -> Iterable[HandcraftError]:
    if not isinstance(context, int) or isinstance(context, bool) or context < 1:
        yield ProgramError(
            f"the context is {context!r}",
            where=place,
            fix="use a whole number of tokens, 1 or more",
        )
    if isinstance(inputs, str):
        try:
            re.compile(inputs)
        except re.error as error:
            yield ProgramError(
                f"inputs={inputs!r} is no regular expression: {error}",
                where=place,
                fix=r"write one as Python's re reads it, such as '[ab]+'",
            )
    elif inputs is not None and not hasattr(inputs, "example"):
        yield ProgramError(
            f"inputs={inputs!r}, of type {type(inputs).__name__}",
            where=place,
            fix="give a regular expression, a Hypothesis strategy, or nothing",
        )
    if bos is not None and bos not in vocabulary:
        yield ProgramError(
            f"bos={bos!r} is not in the vocabulary", where=place, fix="add it to the vocabulary"
        )
