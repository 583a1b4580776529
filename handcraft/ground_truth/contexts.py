"""Texts of a program, and what is meant to follow each of their prefixes that is an allowed prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from handcraft.circuits import Circuits
from handcraft.ground_truth.subject import LaidOut
from handcraft.verify.meant import ideal, meant_in, oracle
from handcraft.verify.texts.allowed import is_restricted
from handcraft.verify.texts.batch import Batch, Ids
from handcraft.verify.verify_model import contexts_to_try


@dataclass(frozen=True, eq=False)
class Contexts:
    """Texts of one length, and what is meant to follow.

    Args:
        texts: places in the vocabulary, [text, position].
        meant: the token that is meant to follow each position, as its place in the vocabulary; -1 where
            the text up to there is no allowed prompt: [text, position].
    """

    texts: Ids
    meant: Ids

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class Sampled:
    """The texts of a program.

    Args:
        by_length: the texts of each length.
        is_all: whether these are all allowed prompts.
    """

    by_length: tuple[Contexts, ...]
    is_all: bool


MOST = 10_000
"""At most so many prompts are drawn because one text stands for several: the oracle runs on each."""


def sample_contexts(subject: LaidOut, count: int, seed: int, *, each: int = 1) -> Sampled:
    """All allowed prompts if they are at most `count`, else about so many random ones.

    They are the prompts that `verify` tries. With a causal mask, running a text also gives the answers
    after its prefixes, so one text stands for all of them.

    Args:
        subject: a model that predicts tokens.
        count: how many.
        seed: of those that are drawn.
        each: how many prompts one text may stand for, if `count` counts texts and not prompts.
    """
    source, model = subject.asked, subject.model
    allowed = subject.prompts if is_restricted(subject.prompts) else None
    sample = max(count, min(count * each, MOST))
    tried = contexts_to_try(model, source, allowed, count, sample, seed)
    meaning = ideal(source) if isinstance(source, Circuits) else oracle(source)
    found: dict[int, list[Contexts]] = {}
    for batch in (batch for part in tried.parts for batch in part(model, allowed)):
        if not len(batch):
            continue
        if allowed is None:
            expected = meaning(batch)
        else:
            batch, expected = meant_in(batch, meaning, is_written=allowed.writes > 1)
        for part in _by_text(batch, expected):
            found.setdefault(part.texts.shape[1], []).append(part)
    return Sampled(tuple(_joined(parts) for _, parts in sorted(found.items())), tried.is_all)


def _by_text(batch: Batch, expected: Ids) -> Iterator[Contexts]:
    """The contexts of a batch as texts, with what is meant at each position."""
    meant = np.full(batch.texts.shape, -1)
    meant[batch.rows, batch.places] = expected
    yield Contexts(batch.texts, meant)


def _joined(parts: list[Contexts]) -> Contexts:
    texts, meant = (np.concatenate([getattr(p, name) for p in parts]) for name in ("texts", "meant"))
    asked = (meant >= 0).any(axis=1)
    return Contexts(texts[asked], meant[asked])


def drawn_texts(subject: LaidOut, count: int, seed: int) -> list[Ids]:
    """Texts that are allowed prompts, also of models of values: [text, position] for each length.

    They do not contain tokens that a program writes after its input.
    """
    texts = subject.prompts.texts
    if texts.count <= count:
        return list(texts)
    return [np.unique(rows, axis=0) for rows in texts.draw(count, seed)]
