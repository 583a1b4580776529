"""Contexts with the answers of a model; and parts of the work, which any process can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.display import short_repr
from handcraft.language import Prompts
from handcraft.model import Model
from handcraft.model.layers.attention import Array, Flags

Ids = npt.NDArray[np.int64]

SAMPLE_ROWS = 1 << 12
"""How many sampled contexts run at once."""

PART = 1 << 13
"""About how many contexts are in one part, whichever process runs it: a second or so of work."""


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


def batch_of(model: Model, texts: Ids, at_every_position: bool = False) -> Batch:
    """The texts as contexts, each run whole."""
    logits = model.answer(texts)  # [text, position, n_vocab]
    if at_every_position:
        return Batch.of_positions(texts, logits)
    return Batch.of_texts(texts, logits[:, -1])


Part: TypeAlias = "Callable[[Model, Prompts | None], Iterator[Batch]]"
"""Some contexts that are run together: given the model, and the prompts if only some are allowed.

It can be pickled. A part gives the same batches and the same answers, to the last bit, in every
process.
"""


@dataclass(frozen=True)
class Whole:
    """Texts as contexts, each run whole.

    Args:
        texts: places in the vocabulary, [text, position].
        at_every_position: whether the answers at all positions count.
    """

    texts: Ids
    at_every_position: bool = False

    def __call__(self, model: Model, prompts: Prompts | None) -> Iterator[Batch]:
        """Run them."""
        yield batch_of(model, self.texts, self.at_every_position)


@dataclass(frozen=True)
class Prefixes:
    """Texts and their prefixes as contexts, all answered in one run of a causal model.

    Args:
        texts: places in the vocabulary, [text, position].
        shortest: how many tokens the shortest prefixes have.
        chosen: which of these contexts count, [text * prefix]; None for all.
    """

    texts: Ids
    shortest: int = 1
    chosen: Flags | None = None

    def __call__(self, model: Model, prompts: Prompts | None) -> Iterator[Batch]:
        """Run the texts."""
        batch = Batch.of_prefixes(self.texts, self.shortest, model.answer(self.texts))
        yield batch if self.chosen is None else batch.only(self.chosen)


@dataclass(frozen=True)
class Run:
    """A batch that was run where the parts are made, because others continue it."""

    batch: Batch

    def __call__(self, model: Model, prompts: Prompts | None) -> Iterator[Batch]:
        """The batch."""
        yield self.batch


def in_parts(texts: int, contexts: int) -> Iterator[slice]:
    """Which texts are in each part, of so many with so many contexts each."""
    rows = max(1, PART // max(1, contexts))
    for start in range(0, texts, rows):
        yield slice(start, start + rows)


def batches_of(model: Model, parts: Iterator[Part], prompts: Prompts | None = None) -> Iterator[Batch]:
    """The batches of all parts, run here."""
    for part in parts:
        yield from part(model, prompts)
