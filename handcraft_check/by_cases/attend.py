"""What the heads of a block read in many cases at once, computed once where it is the same.

Most heads read few of their sources. A source of which a head reads next to nothing, whichever of the
entries of its column stands there, may be any of them: what is computed holds for all, and is hardly
less exact. So few inputs of each head differ, although all cases do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import floats
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_cases.states import distinct, hull
from handcraft_check.layers.model import BLURRED, Model

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

IRRELEVANT = 2.0**-30
"""A source that spreads the residual stream by less in one head may be any of its column there."""

CELLS = 1 << 20
"""How many numbers of values are in memory at once."""


@dataclass(frozen=True, eq=False)
class Sources:
    """What some cases have at earlier positions and their own, in one layer.

    Args:
        keys: the distinct ones: [key, head, dimension].
        values: the distinct ones: [value, head, dimension].
        which_key: of each source: [row, source].
        which_value: of each source: [row, source].
    """

    keys: Bounded
    values: Bounded
    which_key: Ids
    which_value: Ids


@dataclass(frozen=True, eq=False)
class Attended:
    """What one head reads.

    Args:
        out: its distinct outputs: [kind, dimension].
        spread: how far each source spreads the residual stream: [kind, source].
        kinds: which of them each case has: [row].
    """

    out: Bounded
    spread: Array
    kinds: Ids


class Columns:
    """The sources of one head, each column with the hull of what occurs in it.

    Numbers of keys and of values that equal `hulls` plus the number of a column stand for its hull.
    """

    def __init__(self, sources: Sources, head: int) -> None:
        self.count = sources.which_key.shape[1]
        self.keys, self.which_key, self.key_hulls = self._of(sources.keys, sources.which_key, head)
        self.values, self.which_value, self.value_hulls = self._of(
            sources.values, sources.which_value, head
        )
        varies = (self.which_key != self.which_key[0]) | (self.which_value != self.which_value[0])
        self.varying = np.flatnonzero(varies.any(axis=0))

    def _of(self, rows: Bounded, which: Ids, head: int) -> tuple[Bounded, Ids, int]:
        """The distinct rows with the hulls of columns behind them, and how many there are before."""
        is_used = np.zeros(len(rows.center), dtype=bool)
        is_used[which] = True
        used = np.flatnonzero(is_used)
        part = Bounded(rows.center[used, head], rows.error[used, head])
        first, kinds = distinct(part.center, part.error)
        part = part[first]
        number = np.zeros(len(rows.center), dtype=np.int64)
        number[used] = kinds
        which = number[which]
        hulls = []
        for column in which.T:
            is_there = np.zeros(len(first), dtype=bool)
            is_there[column] = True
            hulls.append(hull(part[np.flatnonzero(is_there)]))
        both = Bounded(
            np.concatenate([part.center, [each.center for each in hulls]]),
            np.concatenate([part.error, [each.error for each in hulls]]),
        )
        return both, which, len(first)


def attend(
    model: Model, layer: int, head: int, queries: Bounded, kinds: Ids, sources: Sources
) -> Attended:
    """What one head reads in some cases.

    Args:
        model: whose head it is.
        layer: the number of its block.
        head: its number, of those that are not 0.
        queries: of all heads: [kind, head, dimension].
        kinds: which of them each case has: [row].
        sources: what it may read.
    """
    queries = queries[:, head]
    first, merged = distinct(queries.center, queries.error)
    queries, asked = queries[first], merged[kinds]
    columns = Columns(sources, head)
    hulls = np.broadcast_to(np.arange(columns.count), (len(first), columns.count))
    if len(first) * 2 <= len(kinds):
        out, spread, relevance = _read(
            model,
            layer,
            head,
            queries,
            np.arange(len(first)),
            columns,
            columns.key_hulls + hulls,
            columns.value_hulls + hulls,
        )
        is_read = ~(relevance <= IRRELEVANT)[:, columns.varying]  # NaN is read
        if not is_read.any():
            return Attended(out, spread, asked)
    else:
        is_read = np.ones((len(first), len(columns.varying)), dtype=bool)
    is_read = is_read[asked]  # [row, varying]
    keys = np.tile(columns.key_hulls + np.arange(columns.count), (len(kinds), 1))
    values = np.tile(columns.value_hulls + np.arange(columns.count), (len(kinds), 1))
    for numbers, which in ((keys, columns.which_key), (values, columns.which_value)):
        numbers[:, columns.varying] = np.where(
            is_read, which[:, columns.varying], numbers[:, columns.varying]
        )
    rows, places = distinct(asked, keys[:, columns.varying], values[:, columns.varying])
    out, spread, _ = _read(model, layer, head, queries, asked[rows], columns, keys[rows], values[rows])
    return Attended(out, spread, places)


def _read(
    model: Model,
    layer: int,
    head: int,
    queries: Bounded,
    asked: Ids,
    columns: Columns,
    keys: Ids,
    values: Ids,
) -> tuple[Bounded, Array, Array]:
    """The outputs of a head, and how far each source spreads the residual stream.

    The third is that again or, if it is more, how far the weight of a source can move the stream to
    any other: its value may be just the output, and its key decide whether it is.

    Args:
        model: whose head it is.
        layer: the number of its block.
        head: its number.
        queries: the distinct ones: [query, dimension].
        asked: which of them each row has: [row].
        columns: the keys and values.
        keys: numbers in it: [row, source].
        values: numbers in it: [row, source].
    """
    weight = model.blocks[layer].heads.write_sizes[head]  # [dimension]
    table: Bounded | None = None
    if len(queries.center) * len(columns.keys.center) <= keys.size:
        every = Bounded(columns.keys.center[None], columns.keys.error[None])
        table = model.pair_scores(layer, queries[:, None], every, head=head)  # [query, key]
    outputs, spreads, relevances = [], [], []
    for rows in _parts(len(asked), keys.shape[1] * max(1, len(weight), queries.center.shape[1])):
        some = queries[asked[rows]][:, None]
        if table is None:
            scores = model.pair_scores(layer, some, columns.keys[keys[rows]], head=head)
        else:
            scores = table[asked[rows][:, None], keys[rows]]  # [row, source]
        if scores.error.max(initial=0.0) > BLURRED:
            _sharpen(scores, model, layer, head, some, columns.keys[keys[rows]])
        read = columns.values[values[rows]]  # [row, source, dimension]
        weights, out = model.attention(scores, read)
        apart = np.abs(read.center - out.center[:, None, :]) @ weight
        spread = floats(weights.most * (read.error @ weight) + weights.error * apart)
        spreads.append(spread)
        reach = apart.max(axis=1, where=weights.most > 0, initial=0.0)
        relevances.append(np.maximum(spread, floats(weights.error * reach[:, None])))
        outputs.append(out)
    center, error = (
        np.concatenate([getattr(part, name) for part in outputs]) for name in ("center", "error")
    )
    return Bounded(center, error), np.concatenate(spreads), np.concatenate(relevances)


def _sharpen(
    scores: Bounded, model: Model, layer: int, head: int, queries: Bounded, keys: Bounded
) -> None:
    """Make errors of scores smaller by what all scores of a query have in common, where they are large.

    Args:
        scores: whose errors are changed: [row, source].
        model: whose scores they are.
        layer: the number of the block.
        head: that of the head.
        queries: [row, 1, dimension].
        keys: [row, source, dimension].
    """
    rows = np.flatnonzero(scores.error.max(axis=1) > BLURRED)
    highest = scores.center[rows].argmax(axis=1)
    around = keys.center[rows, highest][:, None]
    near = model.pair_scores(layer, queries[rows], keys[rows], around, head)
    each = np.arange(len(rows))
    is_sharper = near.error[each, highest] < scores.error[rows, highest]
    scores.error[rows[is_sharper]] = near.error[is_sharper]


def _parts(count: int, width: int) -> Iterator[slice]:
    """So many rows in parts of at most `CELLS` numbers."""
    step = max(1, CELLS // width)
    for start in range(0, max(count, 1), step):
        yield slice(start, start + step)
