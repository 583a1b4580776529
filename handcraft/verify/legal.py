"""The legal prompts of a program: all of them, those of some contexts, and random ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.errors import CommandError
from handcraft.language import Prompts
from handcraft.language.matching import Matching, NotRegularError
from handcraft.verify.contexts import Batch, Ids
from handcraft.vocabulary import Vocabulary

Flags = npt.NDArray[np.bool_]

DRAWN = 10_000
"""How many legal prompts are drawn unless somebody asks for more: the oracle takes up to 1 ms each."""

BY_HYPOTHESIS = 2_000
"""How many at most where Hypothesis draws them, which takes ten times as long."""


def is_restricted(prompts: Prompts | None) -> bool:
    """Whether some texts are no legal prompts."""
    return prompts is not None and (prompts.inputs is not None or prompts.bos is not None)


def legal_only(batch: Batch, prompts: Prompts) -> Batch:
    """Those answers of a batch whose context is a legal prompt."""
    tokens = prompts.vocabulary.tokens
    legal = [prompts.is_legal([tokens[token] for token in batch.context(i)]) for i in range(len(batch))]
    return batch.only(np.array(legal, dtype=bool))


def drawn_texts(prompts: Prompts, count: int, seed: int) -> Iterator[Ids]:
    """Legal prompts drawn at random, each once, as places in the vocabulary: [text, position].

    Nothing is written in them yet, and they are so many fewer than asked for as each is many prompts.
    Where a regular expression says which are legal, about as many of each length; one that no automaton
    matches is drawn from by Hypothesis, as a strategy is, and those are fewer.

    Args:
        prompts: which texts are legal.
        count: how many legal prompts at most, with those that are written from them.
        seed: of what is drawn.

    Raises:
        CommandError: Hypothesis is needed, and not installed.
    """
    known = Inputs.of(prompts)
    wanted = -(-count // prompts.writes)
    found = [] if known is None else [*known.some(wanted, seed)]
    if found or (known is not None and known.count == 0):
        yield from found
    else:  # no automaton, or one whose texts hardly ever keep to the `bos`
        yield from _by_hypothesis(prompts, min(wanted, BY_HYPOTHESIS), seed)


@dataclass(frozen=True)
class Inputs:
    """The legal prompts of a regular expression, of a `bos`, or of both: those with nothing written.

    Args:
        prompts: which texts are legal.
        texts: with a regular expression, what it matches. Without one, what may follow the `bos`: any
            texts of the other tokens.
    """

    prompts: Prompts
    texts: Matching

    @classmethod
    def of(cls, prompts: Prompts) -> Inputs | None:
        """None where only Python code tells, or no automaton."""
        tokens = prompts.vocabulary.tokens
        if isinstance(prompts.inputs, str):
            try:
                texts = Matching(prompts.inputs, Vocabulary(tokens), prompts.longest_input)
                return cls(prompts, texts)
            except (re.error, NotRegularError):
                return None
        if prompts.inputs is not None:
            return None
        others = [token for token in tokens if token != prompts.bos]
        room = prompts.context - 1 if others else 0
        return cls(prompts, Matching(".*", Vocabulary(others or tokens), room))

    @property
    def count(self) -> int:
        """How many there are, or more: a `bos` may make some of them illegal."""
        return self.texts.count + (self.prompts.inputs is None)

    def every(self) -> Iterator[Ids]:
        """All of them."""
        return self._legal(iter(self.texts))

    def some(self, count: int, seed: int) -> Iterator[Ids]:
        """So many drawn, and each of those once."""
        return self._legal(np.unique(rows, axis=0) for rows in self.texts.draw(count, seed))

    def _legal(self, texts: Iterator[Ids]) -> Iterator[Ids]:
        prompts = self.prompts
        if prompts.bos is None:
            yield from texts
            return
        tokens = prompts.vocabulary.tokens
        bos = tokens.index(prompts.bos)
        if prompts.inputs is None:
            others = np.array([i for i in range(len(tokens)) if i != bos])
            yield np.array([[bos]])
            for rows in texts:
                yield np.insert(others[rows], 0, bos, axis=1)
            return
        for rows in texts:
            legal = rows[(rows[:, 0] == bos) & ~(rows[:, 1:] == bos).any(axis=1)]
            if len(legal):
                yield legal


def _by_hypothesis(prompts: Prompts, count: int, seed: int) -> Iterator[Ids]:
    """Legal prompts of which Hypothesis makes up the texts, or the letters of the texts."""
    places = {token: place for place, token in enumerate(prompts.vocabulary.tokens)}
    texts: dict[int, list[list[int]]] = {}
    is_spelled = isinstance(prompts.inputs, str)
    for tokens in _draw(prompts, count, seed):
        if is_spelled and not all(token in places for token in tokens):
            continue  # a regular expression spells words letter by letter, and not only known ones
        prompts.vocabulary.ids(tokens)  # raises where a strategy makes unknown ones
        if prompts.is_input(tokens):
            texts.setdefault(len(tokens), []).append([places[token] for token in tokens])
    for rows in texts.values():
        yield np.unique(np.array(rows, dtype=np.int64), axis=0)


def _draw(prompts: Prompts, count: int, seed: int) -> list[tuple[str, ...]]:
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError:
        raise CommandError(
            "legal prompts are drawn with Hypothesis, which is not installed",
            fix="pip install 'handcraft[testing]'",
        ) from None
    texts = prompts.inputs
    assert texts is not None  # what a `bos` alone says can be listed
    if isinstance(texts, str):
        texts = strategies.from_regex(texts, fullmatch=True, alphabet=_alphabet(prompts))
    found: list[tuple[str, ...]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(texts)
    def collect(text: object) -> None:
        tokens = prompts.vocabulary.split(text) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]
        if prompts.bos is not None and tokens[:1] != (prompts.bos,):
            tokens = (prompts.bos, *(t for t in tokens if t != prompts.bos))
        found.append(tuple(tokens))

    is_written = isinstance(prompts.inputs, str)  # and it may match no text over the vocabulary
    with suppress(hypothesis.errors.InvalidArgument) if is_written else nullcontext():
        collect()
    return found


def _alphabet(prompts: Prompts) -> str:
    return "".join(sorted({letter for token in prompts.vocabulary.tokens for letter in token} | {" "}))
