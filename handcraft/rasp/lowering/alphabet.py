"""The tokens of a RASP program: strings or numbers, spelled as the strings of a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from handcraft.errors import HandcraftError, ProgramError, VocabularyError, raise_all
from handcraft.language.graph.domain import Value, as_number, show_value
from handcraft.language.sequences import Expression, Prompts
from handcraft.origin import Place
from handcraft.rasp.rasp_node import value_of
from handcraft.vocabulary import Vocabulary, shorten


@dataclass(frozen=True)
class Alphabet:
    """The tokens as a RASP program sees them, and the vocabulary that spells them."""

    values: tuple[Value, ...]
    prompts: Prompts

    @cached_property
    def tokens(self) -> Expression:
        """The token at every position, as the program sees it."""
        spelled = self.prompts.vocabulary.tokens
        if spelled == self.values:
            return self.prompts.token
        return self.prompts.token.map(dict(zip(spelled, self.values, strict=True)))

    @cached_property
    def _spelling(self) -> dict[Value, str]:
        return dict(zip(self.values, self.prompts.vocabulary.tokens, strict=True))

    def spell(self, inputs: Sequence[object], where: str = "") -> tuple[str, ...]:
        """The tokens of one input, as the vocabulary spells them.

        Raises:
            ProgramError: there is none, or more than the context.
            VocabularyError: one is not in the vocabulary.
        """
        most = self.prompts.context
        if not 0 < len(inputs) <= most:
            raise ProgramError(
                f"{len(inputs)} tokens for max_length={most}",
                where=where or None,
                fix=f"give 1 to {most} tokens"
                + (f", or build with max_length={len(inputs)}" if inputs else ""),
            )
        return tuple([self._spelled(token, place, where) for place, token in enumerate(inputs)])

    def _spelled(self, token: object, place: int, where: str) -> str:
        try:
            return self._spelling[value_of(token)]
        except (KeyError, HandcraftError):
            raise VocabularyError(
                f"{token!r} is not in the vocabulary",
                where=f"position {place}" + (f" of {where}" if where else ""),
                fix=f"use one of its {len(self.values)} tokens: "
                + shorten([show_value(value) for value in self.values]),
            ) from None


def read_alphabet(
    vocabulary: Vocabulary | Iterable[object], max_length: int, causal: bool, place: Place
) -> Alphabet:
    """The alphabet of a vocabulary, and the texts over it of up to `max_length` tokens.

    Raises:
        HandcraftError: everything that is wrong, all at once.
    """
    found = vocabulary.tokens if isinstance(vocabulary, Vocabulary) else tuple(vocabulary)
    problems = list(_problems(found, max_length, place))
    raise_all(problems)
    values = tuple(map(value_of, found))
    if isinstance(vocabulary, set | frozenset):
        values = tuple(sorted(values, key=str if isinstance(values[0], str) else as_number))
    known = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(map(str, values))
    return Alphabet(values, Prompts(known, context=max_length, causal=causal, place=place))


def _problems(found: tuple[object, ...], max_length: object, place: Place) -> Iterator[HandcraftError]:
    if not isinstance(max_length, int) or isinstance(max_length, bool) or max_length < 1:
        yield ProgramError(
            f"max_length is {max_length!r}", where=place, fix="use a whole number of tokens, 1 or more"
        )
    strings = [token for token in found if isinstance(token, str)]
    numbers = [token for token in found if _is_number(token)]
    others = [token for token in found if not isinstance(token, str) and not _is_number(token)]
    if others:
        yield VocabularyError(
            f"the vocabulary contains {others[0]!r}, of type {type(others[0]).__name__}",
            where=place,
            fix="use only strings or only numbers",
        )
    if strings and numbers:
        yield VocabularyError(
            f"the vocabulary contains the string {strings[0]!r} and the number {numbers[0]!r}",
            where=place,
            fix="use only strings or only numbers",
        )


def _is_number(token: object) -> bool:
    """Whether it is a finite number, and no flag."""
    try:
        value = value_of(token)
    except HandcraftError:
        return False
    return isinstance(value, int | Fraction) and not isinstance(value, bool)
