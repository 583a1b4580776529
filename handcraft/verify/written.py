"""Legal prompts that a program, or its model, has written in itself, token by token.

They are kept together: what is right after a text tells what is right after its beginnings too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from handcraft.language import Program, Prompts
from handcraft.model import Cache, Model
from handcraft.model.attention import Array
from handcraft.verify.contexts import SAMPLE_ROWS, Batch, Ids

CACHED_UP_TO = 1 << 24
"""So many keys are kept at most of texts that a model writes."""

Following = Callable[[Ids], Ids]
"""From texts of one length, [text, position], to the token that is written after each; -1 for none."""


def following_in(source: Program | Model) -> Following:
    """What is written after texts: what a program means, or the best token of a model."""
    if isinstance(source, Program):
        return lambda texts: source.answers_at(
            texts, np.arange(len(texts)), np.full(len(texts), texts.shape[1] - 1)
        )
    return _Best(source).following


class _Best:
    """The best token of a model, whose keys and values are kept for texts that go on by one token."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._texts: Ids = np.zeros((0, 0), dtype=np.int64)
        self._cache: Cache | None = None

    def following(self, texts: Ids) -> Ids:
        """The best token after each text, -1 for padding: [text]."""
        tokens: Ids = self._last(texts).argmax(axis=-1)
        return np.where(tokens < len(self.model.vocabulary), tokens, -1)

    def _last(self, texts: Ids) -> Array:
        """The logits after each text: [text, n_vocab]."""
        if not self.model.architecture.causal or self._numbers(len(texts)) > CACHED_UP_TO:
            return self.model.answer(texts)[:, -1]
        goes_on = self._cache is not None and np.array_equal(texts[:, :-1], self._texts)
        if not goes_on:
            self._cache = self.model.empty_cache(len(texts))
        self._texts = texts
        return self.model.answer(texts[:, -1:] if goes_on else texts, self._cache)[:, -1]

    def _numbers(self, texts: int) -> int:
        """How many keys a cache of so many texts holds."""
        shape = self.model.shape
        return texts * shape.n_positions * shape.n_embd * shape.n_layer


@dataclass(frozen=True)
class Written:
    """Legal prompts of one length, and those that they were written from.

    Args:
        texts: places in the vocabulary, [text, position].
        shortest: how many tokens stand there at first. Each beginning of a text that has as many or
            more is a legal prompt too.
    """

    texts: Ids
    shortest: int


def written_from(prompts: Prompts, inputs: Iterator[Ids], following: Following) -> Iterator[Written]:
    """Legal prompts, from those of which nothing is written yet.

    A text ends early where nothing legal can be written, or where it comes to be an input itself: then
    it is one of the others.

    Args:
        prompts: which texts are legal.
        inputs: places in the vocabulary, [text, position] for each length.
        following: what is written.
    """
    for rows in inputs:
        for start in range(0, len(rows), SAMPLE_ROWS):
            yield from _written_from(prompts, rows[start : start + SAMPLE_ROWS], following)


def _written_from(prompts: Prompts, texts: Ids, following: Following) -> Iterator[Written]:
    shortest = texts.shape[1]
    for _ in range(prompts.writes - 1):
        if not len(texts):
            return
        added = following(texts)
        longer = np.hstack([texts, added[:, None]])
        goes_on = added >= 0
        known = longer[goes_on]
        goes_on[goes_on] = prompts.legal(known) & ~prompts.inputs_among(known)
        if not goes_on.all():
            yield Written(texts[~goes_on], shortest)
        texts = longer[goes_on]
    if len(texts):
        yield Written(texts, shortest)


def legal_batches(model: Model, written: Iterator[Written], at_every_position: bool) -> Iterator[Batch]:
    """Legal prompts as contexts, run so many at a time.

    Args:
        model: the model.
        written: the texts.
        at_every_position: as for `every_context`.
    """
    for each in written:
        logits = model.answer(each.texts)  # [text, position, n_vocab]
        if at_every_position:
            yield Batch.of_positions(each.texts, logits)
        else:
            yield Batch.of_beginnings(each.texts, each.shortest, logits)
