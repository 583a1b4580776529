"""`Prompts`: the vocabulary, context and prompt grammar of a program, and its token and position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from handcraft.display import short_repr
from handcraft.errors import HandcraftError, ProgramError, PromptError, raise_all
from handcraft.language.graph.attend import everything
from handcraft.language.graph.domain import Finite, Kind, whole_numbers
from handcraft.language.graph.node import Embedded
from handcraft.language.graph.table import constant
from handcraft.language.graph.wording import reads
from handcraft.language.regular import RegularExpressionError, parse
from handcraft.language.regular.matching import Matching
from handcraft.language.regular.token_table import ANYTHING, Flags, Ids
from handcraft.language.sequences.allowed_texts import refused_prompt
from handcraft.language.sequences.expression import Expression
from handcraft.language.sequences.functions import Selection
from handcraft.language.written.names import Names
from handcraft.limits import CONTEXT, LISTED_POSITIONS, VOCABULARY
from handcraft.origin import Place, caller_place
from handcraft.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@short_repr
@dataclass(frozen=True, init=False, eq=False)
class Prompts:
    """The allowed prompts of a program: texts over a vocabulary, up to a length.

    Args:
        vocabulary: a `Vocabulary`, or what makes one.
        context: the most tokens of a text.
        inputs: which texts are allowed: a regular expression that a whole text must match, or a
            Hypothesis strategy that generates them; None for all. For other texts the answer is
            undefined.
        bos: the token that every allowed prompt begins with, and that occurs nowhere else; None for no
            such token.
        causal: whether a position sees only itself and earlier ones.
        writes: how many tokens a program adds to a text that matches `inputs`, which must leave room
            for them. An allowed prompt may end in some of the tokens that the program writes, and in
            no others, so an `.assume()` may depend on them. A text that matches `inputs` as a whole
            is always an input, even if the program wrote its end.

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
    writes: int
    place: Place | None = field(repr=False)

    def __init__(
        self,
        vocabulary: Vocabulary | str | Iterable[str],
        context: int,
        *,
        inputs: str | SearchStrategy[Any] | None = None,
        bos: str | None = None,
        causal: bool = True,
        writes: int = 1,
        place: Place | None = None,
    ) -> None:
        place = place or caller_place(1)
        known, problems = _read_vocabulary(vocabulary, place)
        VOCABULARY.check(len(known), where=place)
        for number in (context, writes):
            if isinstance(number, int):
                CONTEXT.check(number, where=place)
        problems += _problems(known, context, inputs, bos if not problems else None, place)
        if type(writes) is not int or writes != 1:
            problems += _writing_problems(context, inputs, causal, writes, place)
        raise_all(problems)
        vars(self).update(vocabulary=known, context=int(context), inputs=inputs, bos=bos)
        vars(self).update(causal=causal, writes=int(writes), place=place)
        if self.refuses_some:  # an automaton of reasonable size must decide which prompts are allowed
            try:
                _ = self.texts.table
            except RegularExpressionError as error:
                raise _of_inputs(error, self.place) from None

    @cached_property
    def texts(self) -> Matching:
        """The allowed prompts of which the program wrote nothing, as places in the vocabulary.

        One automaton decides which they are, everywhere. A strategy cannot check a text, so all texts
        that conform to `bos` are included.
        """
        pattern = self.inputs if isinstance(self.inputs, str) else ANYTHING
        return Matching(pattern, Vocabulary(self.vocabulary.tokens), self.longest_input, self.bos)

    @cached_property
    def names(self) -> Names:
        """The names of the values that are made from these prompts."""
        return Names()

    @cached_property
    def token(self) -> Expression:
        """The token at every position."""
        tokens = Finite(Kind.CATEGORY, self.vocabulary.tokens)
        return Expression(self, Embedded(tokens, reads("token"), "token"))

    @cached_property
    def position(self) -> Expression:
        """The position, from 0.

        Raises:
            LimitError: the context has more of them than expressions can read.
        """
        LISTED_POSITIONS.check(
            self.context,
            where=self.place,
            fix=f"a context of {LISTED_POSITIONS.most:,}, or rules that read tokens only",
        )
        positions = whole_numbers(0, self.context - 1)
        return Expression(self, Embedded(positions, reads("position"), "position"))

    @cached_property
    def everything(self) -> Selection:
        """All positions that are seen: up to this one, or all of the text where it is not causal."""
        return Selection(self, everything())

    def constant(self, value: object) -> Expression:
        """The same value everywhere."""
        return Expression(self, constant(value))

    @property
    def longest_input(self) -> int:
        """The most tokens of a text that matches `inputs`: what is written after it has room.

        The last token that is written needs none, for nothing follows it.
        """
        return self.context - self.writes + 1

    @property
    def refuses_some(self) -> bool:
        """Whether some texts are known not to be allowed; a strategy cannot check a given text."""
        return self.bos is not None or isinstance(self.inputs, str)

    def allows(self, tokens: str | Sequence[str]) -> bool:
        """Whether a text is an allowed prompt; a text longer than the context never is.

        Whether the tokens after an input are those that the program writes is not checked here.

        If nothing is known, as for a strategy, any text of any length is allowed.
        """
        if not self.refuses_some:
            return True
        places = self._places(tokens)
        return bool(places) and bool(self.allowed(np.array([places]))[0])

    def is_input(self, tokens: str | Sequence[str]) -> bool:
        """Whether a text is an allowed prompt of which the program need not have written anything."""
        places = self._places(tokens)
        return bool(places) and bool(self.inputs_among(np.array([places]))[0])

    def allowed(self, texts: Ids) -> Flags:
        """Which texts of one length are allowed prompts, as far as that is known: [text].

        Args:
            texts: places in the vocabulary, [text, position].
        """
        count, length = texts.shape
        if not self.refuses_some:
            return np.ones(count, dtype=bool)
        if length > self.context:
            return np.zeros(count, dtype=bool)
        inputs = self.texts.table.matches(texts[:, : self.longest_input])  # [text, position]
        found = inputs[:, max(0, length - self.writes) :].any(axis=1)
        if self.bos is not None:
            found &= (texts[:, 1:] != self.vocabulary.tokens.index(self.bos)).all(axis=1)
        return np.asarray(found)

    def inputs_among(self, texts: Ids) -> Flags:
        """Which texts of one length are allowed prompts of which the program wrote nothing: [text].

        Args:
            texts: places in the vocabulary, [text, position].
        """
        if not 0 < texts.shape[1] <= self.longest_input:
            return np.zeros(len(texts), dtype=bool)
        return self.texts.table.matches(texts)[:, -1]

    def _places(self, tokens: str | Sequence[str]) -> list[int] | None:
        """The places of tokens in the vocabulary; None where one is not there."""
        split = self.vocabulary.split(tokens) if isinstance(tokens, str) else tokens
        places = [self._known.get(token) for token in split]
        return None if None in places else [place for place in places if place is not None]

    @cached_property
    def _known(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary.tokens)}

    def written(self, tokens: Sequence[str]) -> int:
        """How many tokens at the end of an allowed prompt the program must have written itself.

        Where it begins with several inputs the longest counts: what was written after a shorter one
        was written after the longer one too.

        >>> Prompts("ab=", context=7, inputs="[ab]{3}=", writes=3).written("aba=ab")
        2
        """
        if self.writes == 1:
            return 0
        places = self._places(tokens) or []
        return len(tokens) - self._input_length(places, at_least=len(tokens) - self.writes + 1)

    def _input_length(self, places: Sequence[int], *, at_least: int = 1) -> int:
        """How many tokens the longest input has that a text begins with; 0 where there is none."""
        ends = self.texts.table.matches(np.array([places[: self.longest_input]], dtype=np.int64))
        longest = int(np.flatnonzero(ends[0]).max(initial=-1)) + 1
        return longest if longest >= at_least else 0

    def check_promised(self, tokens: Sequence[str], answer: Callable[[Sequence[str]], str]) -> None:
        """Raise unless a program promises an answer after a text.

        Args:
            tokens: the text.
            answer: what the program predicts after a text.

        Raises:
            PromptError: it is not an allowed prompt, or goes on with other tokens than are predicted.
        """
        self.check_allowed(tokens)
        lengths = range(len(tokens) - self.written(tokens), len(tokens))
        self.check_written(tokens, (answer(tokens[:length]) for length in lengths))

    def check_allowed(self, tokens: Sequence[str]) -> None:
        """Raise unless a text is an allowed prompt; a strategy allows any text.

        Raises:
            PromptError: it is not; the message names the first token that is not allowed, or says what
                is missing at the end.

        >>> Prompts("ab=", context=7, inputs="[ab]{3}=[ab]{0,2}").check_allowed("ab=")
        Traceback (most recent call last):
            ...
        handcraft.errors.PromptError: PromptError: '=' is not allowed here; expected one of a b
          where: token 3 of 'ab='
          fix:   allowed prompts match [ab]{3}=[ab]{0,2}, for example 'aba='
        """
        if not self.allows(tokens):
            raise refused_prompt(
                tokens,
                self.texts,
                self.context,
                pattern=self.inputs if isinstance(self.inputs, str) else None,
                writes=self.writes,
                begun=self._input_length(self._places(tokens) or []) if self.writes > 1 else 0,
            )

    def check_written(self, tokens: Sequence[str], following: Iterable[str]) -> None:
        """Raise unless an allowed prompt continues its input with what the program writes.

        Raises:
            PromptError: it does not; the message names the first token that the program would not
                have written.
        """
        first = len(tokens) - self.written(tokens)
        for place, wanted in zip(range(first, len(tokens)), following, strict=True):
            if tokens[place] != wanted:
                raise PromptError(
                    f"{tokens[place]!r} where the program writes {wanted!r}",
                    where=f"token {place + 1} of {self.vocabulary.join(tokens)!r}",
                    fix="leave out what is to be written",
                )


def _read_vocabulary(
    vocabulary: Vocabulary | str | Iterable[str], place: Place
) -> tuple[Vocabulary, list[HandcraftError]]:
    """The vocabulary, and what is wrong with it."""
    if isinstance(vocabulary, Vocabulary):
        return vocabulary, []
    try:
        return Vocabulary(vocabulary), []
    except HandcraftError as error:
        problems = [*getattr(error, "problems", (error,))]
        for problem in problems:
            problem.where = problem.where or str(place)
        return Vocabulary("?"), problems


def _of_inputs(error: RegularExpressionError, place: Place | None) -> RegularExpressionError:
    return RegularExpressionError(f"inputs: {error.what}", where=place, fix=error.fix)


def _writing_problems(
    context: object, inputs: object, causal: bool, writes: object, place: Place
) -> Iterable[HandcraftError]:
    if not isinstance(writes, int) or isinstance(writes, bool) or writes < 1:
        yield ProgramError(
            f"writes={writes!r}", where=place, fix="use a whole number of tokens, 1 or more"
        )
    elif not isinstance(inputs, str):
        yield ProgramError(
            f"writes={writes}, but no regular expression describes the inputs",
            where=place,
            fix="give inputs= a regular expression for what comes before the first written token",
            in_rules="add a line `inputs` with a regular expression for what comes before the first "
            "written token",
        )
    elif not causal or (isinstance(context, int) and writes > context):
        yield ProgramError(
            f"writes={writes} for {f'a context of {context}' if causal else 'a program without mask'}",
            where=place,
            fix="a program with a causal mask writes token by token, within its context",
        )


def _problems(
    vocabulary: Vocabulary, context: object, inputs: object, bos: str | None, place: Place
) -> Iterable[HandcraftError]:
    if not isinstance(context, int) or isinstance(context, bool) or context < 1:
        yield ProgramError(
            f"the context is {context!r}", where=place, fix="use a whole number of tokens, 1 or more"
        )
    if isinstance(inputs, str):
        try:
            parse(inputs)
        except RegularExpressionError as error:
            yield _of_inputs(error, place)
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
