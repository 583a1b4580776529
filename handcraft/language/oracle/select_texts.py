"""Aggregates of selected positions, on many texts at once, by masks and running sums."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.dtype import FLOAT64
from handcraft.language.graph.domain import as_number, whole
from handcraft.language.graph.node import (
    COMPARED,
    Aggregate,
    Case,
    Comparison,
    Constant,
    Match,
    Node,
    Sources,
)
from handcraft.language.oracle.interned import UNDEFINED, Ids, Interned

Flags = npt.NDArray[np.bool_]

Made = tuple[tuple[int, int], tuple[npt.NDArray[Any], ...]]
"""How many keys and queries there were when some tables were made, and the tables."""

LARGEST = FLOAT64.whole
"""Sums below it may run as matrix products in float64."""


class Selecting:
    """Computes aggregates from the codes of what they are made of."""

    def __init__(self, values: Mapping[Node, Interned], *, causal: bool) -> None:
        self.values = values
        self.causal = causal
        self._tables: dict[tuple[Match, bool, bool], Made] = {}

    def aggregate(
        self, node: Aggregate, codes: Mapping[Node, Ids], length: int
    ) -> tuple[Ids | None, Flags]:
        """The codes of an aggregate, and where it selects a source.

        Returns:
            Its codes, None if its sums may overflow int64; and whether each destination selects at
            least one source. Both [text, position], with an axis of 1 where all texts have the same.
        """
        how, tops, below = node.how, None, 1
        if node.how == "mean":
            assert node.value is not None
            scaled = self.values[node.value].scaled
            if scaled is None or scaled.most * (length + 1) ** 2 >= LARGEST:
                how = "exists"
            else:
                tops, below = scaled.tops[codes[node.value]], scaled.below
        chosen = self._chosen(node.sources, codes, length)
        if chosen is None:
            found = _of_mask(self._mask(node.sources, codes, length), how, tops)
        elif self.causal:
            found = _so_far(chosen, how, tops)
        else:
            found = _of_mask(chosen[:, None], how, tops)
        selects = found[0] >= 0 if how in ("latest", "earliest") else found[0] > 0
        return self._read(node, found, codes, below) if how == node.how else None, selects

    def _read(self, node: Aggregate, found: Found, codes: Mapping[Node, Ids], below: int) -> Ids:
        """The codes of what is read at the sources that were found."""
        values, (which, sums) = self.values[node], found
        if node.how == "count":
            return values.numbers(which, 1)
        if node.how == "exists":
            return np.array([values.code(False), values.code(True)])[which]
        default = UNDEFINED if node.sources.always else values.code(node.default)
        if node.how == "mean":
            assert sums is not None
            counts = np.maximum(which, 1)
            base = int(counts.max(initial=1)) + 1

            def mean(key: int) -> Any:
                return whole(Fraction(key // base, key % base * below))

            means = values.coded(sums * base + counts, mean)
            return np.where(which == 0, default, means)
        assert node.value is not None
        read = self.values[node.value].table(values.code)[codes[node.value]]
        rows = max(len(read), len(which))
        read = np.broadcast_to(read, (rows, read.shape[1]))
        which = np.broadcast_to(which, (rows, which.shape[1]))
        selected = np.take_along_axis(read, np.maximum(which, 0), axis=1)
        return np.where(which < 0, default, selected)

    def _chosen(self, sources: Sources, codes: Mapping[Node, Ids], length: int) -> Flags | None:
        """The sources that are selected from everywhere, [text, source]; None where that differs."""
        if not all(isinstance(match.query, Constant) for case in sources.cases for match in case):
            return None
        chosen: Flags = np.zeros((1, length), dtype=bool)
        for case in sources.cases:
            fits: Flags = np.ones((1, length), dtype=bool)
            for match in case:
                fits = fits & self._table(match)[0][codes[match.key], codes[match.query][:, :1]]
            chosen = chosen | fits
        return chosen

    def _mask(self, sources: Sources, codes: Mapping[Node, Ids], length: int) -> Flags:
        """Which sources are selected and seen: [text, destination, source]."""
        mask: Flags = np.zeros((1, length, length), dtype=bool)
        for case in sources.cases:
            mask = mask | self._case(case, codes, length)
        return mask & np.tri(length, dtype=bool) if self.causal else mask

    def _case(self, case: Case, codes: Mapping[Node, Ids], length: int) -> Flags:
        fits: Flags = np.ones((1, length, length), dtype=bool)
        for match in case:
            keys, queries = codes[match.key][:, None, :], codes[match.query][:, :, None]
            if match.relation in (Comparison.EQ, Comparison.NEQ):
                (key_codes,) = self._table(match, as_keys=True)
                same = keys == key_codes[queries]
                fits = fits & (same if match.relation is Comparison.EQ else ~same)
            elif isinstance(match.relation, Comparison) and not isinstance(match.query, Constant):
                key_ranks, query_ranks = self._table(match, as_ranks=True)
                fits = fits & COMPARED[match.relation](key_ranks[keys], query_ranks[queries])
            else:
                fits = fits & self._table(match)[0][keys, queries]
        return fits

    def _table(
        self, match: Match, *, as_keys: bool = False, as_ranks: bool = False
    ) -> tuple[npt.NDArray[Any], ...]:
        """A table of a condition over codes, made again when values were added.

        Returns:
            Whether it is true, [key, query]; or `as_keys` for each query the code of the same key; or
            `as_ranks` keys and queries by their order.
        """
        keys, queries = self.values[match.key], self.values[match.query]
        sizes = (len(keys), len(queries))
        key = (match, as_keys, as_ranks)  # one condition can be read in several ways
        known = self._tables.get(key)
        if known is None or known[0] != sizes:
            if as_keys:
                made: tuple[npt.NDArray[Any], ...] = (queries.table(lambda v: keys.find(v) or -1),)
            elif as_ranks:
                made = _ranks(keys, queries)
            else:
                made = (_pairs(match, keys, queries),)
            known = self._tables[key] = (sizes, made)
        return known[1]


Found = tuple[Ids, Ids | None]
"""Which sources each destination selects, as far as an aggregate needs, and sums: [text, destination].

For the latest and the earliest the source, -1 where there is none; for existence 0 or 1; else how many
there are. The sums are those of the numbers read there, for a mean.
"""


def _of_mask(mask: Flags, how: str, tops: Ids | None) -> Found:
    """From which pairs are selected: [text, destination, source]."""
    if how in ("exists", "latest", "earliest"):
        some: Flags = np.asarray(mask.any(axis=-1))
        if how == "exists":
            return some.astype(np.int64), None
        if how == "earliest":
            return np.where(some, mask.argmax(axis=-1), -1), None
        return np.where(some, mask.shape[-1] - 1 - mask[..., ::-1].argmax(axis=-1), -1), None
    counts: Ids = np.asarray(mask.sum(axis=-1))
    if tops is None:
        return counts, None
    # [text, destination, source] @ [text, source, 1] -> [text, destination, 1]
    sums = mask.astype(np.float64) @ tops[..., None].astype(np.float64)
    return counts, sums[..., 0].astype(np.int64)


def _so_far(chosen: Flags, how: str, tops: Ids | None) -> Found:
    """From which sources every later destination selects: [text, source]."""
    if how == "latest":
        places = np.where(chosen, np.arange(chosen.shape[1]), -1)
        return np.maximum.accumulate(places, axis=1), None
    some = np.logical_or.accumulate(chosen, axis=1)
    if how == "exists":
        return some.astype(np.int64), None
    if how == "earliest":
        return np.where(some, chosen.argmax(axis=1)[:, None], -1), None
    return chosen.cumsum(axis=1), None if tops is None else (chosen * tops).cumsum(axis=1)


def _pairs(match: Match, keys: Interned, queries: Interned) -> Flags:
    """Whether a condition is true: [key, query]."""
    table = np.zeros((len(keys), len(queries)), dtype=bool)
    relation = match.relation
    if isinstance(relation, Comparison) or table.size < len(relation):
        for key, query in product(range(1, len(keys)), range(1, len(queries))):
            table[key, query] = match.holds(keys.values[key], queries.values[query])
    else:
        for key_value, query_value in relation:
            table[keys.find(key_value), queries.find(query_value)] = True
        table[UNDEFINED] = table[:, UNDEFINED] = False
    return table


def _ranks(keys: Interned, queries: Interned) -> tuple[Ids, Ids]:
    """Numbers that are in the same order as the values: [key], [query]."""
    numbers = {as_number(value) for value in (*keys.values[1:], *queries.values[1:])}
    ranks = {number: rank for rank, number in enumerate(sorted(numbers))}
    return (
        keys.table(lambda value: ranks[as_number(value)]),
        queries.table(lambda value: ranks[as_number(value)]),
    )
