"""Allowed prompts whose last tokens a program, or its model, has written, token by token.

They stay together: the right answers for a text give those for its prefixes too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from handcraft.language import Program, Prompts
from handcraft.language.meaning import Meaning
from handcraft.model import Cache, Model
from handcraft.model.layers.attention import Array, Flags
from handcraft.verify.texts.batch import SAMPLE_ROWS, Batch, Ids, Part, Whole

CACHED_UP_TO = 1 << 24
"""About how many keys, or logits, are kept at most of texts that a model writes."""

Following = Callable[[Ids, Flags | None], tuple[Ids, Array]]
"""What is written after texts of one length, and the logits that say so.

It takes the texts, [text, position], and which texts of the call before they continue by one token;
None for new texts. It gives the token after each, -1 for none, and the logits, [text, n_vocab]. A
program has no logits: there n_vocab is 0.
"""


def following_in(source: Program | Meaning | Model) -> Following:
    """What is written after texts: what a program means, or the best token of a model."""
    return _means(source) if isinstance(source, Program | Meaning) else _Best(source)


def _means(program: Program | Meaning) -> Following:
    def following(texts: Ids, kept: Flags | None) -> tuple[Ids, Array]:
        ends = np.full(len(texts), texts.shape[1] - 1)
        return program.answers_at(texts, np.arange(len(texts)), ends), np.empty((len(texts), 0))

    return following


class _Best:
    """The best token of a model, whose keys and values are kept for texts that go on by one token."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._cache: Cache | None = None

    def __call__(self, texts: Ids, kept: Flags | None) -> tuple[Ids, Array]:
        logits = self._last(texts, kept)
        tokens = logits.argmax(axis=-1)
        return np.where(tokens < len(self.model.vocabulary), tokens, -1), logits

    def _last(self, texts: Ids, kept: Flags | None) -> Array:
        """The logits after each text: [text, n_vocab]."""
        if not self.model.architecture.causal:
            return self.model.answer(texts)[:, -1]
        if self._cache is None or kept is None:
            self._cache = self.model.empty_cache(len(texts))
        elif not kept.all():
            self._cache = self._cache.rows(kept)
        return self.model.answer(texts[:, self._cache.length :], self._cache)[:, -1]


@dataclass(frozen=True)
class Written:
    """Allowed prompts of one length, and those that they were written from.

    Args:
        texts: places in the vocabulary, [text, position].
        shortest: how many tokens each text had before anything was written. Each prefix of a text with
            so many or more tokens is an allowed prompt too.
        logits: what was answered after each of these prefixes, [text, prefix, n_vocab].
    """

    texts: Ids
    shortest: int
    logits: Array


def written_from(
    prompts: Prompts, inputs: Iterator[Ids], following: Following, rows: int = SAMPLE_ROWS
) -> Iterator[Written]:
    """Allowed prompts, from those of which nothing is written yet: [text, position] for each length.

    A text ends early where no allowed token can be written, or where it becomes an input itself,
    because it is then one of the others.
    """
    for texts in inputs:
        for start in range(0, len(texts), rows):
            yield from _written_from(prompts, texts[start : start + rows], following)


def _written_from(prompts: Prompts, texts: Ids, following: Following) -> Iterator[Written]:
    shortest, goes_on = texts.shape[1], None
    answered: list[Array] = []  # after each prefix, [text, n_vocab]
    for left in reversed(range(prompts.writes)):
        added, logits = following(texts, goes_on)
        answered.append(logits)
        longer = np.hstack([texts, added[:, None]])
        goes_on = (added >= 0) & (left > 0)
        known = longer[goes_on]
        goes_on[goes_on] = prompts.allowed(known) & ~prompts.inputs_among(known)
        if not goes_on.all():
            ended = np.stack([each[~goes_on] for each in answered], axis=1)
            yield Written(texts[~goes_on], shortest, ended)
            answered = [each[goes_on] for each in answered]
        texts = longer[goes_on]
        if not len(texts):
            return


@dataclass(frozen=True)
class Inputs:
    """Allowed prompts as contexts, with what the model has written in them.

    The tokens that the model writes and the logits that are checked come from the same run.

    Args:
        texts: allowed prompts of which nothing is written yet, as places: [text, position].
    """

    texts: Ids

    def __call__(self, model: Model, prompts: Prompts | None) -> Iterator[Batch]:
        """Run them."""
        assert prompts is not None
        for each in written_from(prompts, iter([self.texts]), following_in(model)):
            yield Batch.of_prefixes(each.texts, each.shortest, each.logits)


def allowed_parts(model: Model, inputs: Iterator[Ids], at_every_position: bool) -> Iterator[Part]:
    """Allowed prompts as contexts, from those of which nothing is written yet."""
    shape = model.shape
    kept = shape.n_positions * max(shape.n_embd * shape.n_layer, shape.n_vocab)
    rows = min(SAMPLE_ROWS, max(1, CACHED_UP_TO // kept))
    for texts in inputs:
        for start in range(0, len(texts), rows):
            some = texts[start : start + rows]
            yield Whole(some, at_every_position=True) if at_every_position else Inputs(some)
