"""Run all contexts of a model once each: a walk down the tree of prefixes with shared caches.

This depends on the causal mask. Without it a token also changes earlier positions, so contexts share
nothing: each is a text of its own, and runs in a batch with others of its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.display import short_repr
from handcraft.model import Model
from handcraft.model.attention import Array, Flags

Ids = npt.NDArray[np.int64]

Change = Callable[[Ids, np.random.Generator], Ids]
"""What is done to texts that were drawn: [text, position] -> [text, position]."""

CACHE_NUMBERS = 1 << 21
"""About how many numbers a cache contains at each depth of the walk."""

TEXT_NUMBERS = 1 << 21
"""About how many logits are made at once where every context runs alone."""

SAMPLE_ROWS = 1 << 12
"""How many sampled contexts run at once."""


@short_repr
@dataclass(frozen=True)
class Batch:
    """Some contexts, and the answers of the model.

    A context is a prefix of a text; many contexts may share a text. It is answered at its last position
    or, without a causal mask, at each position.

    Args:
        texts: places in the vocabulary, [text, position].
        rows: for each answer, its text: [answer].
        lengths: for each answer, how many tokens of the text its context has: [answer].
        places: for each answer, its position in the text: [answer].
        logits: the answers, [answer, n_vocab].
    """

    texts: Ids
    rows: Ids
    lengths: Ids
    places: Ids
    logits: Array

    @classmethod
    def of_texts(cls, texts: Ids, logits: Array) -> Batch:
        """The texts themselves as contexts, with what follows each: [text, n_vocab]."""
        count, length = texts.shape
        return cls(texts, np.arange(count), np.full(count, length), np.full(count, length - 1), logits)

    @classmethod
    def of_prefixes(cls, texts: Ids, shortest: int, logits: Array) -> Batch:
        """The texts and their prefixes of so many tokens or more as contexts, with what follows each.

        Args:
            texts: [text, position].
            shortest: how many tokens the shortest prefixes have.
            logits: [text, position, n_vocab], of all positions or of those that end a prefix.
        """
        count, longest = texts.shape
        each = longest - shortest + 1
        rows = np.arange(count).repeat(each)
        lengths = np.tile(np.arange(shortest, longest + 1), count)
        answers = logits[:, -each:].reshape(len(rows), -1)
        return cls(texts, rows, lengths, lengths - 1, answers)

    @classmethod
    def of_positions(cls, texts: Ids, logits: Array) -> Batch:
        """The texts, with the logits at each of their positions: [text, position, n_vocab]."""
        count, length = texts.shape
        rows, places = np.divmod(np.arange(count * length), length)
        return cls(texts, rows, np.full_like(rows, length), places, logits.reshape(len(rows), -1))

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: Flags) -> Batch:
        """Some of the answers, [answer], with their texts and no others."""
        if chosen.all():
            return self
        used, rows = np.unique(self.rows[chosen], return_inverse=True)
        lengths, places = self.lengths[chosen], self.places[chosen]
        return Batch(self.texts[used], rows.reshape(-1), lengths, places, self.logits[chosen])

    @property
    def is_last(self) -> Flags:
        """Whether an answer is at the last position of its context: [answer]."""
        return np.equal(self.places, self.lengths - 1)

    @property
    def following(self) -> Ids:
        """The token that follows a context in its text, -1 at the end: [answer]."""
        ended = np.hstack([self.texts, np.full((len(self.texts), 1), -1)])
        return np.asarray(ended[self.rows, self.lengths])

    def context(self, i: int) -> list[int]:
        """The context of one answer."""
        return [int(token) for token in self.texts[self.rows[i], : self.lengths[i]]]


def count_contexts(size: int, longest: int) -> int:
    """The number of contexts of 1 to `longest` tokens over `size` tokens."""
    return sum(size**length for length in range(1, longest + 1))


def every_text(size: int, length: int) -> Ids:
    """Every text of `length` tokens out of `size`, in order: [text, position]."""
    return _texts(np.arange(size**length), size, length)


def _texts(numbers: Ids, size: int, length: int) -> Ids:
    """The texts with these numbers, whose digits are their tokens: [text, position]."""
    digits = [numbers // size**place % size for place in reversed(range(length))]
    return np.stack(digits, axis=1)


def every_context(model: Model, longest: int, *, at_every_position: bool = False) -> Iterator[Batch]:
    """Every context of 1 to `longest` tokens, in batches.

    With `at_every_position`, every context runs alone, and a batch has the answers at each of its
    positions, not only at the last.
    """
    if model.architecture.causal and not at_every_position:
        yield from _walk(model, longest)
        return
    size = len(model.vocabulary)
    for length in range(1, longest + 1):
        rows = max(1, TEXT_NUMBERS // (length * model.shape.n_vocab))
        for start in range(0, size**length, rows):
            numbers = np.arange(start, min(start + rows, size**length))
            yield batch_of(model, _texts(numbers, size, length), at_every_position)


def batch_of(model: Model, texts: Ids, at_every_position: bool = False) -> Batch:
    """The texts as contexts, each run whole."""
    logits = model.answer(texts)  # [text, position, n_vocab]
    if at_every_position:
        return Batch.of_positions(texts, logits)
    return Batch.of_texts(texts, logits[:, -1])


def _walk(model: Model, longest: int) -> Iterator[Batch]:
    """Every context, down the tree of prefixes.

    A context is its prefix and one token more, so each costs one position: the keys and values of
    the prefix are in the cache.
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
            waiting.append((prefixes[rows:], cache.rows(slice(rows, None))))
            prefixes, cache = prefixes[:rows], cache.rows(slice(rows))
        tokens = np.tile(np.arange(size), len(prefixes))[:, None]  # [rows * size, 1]
        contexts = np.hstack([prefixes.repeat(size, axis=0), tokens])
        longer = cache.repeat(size, extra=1)
        yield Batch.of_texts(contexts, model.answer(tokens, longer)[:, -1])
        if contexts.shape[1] < longest:
            waiting.append((contexts, longer))


def random_contexts(
    model: Model,
    count: int,
    seed: int,
    longest: int,
    *,
    at_every_position: bool = False,
    change: Change | None = None,
) -> Iterator[Batch]:
    """`count` contexts drawn at random: every length is as likely as another, and so is every token.

    With a causal mask they are the prefixes of texts of the longest length, of which one run answers
    all; of the last text some. Without one each context runs alone.

    `change` is done to drawn texts, so that rules fire in them.
    """
    random = np.random.default_rng(seed)
    change = change or (lambda texts, random: texts)
    if model.architecture.causal and not at_every_position:
        yield from _prefixes(model, count, random, longest, change)
        return
    lengths = random.integers(1, longest + 1, size=count)
    for length, number in zip(*np.unique(lengths, return_counts=True), strict=True):
        for start in range(0, int(number), SAMPLE_ROWS):
            rows = min(SAMPLE_ROWS, int(number) - start)
            contexts = random.integers(0, len(model.vocabulary), size=(rows, int(length)))
            yield batch_of(model, change(contexts, random), at_every_position)


def _prefixes(
    model: Model, count: int, random: np.random.Generator, longest: int, change: Change
) -> Iterator[Batch]:
    """About `count` prefixes of random texts of the longest length."""
    most = max(1, TEXT_NUMBERS // (longest * model.shape.n_vocab))
    while count:
        rows = min(most, -(-count // longest))
        texts = change(random.integers(0, len(model.vocabulary), size=(rows, longest)), random)
        batch = Batch.of_prefixes(texts, 1, model.answer(texts))
        if count < len(batch):
            left = count - (rows - 1) * longest  # of the last text
            chosen = np.ones(len(batch), dtype=bool)
            chosen[(rows - 1) * longest + random.permutation(longest)[left:]] = False
            batch = batch.only(chosen)
        yield batch
        count -= len(batch)


def longer_contexts(model: Model, texts: Ids, shortest: int) -> Iterator[Batch]:
    """All contexts of at least `shortest` tokens that begin one of some long texts.

    With a causal mask all prefixes of a text are answered in one run.
    """
    positions = texts.shape[1]
    rows = max(1, TEXT_NUMBERS // (positions * max(positions, model.shape.n_vocab)))
    for start in range(0, len(texts), rows):
        some = texts[start : start + rows]
        if model.architecture.causal:
            yield Batch.of_prefixes(some, shortest, model.answer(some))
        else:
            for length in range(shortest, positions + 1):
                yield batch_of(model, some[:, :length], at_every_position=False)
