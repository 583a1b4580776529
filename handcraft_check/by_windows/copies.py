"""Heads that copy one source each, whatever the tokens are, at all positions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import LARGEST, TINY, UNIT, Bounded, product_error
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums
from handcraft_check.by_windows.windows import UnfitError
from handcraft_check.layers.attention import softmax
from handcraft_check.layers.matrix import Flags, Ids
from handcraft_check.layers.model import Model

CELLS = 1 << 22
"""How many numbers an array may have that is made in one piece."""

COPIED = 2.0**-6
"""A head of which other sources may have a larger weight copies no source."""


@dataclass(frozen=True, eq=False)
class Copied:
    """What the heads of the first block copy.

    Args:
        tokens: the embedding of each token of the vocabulary: [token, dimension].
        places: the embedding of each position: [position, dimension].
        embedded: how far the sum of both may be off, by rounding: [dimension].
        winners: the source that each head copies: [head, position].
        leaked: an upper bound of the weights of all other sources: [head, position].
        off: how far rounding may shift all weights, relatively: [head, position].
        summed: how far the weighted sum may be off, relatively: [head, position].
    """

    tokens: Array
    places: Array
    embedded: Array
    winners: Ids
    leaked: Array
    off: Array
    summed: Array


def copied(model: Model, token_ids: Ids, length: int) -> Copied:
    """Which source each head of the first block copies at every position, for all tokens at once.

    Raises:
        UnfitError: one reads several sources, or others for other tokens.
    """
    tokens, places = model.wte.center[token_ids], model.wpe.center[:length]
    embedded = np.where(
        adds_exactly(tokens, places), 0.0, UNIT * (np.abs(tokens).max(0) + np.abs(places).max(0))
    )
    parts = [
        Part(tokens, [np.arange(len(tokens))], np.full(length, len(tokens))),
        Part(places, [], np.arange(length)),
    ]
    x = Sums(parts, _off_by(embedded, length))
    queries, keys = (_read(model, x, i) for i in (0, 1))
    scores = model.all_scores(0, queries, keys)
    seen = np.tri(length, dtype=bool)
    heads = model.blocks[0].heads
    winners = np.tile(np.arange(length), (heads.count, 1))
    leaked, off, summed = np.zeros((3, heads.count, length))
    for head in range(heads.count):
        center = np.where(seen, scores.center[head], -np.inf)
        weights = softmax(Bounded(center, np.where(seen, scores.error[head], 0.0)))
        if not np.isfinite(weights.most).all():
            raise UnfitError("scores may be infinite")
        if not heads.write_sizes[head].any():
            continue
        winners[head] = center.argmax(axis=1)
        others = weights.most.copy()
        others[np.arange(length), winners[head]] = 0.0
        leaked[head] = others.sum(axis=1) * (1 + 1e-9)
        off[head] = weights.common
        rounding = product_error(1 + leaked[head], (weights.most > 0).sum(axis=1).astype(np.float64))
        is_certain = weights.rest < np.inf
        summed[head] = np.where(is_certain, np.fmin(2.1 * weights.rest, rounding), rounding)
    if not (leaked < COPIED).all():
        raise UnfitError("a head reads several sources, or another one for other tokens")
    return Copied(tokens, places, embedded, winners, leaked, off, summed)


def values_copied(model: Model, found: Copied, groups: Sequence[Ids]) -> tuple[Array, Array]:
    """What each head writes for each token that it may copy, for groups of positions.

    Args:
        model: the model.
        found: which sources its heads copy.
        groups: positions that are looked at together.

    Returns:
        What is written, [group, head, token, dimension], and how far all that heads write together may
        be off, [group, dimension].
    """
    count, vocabulary = len(groups), len(found.tokens)
    width, matrix = model.wte.center.shape[1], model.blocks[0].heads.out
    heads, size = model.blocks[0].heads.count, model.blocks[0].heads.moved
    written = np.zeros((count, heads, vocabulary, width))
    error = np.zeros((count, width))
    total = np.zeros((count, width))
    everywhere, length = np.arange(len(found.places)), len(found.places)
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        weight = matrix.weight[rows]
        hull = Sums(
            [
                Part(found.tokens, [np.arange(vocabulary)], np.array([vocabulary])),
                Part(found.places, [everywhere], np.array([length])),
            ],
            _off_by(found.embedded, 1),
        )
        all_values = _read(model, hull, 2)[0]
        span = 2 * all_values.error[head]
        largest = np.abs(all_values.center[head]) + all_values.error[head]
        if not (largest < LARGEST / 16).all():
            raise UnfitError("values may be infinite")
        if not weight.any():
            continue
        least = TINY * (2 * length + 4)  # of products that underflow
        sources = [np.unique(found.winners[head, group]) for group in groups]
        step = max(1, CELLS // (vocabulary * width))
        for start in range(0, count, step):
            some = sources[start : start + step]
            number = len(some)
            x = Sums(
                [
                    Part(found.tokens, [], np.tile(np.arange(vocabulary), number)),
                    Part(found.places, some, np.repeat(length + np.arange(number), vocabulary)),
                ],
                _off_by(found.embedded, number * vocabulary),
            )
            values = _read(model, x, 2)
            center = values.center[:, head].reshape(number, vocabulary, size)
            off = values.error[:, head].reshape(number, vocabulary, size).max(axis=1)
            these = range(start, start + number)
            leaked, common, summed = (
                np.array([each[head, groups[i]].max() for i in these])[:, None]
                for each in (found.leaked, found.off, found.summed)
            )
            off = off + least + leaked * span + (common + summed) * (1 + leaked) * largest
            written[start : start + number, head] = center @ weight
            error[start : start + number] += off @ np.abs(weight)
            most = np.abs(center).max(axis=1) + off
            total[start : start + number] += most @ np.abs(weight)
    error += product_error(total + matrix.bias_magnitude, matrix.terms)
    return written, error


def _off_by(error: Array, rows: int) -> Stream:
    """Rows that are 0, up to the same error each."""
    return Stream.of(Bounded(np.zeros((rows, len(error))), np.tile(error, (rows, 1))))


def adds_exactly(one: Array, other: Array) -> Flags:
    """Where float32 sums of a row of each are exact, because all numbers lie on one lattice.

    Two multiples of q whose sum is at most 2^24 q add exactly.

    Args:
        one: [row, dimension].
        other: [row, dimension].

    Returns:
        [dimension].
    """
    grid = np.minimum(_lattice(one), _lattice(other))
    largest = np.abs(one).max(axis=0) + np.abs(other).max(axis=0)
    is_alone = ~one.any(axis=0) | ~other.any(axis=0)
    return np.asarray(is_alone | (largest <= 2.0**24 * grid))


def _lattice(numbers: Array) -> Array:
    """The largest power of two of which all numbers of a column are multiples: [dimension]."""
    mantissa, exponent = np.frexp(numbers)
    whole = np.rint(mantissa * 2.0**24).astype(np.int64)
    lowest = (whole & -whole).astype(np.float64)
    steps = np.where(whole == 0, np.inf, np.ldexp(lowest, exponent - 24))
    return np.asarray(steps.min(axis=0))


def _read(model: Model, x: Sums, which: int) -> Bounded:
    """Queries (0), keys (1) or values (2) of the first block: [row, head, head_dim]."""
    heads, width = model.blocks[0].heads, x.known.shape[1]
    size, matrix = heads.moved, heads.moving
    if which < 2:
        size, first = heads.matched, which * heads.count * heads.matched
        matrix = heads.matching.of_columns(np.arange(first, first + heads.count * size))
    step = max(1, CELLS // width)
    found = []
    for start in range(0, len(x.known), step):
        rows = x.rows(np.arange(start, min(start + step, len(x.known))))
        found.append(model.normed_sums(rows, model.blocks[0].ln_1).read(matrix)[0])
    shape = (len(x.known), heads.count, size)
    center = np.concatenate([part.center for part in found])
    error = np.concatenate([part.error for part in found])
    return Bounded(center.reshape(shape), error.reshape(shape))
