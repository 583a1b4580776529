"""All contexts of a model, each once, or random ones; in parts that any process can run.

With a causal mask all contexts are a walk down the tree of prefixes, whose keys and values are shared.
Without it a token also changes earlier positions, so contexts share nothing: each is a text of its own,
and runs in a batch with others of its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from handcraft.language import Prompts
from handcraft.model import Cache, Model
from handcraft.verify.texts.batch import (
    PART,
    SAMPLE_ROWS,
    Batch,
    Ids,
    Part,
    Prefixes,
    Run,
    Whole,
    batches_of,
    in_parts,
)

Change = Callable[[Ids, np.random.Generator], Ids]
"""What is done to texts that were drawn: [text, position] -> [text, position]."""

CACHE_NUMBERS = 1 << 21
"""About how many numbers a cache contains at each depth of the walk."""

TEXT_NUMBERS = 1 << 21
"""About how many logits are made at once where every context runs alone."""


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
    return batches_of(model, every_part(model, longest, at_every_position=at_every_position))


def every_part(model: Model, longest: int, *, at_every_position: bool = False) -> Iterator[Part]:
    """The parts of `every_context`."""
    if model.architecture.causal and not at_every_position:
        yield from _walk(model, longest, PART)
        return
    size = len(model.vocabulary)
    for length in range(1, longest + 1):
        rows = max(1, min(PART, TEXT_NUMBERS // (length * model.shape.n_vocab)))
        for start in range(0, size**length, rows):
            numbers = np.arange(start, min(start + rows, size**length))
            yield Whole(_texts(numbers, size, length), at_every_position)


@dataclass(frozen=True)
class Below:
    """All contexts that continue some prefixes of one length.

    Args:
        prefixes: places in the vocabulary, [text, position].
        cache: their keys and values.
        longest: the length of the longest contexts.
    """

    prefixes: Ids
    cache: Cache
    longest: int

    def __call__(self, model: Model, prompts: Prompts | None) -> Iterator[Batch]:
        """Run them."""
        for part in _walk(model, self.longest, None, self.prefixes, self.cache):
            yield from part(model, prompts)


def _walk(
    model: Model,
    longest: int,
    most: int | None,
    prefixes: Ids | None = None,
    cache: Cache | None = None,
) -> Iterator[Part]:
    """Every context that continues some prefixes, by default the empty one, down their tree.

    A context is its prefix and one token more, so each costs one position: the keys and values of
    the prefix are in the cache. What continues some prefixes is one part where that is at most `most`
    contexts, or where nothing continues it; what is above it is run here, and with None everything.
    """
    shape = model.shape
    numbers = 2 * shape.n_layer * longest * shape.n_embd
    rows = max(1, CACHE_NUMBERS // max(1, numbers * shape.n_vocab))
    size = len(model.vocabulary)
    if prefixes is None or cache is None:
        prefixes, cache = np.zeros((1, 0), dtype=np.int64), model.empty_cache(1, 0)
    waiting = [(prefixes, cache)]  # prefixes and their caches; the last are extended first
    while waiting:
        prefixes, cache = waiting.pop()
        if len(prefixes) > rows:
            waiting.append((prefixes[rows:], cache.rows(slice(rows, None))))
            prefixes, cache = prefixes[:rows], cache.rows(slice(rows))
        left = longest - prefixes.shape[1]
        if most is not None and (left == 1 or len(prefixes) * count_contexts(size, left) <= most):
            yield Below(prefixes, cache, longest)
            continue
        tokens = np.tile(np.arange(size), len(prefixes))[:, None]  # [rows * size, 1]
        contexts = np.hstack([prefixes.repeat(size, axis=0), tokens])
        longer = cache.repeat(size, extra=1)
        yield Run(Batch.of_texts(contexts, model.answer(tokens, longer)[:, -1]))
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
    parts = random_parts(
        model, count, seed, longest, at_every_position=at_every_position, change=change
    )
    return batches_of(model, parts)


def random_parts(
    model: Model,
    count: int,
    seed: int,
    longest: int,
    *,
    at_every_position: bool = False,
    change: Change | None = None,
) -> Iterator[Part]:
    """The parts of `random_contexts`."""
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
            yield Whole(change(contexts, random), at_every_position)


def _prefixes(
    model: Model, count: int, random: np.random.Generator, longest: int, change: Change
) -> Iterator[Part]:
    """About `count` prefixes of random texts of the longest length."""
    most = max(1, TEXT_NUMBERS // (longest * model.shape.n_vocab))
    while count:
        rows = min(most, -(-count // longest))
        texts = change(random.integers(0, len(model.vocabulary), size=(rows, longest)), random)
        chosen = np.ones((rows, longest), dtype=bool)
        if count < chosen.size:
            left = count - (rows - 1) * longest  # of the last text
            chosen[-1, random.permutation(longest)[left:]] = False
        count -= int(np.count_nonzero(chosen))
        for part in in_parts(rows, longest):
            is_all = chosen[part].all()
            yield Prefixes(texts[part], chosen=None if is_all else chosen[part].reshape(-1))


def longer_contexts(model: Model, texts: Ids, shortest: int) -> Iterator[Batch]:
    """All contexts of at least `shortest` tokens that begin one of some long texts.

    With a causal mask all prefixes of a text are answered in one run.
    """
    return batches_of(model, longer_parts(model, texts, shortest))


def longer_parts(model: Model, texts: Ids, shortest: int) -> Iterator[Part]:
    """The parts of `longer_contexts`."""
    positions = texts.shape[1]
    rows = max(1, min(PART, TEXT_NUMBERS // max(positions, model.shape.n_vocab)) // positions)
    for start in range(0, len(texts), rows):
        some = texts[start : start + rows]
        if model.architecture.causal:
            yield Prefixes(some, shortest)
        else:
            yield from (Whole(some[:, :length]) for length in range(shortest, positions + 1))
