"""All contexts of a model, each run once: a walk down the tree of prefixes with shared caches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.model import Model
from handcraft.model.attention import Array

Ids = npt.NDArray[np.int64]

CACHE_NUMBERS = 1 << 21
"""About how many numbers a cache holds at each depth of the walk."""

SAMPLE_ROWS = 1 << 12
"""How many sampled contexts run at once."""


@dataclass(frozen=True)
class Batch:
    """Some contexts, and what the model answers to each.

    A context is a beginning of a text; many contexts may share one.

    Args:
        texts: places in the vocabulary, [text, position].
        rows: for each context, its text: [context].
        lengths: for each context, how many tokens of the text it has: [context].
        logits: what follows each context, [context, n_vocab].
    """

    texts: Ids
    rows: Ids
    lengths: Ids
    logits: Array

    @classmethod
    def of_texts(cls, texts: Ids, logits: Array) -> Batch:
        """The texts themselves as contexts."""
        count, length = texts.shape
        return cls(texts, np.arange(count), np.full(count, length), logits)

    def __len__(self) -> int:
        return len(self.rows)

    def context(self, i: int) -> list[int]:
        """One context."""
        return [int(token) for token in self.texts[self.rows[i], : self.lengths[i]]]

    def ends(self, length: int) -> Ids:
        """The last `length` tokens of every context, -1 where it has fewer: [context, length]."""
        places = self.lengths[:, None] + np.arange(-length, 0)  # [context, length]
        tokens = self.texts[self.rows[:, None], np.maximum(places, 0)]
        return np.where(places < 0, -1, tokens)


def count_contexts(size: int, longest: int) -> int:
    """The number of contexts of 1 to `longest` tokens over `size` tokens."""
    return sum(size**length for length in range(1, longest + 1))


def every_context(model: Model, longest: int) -> Iterator[Batch]:
    """Every context of 1 to `longest` tokens, in batches.

    A context is its prefix and one token more, so each costs one position: the keys and values of
    the prefix are those it left behind.
    """
    shape = model.shape
    numbers = 2 * shape.n_layer * longest * shape.n_embd
    rows = max(1, CACHE_NUMBERS // max(1, numbers * shape.n_vocab))
    size = len(model.vocabulary)
    root = (np.zeros((1, 0), dtype=np.int64), model.empty_cache(1, 0))
    waiting = [root]  # prefixes and their caches; the last are extended first
    while waiting:
        prefixes, cache = waiting.pop()
        if len(prefixes) > rows:
            waiting.append((prefixes[rows:], cache.rows(rows, len(prefixes))))
            prefixes, cache = prefixes[:rows], cache.rows(0, rows)
        tokens = np.tile(np.arange(size), len(prefixes))[:, None]  # [rows * size, 1]
        contexts = np.hstack([prefixes.repeat(size, axis=0), tokens])
        longer = cache.repeat(size, room=1)
        yield Batch.of_texts(contexts, model.answer(tokens, longer)[:, -1])
        if contexts.shape[1] < longest:
            waiting.append((contexts, longer))


def random_contexts(model: Model, count: int, seed: int, longest: int) -> Iterator[Batch]:
    """`count` contexts drawn at random: first a length, all equally likely, then each token."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, size=count)
    for length, number in zip(*np.unique(lengths, return_counts=True), strict=True):
        for start in range(0, int(number), SAMPLE_ROWS):
            rows = min(SAMPLE_ROWS, int(number) - start)
            contexts = random.integers(0, len(model.vocabulary), size=(rows, int(length)))
            yield Batch.of_texts(contexts, model.answer(contexts)[:, -1])


def longer_contexts(model: Model, texts: int, seed: int, shortest: int) -> Iterator[Batch]:
    """All contexts of at least `shortest` tokens that begin one of some long random texts.

    A text fills every position of the model; all its beginnings are answered in one run.
    """
    random = np.random.default_rng(seed)
    positions = model.shape.n_positions
    for _ in range(texts):
        text = random.integers(0, len(model.vocabulary), size=(1, positions))
        lengths = np.arange(shortest, positions + 1)
        logits = model.answer(text)[0, lengths - 1]
        yield Batch(text, np.zeros_like(lengths), lengths, logits)
