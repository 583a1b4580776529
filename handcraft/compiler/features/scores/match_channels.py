"""Conditions of a selection as channels whose products are 0 where it holds, and else less.

So a source that matches has a score of 0 in every channel, whatever a dtype rounds, and heads of a
rotary model can add a score by distance to it. Queries are 0 or 1, and keys are 0 or -1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, log2

import numpy as np

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Numbers, Reading
from handcraft.compiler.features.scores.score_terms import Channel
from handcraft.language.graph.domain import Finite, Plain, Value
from handcraft.language.graph.node import Comparison, Match, Node
from handcraft.language.graph.source_counts import holding

LESS_1 = Reading((), -1)


def match_channels(match: Match, features: Features) -> list[Channel]:
    """The channels of a condition: one for each set of keys, or two for each bit, whatever is fewer.

    Args:
        match: the condition, on values with finite domains.
        features: allocates what the channels read.
    """
    keys, queries = _values(match.key), _values(match.query)
    rows = _rows(match, keys, queries)
    width = max(1, ceil(log2(len(keys))))
    if match.relation is Comparison.EQ and 2 * width + 1 < len(rows):
        found = _bits(match, features, keys, queries, width)
    else:
        found = (
            Channel(_read(match.query, here, features), _read(match.key, row, features) + LESS_1)
            for row, here in rows.items()
        )
    return [channel for channel in found if _is_read(channel.query) and _is_read(channel.key)]


def _rows(match: Match, keys: Sequence[Value], queries: Sequence[Value]) -> dict[Numbers, list[int]]:
    """Which keys match, and for which queries it is these; without queries that all keys match."""
    grid = holding(match, keys, queries).astype(np.int64)  # [query, key]
    found: dict[Numbers, list[int]] = {}
    for place, row in enumerate(map(tuple, grid.tolist())):
        here = found.setdefault(row, [0] * len(queries))
        here[place] = 1
    found.pop((1,) * len(keys), None)
    return found


def _bits(
    match: Match, features: Features, keys: Sequence[Value], queries: Sequence[Value], width: int
) -> Iterator[Channel]:
    """Each bit of the index among the keys: the query has it and the key has not, or the reverse.

    A query that is no key matches none.
    """
    places = {value: i for i, value in enumerate(keys)}
    for k in range(width):
        asked = _read(match.query, [places.get(value, 0) >> k & 1 for value in queries], features)
        there = _read(match.key, [place >> k & 1 for place in range(len(keys))], features)
        yield Channel(asked, there + LESS_1)
        yield Channel(asked * -1 + Reading((), 1), there * -1)
    yield Channel(_read(match.query, [int(v not in places) for v in queries], features), LESS_1)


def _read(node: Node, numbers: Sequence[Plain], features: Features) -> Reading:
    return features.read(node, tuple(numbers))


def _is_read(reading: Reading) -> bool:
    """Whether a number is ever anything but 0."""
    return bool(reading.terms or reading.constant)


def _values(node: Node) -> tuple[Value, ...]:
    assert isinstance(node.domain, Finite)
    return node.domain.values
