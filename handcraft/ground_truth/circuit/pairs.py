"""Pairs of prompts of one length that differ in one cause: a token, and what follows from it.

A pair is a clean text and a corrupted one. The corrupted text has one other token, where that is an
allowed prompt; tokens that a program writes after its input are computed again. Random prompts that
differ in few tokens are tried too, since it may be that no change of one token gives an allowed prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from handcraft.circuits import Circuits
from handcraft.ground_truth.contexts import sample_contexts
from handcraft.ground_truth.subject import LaidOut
from handcraft.model.layers.attention import Flags
from handcraft.verify.meant import ideal, oracle
from handcraft.verify.texts.allowed import inputs_of, is_restricted
from handcraft.verify.texts.batch import Batch, Ids
from handcraft.verify.texts.written_part import following_in, written_from

InputPair: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]

EVERY_UP_TO = 1 << 12
"""All pairs that differ in one token are tried if they are at most so many."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of texts of one length, as places in the vocabulary.

    Args:
        clean: [pair, position].
        corrupted: [pair, position].
        meant: the token that is meant to follow each position of the clean text, -1 where one of the
            two is no allowed prompt up to there: [pair, position].
        instead: the same of the corrupted text: [pair, position].
    """

    clean: Ids
    corrupted: Ids
    meant: Ids
    instead: Ids

    def __len__(self) -> int:
        return len(self.clean)

    def part(self, start: int, count: int) -> Pairs:
        """Some of them."""
        rows = slice(start, start + count)
        return Pairs(self.clean[rows], self.corrupted[rows], self.meant[rows], self.instead[rows])


@dataclass(frozen=True, eq=False)
class Round:
    """Some pairs to try, of each length.

    Args:
        by_length: the pairs.
        is_all: whether no other pair differs in one token.
    """

    by_length: tuple[Pairs, ...]
    is_all: bool


def pair_rounds(subject: LaidOut, count: int, seed: int) -> Iterator[Round]:
    """Rounds of about `count` random pairs each; if there are few pairs, a single round of all of them.

    Args:
        subject: a model that predicts tokens.
        count: how many pairs there are in a round.
        seed: of the pairs that are drawn.
    """
    number = 0
    while True:
        random = np.random.default_rng((seed, number))
        sampled = sample_contexts(subject, count, seed + number, each=subject.prompts.context)
        size = len(subject.model.vocabulary)
        texts = sum(each.texts.size for each in sampled.by_length) * (size - 1)
        is_all = sampled.is_all and texts <= EVERY_UP_TO
        found: list[Pairs] = []
        for each in sampled.by_length:
            rows = each.texts[:count]
            if is_all:
                clean, corrupted = _every_change(rows, size)
            else:
                share = max(1, count // max(1, len(sampled.by_length)))
                clean, corrupted = _changed(rows, size, share, random)
            if len(clean):
                found += _checked(subject, clean, corrupted)
            others = NEAREST_OF if number < NEAR_ROUNDS else 1
            near = _near(each.texts, max(1, count // 4), others, random)
            if near is not None and not is_all:
                found += _checked(subject, *near)
        if _writes(subject):
            every = [text for each in sampled.by_length for text in _inputs(subject, each.texts)]
            found += _rewritten(subject, _of_other_lengths(every)[:count])
        yield Round(_joined(found), is_all)
        if is_all:
            return
        number += 1


def _every_change(texts: Ids, size: int) -> tuple[Ids, Ids]:
    """Every text, and every other one that differs from it in one token."""
    length = texts.shape[1]
    clean = texts.repeat(length * (size - 1), axis=0)
    corrupted = clean.copy()
    row = np.arange(len(clean))
    place = row // (size - 1) % length
    shift = row % (size - 1) + 1
    corrupted[row, place] = (clean[row, place] + shift) % size
    return clean, corrupted


def _changed(texts: Ids, size: int, count: int, random: np.random.Generator) -> tuple[Ids, Ids]:
    """Texts, and others that differ from them in one token, drawn at random."""
    if size < 2 or not len(texts):
        return texts[:0], texts[:0]
    clean = texts[random.integers(0, len(texts), size=count)]
    corrupted = clean.copy()
    row, place = np.arange(count), random.integers(0, texts.shape[1], size=count)
    corrupted[row, place] += random.integers(1, size, size=count)
    return clean, corrupted % size


def _near(texts: Ids, count: int, others: int, random: np.random.Generator) -> tuple[Ids, Ids] | None:
    """Pairs of texts, each with the nearest of so many others."""
    if len(texts) < 2:
        return None
    rows = random.integers(0, len(texts), size=count)
    drawn = random.integers(0, len(texts), size=(count, others))
    differ = (texts[rows][:, None] != texts[drawn]).sum(axis=2)  # [pair, other]
    differ[differ == 0] = texts.shape[1] + 1
    nearest = drawn[np.arange(count), differ.argmin(axis=1)]
    return texts[rows], texts[nearest]


FIELDS = ("clean", "corrupted", "meant", "instead")

NEAREST_OF = 32
"""Of so many drawn texts the nearest is taken."""

NEAR_ROUNDS = 2
"""After so many rounds any other text is taken, which may have another structure."""


def _checked(subject: LaidOut, clean: Ids, corrupted: Ids) -> Iterator[Pairs]:
    """The pairs that are allowed, with what is meant, and what is written after a changed input."""
    if _writes(subject):
        pairs = zip(_inputs(subject, clean), _shortened(subject, clean, corrupted), strict=True)
        yield from _rewritten(subject, pairs)
        return
    differ = (clean != corrupted).any(axis=1)
    clean, corrupted = clean[differ], corrupted[differ]
    if not len(clean):
        return
    asked = _asked(subject, clean) & _asked(subject, corrupted)
    yield from _meant(subject, clean, corrupted, asked)


def _writes(subject: LaidOut) -> bool:
    """Whether what a program writes is a part of its prompts."""
    return is_restricted(subject.prompts) and subject.prompts.writes > 1


def _shortened(subject: LaidOut, clean: Ids, corrupted: Ids) -> list[tuple[int, ...]]:
    """The corrupted texts, as far as the inputs of the clean ones go."""
    inputs = _inputs(subject, clean)
    return [tuple(row[: len(one)]) for row, one in zip(corrupted.tolist(), inputs, strict=True)]


def _inputs(subject: LaidOut, texts: Ids) -> list[tuple[int, ...]]:
    """Texts without what the program wrote at their ends."""
    tokens = subject.circuits.vocabulary.tokens
    return [
        tuple(row[: len(row) - subject.prompts.written([tokens[place] for place in row])])
        for row in texts.tolist()
    ]


def _of_other_lengths(inputs: Iterable[tuple[int, ...]]) -> list[InputPair]:
    """Pairs of inputs of different lengths that begin alike, both ways round."""
    found: list[InputPair] = []
    for one, other in pairwise(sorted(set(inputs))):
        if len(one) != len(other):
            found += [(one, other), (other, one)]
    return found


def _rewritten(subject: LaidOut, pairs: Iterable[InputPair]) -> Iterator[Pairs]:
    """Pairs whose inputs differ, each with what is written after it."""
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    full = _written(subject, {text for pair in pairs for text in pair})
    found: dict[int, list[tuple[tuple[int, ...], tuple[int, ...], int]]] = {}
    for one, other in pairs:
        if one in full and other in full:
            length, longer = min(len(full[one]), len(full[other])), max(len(one), len(other))
            if longer <= length:
                found.setdefault(length, []).append((full[one][:length], full[other][:length], longer))
    for length, listed in sorted(found.items()):
        ones, others = (np.array([each[i] for each in listed], dtype=np.int64) for i in (0, 1))
        longer_inputs = np.array([each[2] for each in listed])
        asked = np.arange(length)[None, :] >= longer_inputs[:, None] - 1
        yield from _meant(subject, ones, others, asked)


def _written(subject: LaidOut, inputs: set[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Those of some texts that are inputs, each with what is written after it."""
    prompts, source = subject.prompts, subject.asked
    following = following_in(subject.model if isinstance(source, Circuits) else source)
    full: dict[tuple[int, ...], tuple[int, ...]] = {}
    for length in sorted(set(map(len, inputs))):
        rows = np.array(sorted(text for text in inputs if len(text) == length), dtype=np.int64)
        rows = rows[prompts.inputs_among(rows)]
        for written in written_from(prompts, iter([rows] if len(rows) else []), following):
            for row in written.texts.tolist():
                full[tuple(row[: written.shortest])] = tuple(row)
    return full


def _asked(subject: LaidOut, texts: Ids) -> Flags:
    """Where a text is an allowed prompt up to a position: [text, position]."""
    length = texts.shape[1]
    last = np.zeros(texts.shape, dtype=bool)
    last[:, -1] = True
    if not is_restricted(subject.prompts):
        return np.ones_like(last) if subject.model.architecture.causal else last
    allowed = last & subject.prompts.allowed(texts)[:, None]
    if subject.model.architecture.causal and inputs_of(subject.prompts) is not None:
        for end in range(1, length):
            allowed[:, end - 1] = subject.prompts.allowed(texts[:, :end])
    return np.asarray(allowed)


def _meant(subject: LaidOut, clean: Ids, corrupted: Ids, asked: Flags) -> Iterator[Pairs]:
    """The pairs of which any position is asked, with what is meant there."""
    kept = asked.any(axis=1)
    clean, corrupted, asked = clean[kept], corrupted[kept], asked[kept]
    if not len(clean):
        return
    source = subject.asked
    meaning = ideal(source) if isinstance(source, Circuits) else oracle(source)
    rows, places = np.nonzero(asked)
    found = [
        meaning(Batch(texts, rows, places + 1, places, np.empty((len(rows), 0))))
        for texts in (clean, corrupted)
    ]
    is_meant = (found[0] >= 0) & (found[1] >= 0)  # else an assumption is broken
    meant, instead = (np.full(clean.shape, -1) for _ in found)
    for each, answers in zip((meant, instead), found, strict=True):
        each[rows, places] = np.where(is_meant, answers, -1)
    yield Pairs(clean, corrupted, meant, instead)


def _joined(pairs: list[Pairs]) -> tuple[Pairs, ...]:
    """Pairs of one length together."""
    by_length: dict[int, list[Pairs]] = {}
    for each in pairs:
        by_length.setdefault(each.clean.shape[1], []).append(each)
    return tuple(
        Pairs(*(np.concatenate([getattr(p, n) for p in parts]) for n in FIELDS))
        for _, parts in sorted(by_length.items())
    )
