"""Which inputs are tried: all of them where they are few, else the shortest ones and random ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from handcraft.errors import ProgramError, PromptError
from handcraft.language import Program, Prompts
from handcraft.language.regular.matching import Matching
from handcraft.testing.means.meaning import Meaning, MeantByProgram
from handcraft.testing.models.answering import Answering, Flags, Ids
from handcraft.testing.models.of_handcraft import OfHandcraft
from handcraft.verify.texts.allowed import drawn_texts, inputs_of, is_restricted
from handcraft.verify.texts.mixed import change_of
from handcraft.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Given: TypeAlias = "Prompts | str | Iterable[str | Sequence[str]] | SearchStrategy[Any] | None"
"""Which prompts to try: as `Prompts` allow them; a regular expression that they match as a whole; the
prompts themselves; a Hypothesis strategy; None for those of the program, or every text."""


LONGEST = 64
"""The most tokens of a prompt, where only the positions of a model say how many there may be."""


@dataclass(frozen=True)
class Trials:
    """The inputs that are tried.

    Args:
        prompts: which texts are allowed.
        longest: the most tokens of an input.
        every_up_to: with at most so many, every one is tried.
        sample: otherwise about so many.
        seed: of the random ones.
        program: whose rules the random ones should make fire; None if there is none.
    """

    prompts: Prompts
    longest: int
    every_up_to: int
    sample: int
    seed: int = 0
    program: Program | None = None

    @property
    def is_all(self) -> bool:
        """Whether every input is tried."""
        known = self._known
        return known is not None and known.count <= max(self.every_up_to, self.sample // 2)

    def __iter__(self) -> Iterator[Ids]:
        """The inputs as places in the vocabulary, [text, position], the shorter ones first."""
        known = self._known
        if self.is_all and known is not None:
            yield from known
            return
        count, short = self.sample, 0
        if known is not None and (listed := self._listed(self.sample // 2)):
            yield from listed
            count, short = self.sample - listed.count, listed.longest
        for texts in sorted(self._drawn(count, short + 1), key=lambda rows: rows.shape[1]):
            if short < texts.shape[1] <= self.longest:
                yield np.unique(texts, axis=0)

    def shorter(self, length: int) -> Matching | None:
        """All inputs of at most so many tokens; None where they are too many to try, or not known."""
        if self._known is None or length < 1:
            return None
        found = replace(self._known, longest=min(length, self.longest))
        return found if found.count <= self.every_up_to else None

    def allowed(self, texts: Ids) -> Flags:
        """Which texts, [text, position], are inputs."""
        if not 0 < texts.shape[1] <= self.longest:
            return np.zeros(len(texts), dtype=bool)
        return self.prompts.inputs_among(texts)

    @property
    def _known(self) -> Matching | None:
        known = inputs_of(self.prompts)
        return None if known is None else replace(known, longest=self.longest)

    def _listed(self, most: int) -> Matching | None:
        """All of the shortest inputs, if there are at most so many."""
        fits = None
        for length in range(1, self.longest + 1):
            assert self._known is not None
            shorter = replace(self._known, longest=length)
            if shorter.count > most:
                break
            fits = shorter if shorter.count else fits
        return fits

    def _drawn(self, count: int, shortest: int) -> Iterator[Ids]:
        """Random inputs of all lengths from the shortest that is wanted; some may be shorter."""
        if is_restricted(self.prompts):
            yield from drawn_texts(self.prompts, count, self.seed)
            return
        random = np.random.default_rng(self.seed)
        source = self.program
        if source is None:
            source = _without_rules(self.prompts)
        change, size = change_of(source), len(self.prompts.vocabulary)
        lengths = random.integers(shortest, self.longest + 1, size=count)
        for length, rows in zip(*np.unique(lengths, return_counts=True), strict=True):
            texts = random.integers(0, size, size=(int(rows), int(length)))
            yield change(texts, random)


@dataclass(frozen=True)
class Listed:
    """Inputs that are given one by one.

    Args:
        texts: their tokens as places.
    """

    texts: tuple[tuple[int, ...], ...]
    is_all: bool = True

    def __iter__(self) -> Iterator[Ids]:
        """The inputs, the shorter ones first."""
        ordered = sorted(dict.fromkeys(self.texts), key=lambda text: (len(text), text))
        ends = [i for i, (one, two) in enumerate(pairwise(ordered), 1) if len(one) != len(two)]
        for start, end in pairwise([0, *ends, len(ordered)]):
            if end > start:
                yield np.array(ordered[start:end], dtype=np.int64)

    def shorter(self, length: int) -> None:
        """All of them are tried anyway."""

    def allowed(self, texts: Ids) -> Flags:
        """Which texts, [text, position], are among them."""
        known = set(self.texts)
        return np.array([tuple(text) in known for text in texts.tolist()], dtype=bool)


def trials_of(
    given: Given,
    meaning: Meaning,
    *,
    longest: int | None,
    model: Answering,
    every_up_to: int,
    sample: int,
    seed: int,
) -> Trials | Listed:
    """The inputs to try.

    Args:
        given: which prompts to try, but for a strategy of Hypothesis.
        meaning: what is meant.
        longest: the most tokens of an input, where it was asked for.
        model: the model under test, which may have prompts that it was compiled for.
        every_up_to: with at most so many inputs, every one is tried.
        sample: otherwise about so many.
        seed: of the random ones.

    Raises:
        PromptError: nothing says how long prompts may be, or they may have no tokens.
        ProgramError: a regular expression cannot be read.
    """
    if longest is not None and longest < 1:
        raise PromptError(
            f"prompts of up to {longest} tokens have nothing to predict from",
            where=f"longest={longest}",
            fix="give longest=1 or more",
        )
    vocabulary = Vocabulary(meaning.vocabulary.tokens)
    own = meaning.prompts
    if own is None and isinstance(model, OfHandcraft):
        own = model.prompts
    if not isinstance(given, Prompts | str | None):
        assert isinstance(given, Iterable)  # a strategy is tried in another way
        return Listed(tuple(_places(text, vocabulary) for text in given))
    if isinstance(given, Prompts):
        prompts = given
    elif given is None and own is not None:
        prompts = own
    else:
        most = longest or (own.context if own is not None else None)
        if most is None and model.positions is not None:
            most = min(model.positions, LONGEST)
        if most is None:
            raise PromptError(
                "nothing says how long prompts may be",
                where="a function and a model without a number of positions",
                fix="give longest=, the most tokens of a prompt",
            )
        try:
            prompts = Prompts(vocabulary, most, inputs=given)
        except ProgramError as error:
            where = "the third argument, which restricts the prompts"
            raise ProgramError(error.what, where=where, fix=error.fix) from None
    program = meaning.program if isinstance(meaning, MeantByProgram) else None
    most = prompts.longest_input if longest is None else min(longest, prompts.longest_input)
    return Trials(prompts, most, every_up_to, sample, seed, program)


def _places(text: str | Sequence[str], vocabulary: Vocabulary) -> tuple[int, ...]:
    ids = vocabulary.ids(text)
    if not ids:
        raise PromptError("a prompt is empty", fix="give at least one token to predict from")
    return ids


def _without_rules(prompts: Prompts) -> Program:
    """A program that tests for no tokens: its random texts repeat some tokens, and name none."""
    from handcraft.language import predict

    return Program(prompts=prompts, rules=[predict(prompts.token).otherwise()])
