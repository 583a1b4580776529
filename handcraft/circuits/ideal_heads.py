"""The heads of ideal circuits: exact attention patterns, and the means that they move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.circuits.content import ByContent
from handcraft.circuits.distance import LookBack
from handcraft.circuits.exact_array import (
    ExactArray,
    combine,
    equal_weights,
    join,
    product,
    proportions,
    take,
)
from handcraft.circuits.head import AttentionWeights, Head
from handcraft.circuits.linear_map import LinearMap
from handcraft.circuits.prefixes import Prefixes, Seen
from handcraft.circuits.subspace import Coefficients, Subspace
from handcraft.errors import CircuitError

Numbers = Mapping[Subspace, ExactArray]
"""The numbers in each subspace of the residual stream: [prefix, width]."""

Columns = dict[tuple[Subspace, int], int]
"""The column of an array for each dimension of a subspace."""


def attend(head: Head, stream: Numbers, prefixes: Prefixes) -> tuple[ExactArray, Columns]:
    """The mean of what the head moves, in its carried subspaces, at every destination."""
    columns = _columns(head.moves, ())
    values = _mapped(head.moves, (), columns, stream)
    factors = queries_and_keys(head, stream)
    means = []
    for seen in prefixes.seen:
        pattern = hard_pattern(head, factors, seen, prefixes)
        if pattern.below == 1 and head.attends.is_hard:  # each destination selects one source
            picked = pattern.tops.argmax(axis=1)
            means.append(take(values, seen.sources[np.arange(len(picked)), picked]))
        else:
            there = take(values, seen.sources)  # [destination, source, width]
            turned = ExactArray(there.tops.swapaxes(1, 2), there.below, there.most)
            means.append(product(pattern, turned, pattern.most))
    return join(means), columns


def hard_pattern(
    head: Head, factors: tuple[ExactArray, ExactArray], seen: Seen, prefixes: Prefixes
) -> ExactArray:
    """The attention pattern: equal weights on the highest scores; [destination, source].

    With soft attention, the weights that the head states, or those that follow from its base. The
    sharpness does not matter here: any positive number preserves the order of scores.

    `factors` are the queries and keys of `queries_and_keys`.
    """
    if head.attends.distance is not None:
        return _at_distance(head.attends.distance, seen)
    if head.attends.attention_weights is not None:
        return _stated(head.attends.attention_weights, seen, prefixes)
    queries, keys = factors
    scores = product(take(queries, seen.destinations), take(keys, seen.sources)).tops
    if head.attends.content is not None:
        return _by_content(head, head.attends.content, scores)
    if head.attends.base is not None:
        higher = (scores - scores.min(axis=1, keepdims=True)).astype(int).astype(object)
        return proportions(np.asarray(head.attends.base**higher))
    try:
        wins = np.asarray(scores == scores.max(axis=1, keepdims=True), dtype=bool)
    except TypeError as error:
        raise CircuitError(
            f"the order of the scores of `{head.name}` depends on a symbol: {error}",
            fix="give the symbol its value, or use it as the sharpness",
        ) from error
    return equal_weights(wins)


def _at_distance(distance: LookBack, seen: Seen) -> ExactArray:
    """All of the attention at one distance, of destinations that see equally many sources."""
    rows, count = seen.sources.shape
    pattern = np.zeros((rows, count))
    pattern[:, distance.source(count - 1)] = 1
    return ExactArray(pattern, 1, 1)


def _by_content(head: Head, content: ByContent, scores: npt.NDArray[Any]) -> ExactArray:
    """All of the attention at sources that match, of destinations that see equally many sources.

    Raises:
        CircuitError: a token of the text has a score above 0.
    """
    if bool((scores[:, 1:] > 0).any()):
        raise CircuitError(
            f"a source of `{head.name}` has a score above 0",
            fix="let a source that matches have a score of 0, and any other a lower one",
        )
    wins = content.pattern(scores)
    if content.picks == "any" or content.is_shared:
        return equal_weights(wins.astype(bool))
    return ExactArray(wins.astype(float), 1, 1)


def _stated(weights: Sequence[AttentionWeights], seen: Seen, prefixes: Prefixes) -> ExactArray:
    """The attention weights that the circuits state for each destination."""
    count = seen.sources.shape[1]
    places = prefixes.positions[seen.destinations].tolist()
    pattern = ExactArray.of_rows([[(i, n) for i, n in weights[p] if i < count] for p in places], count)
    if pattern.most is None:
        return pattern
    return replace(pattern, most=int(np.abs(pattern.tops).sum(axis=1).max(initial=0)))


def queries_and_keys(head: Head, stream: Numbers) -> tuple[ExactArray, ExactArray]:
    """The queries and keys, whose inner products are the attention scores: [prefix, width] each."""
    attends = head.attends
    queries = _columns(attends.query, attends.query_bias)
    shared = [each for each in _columns(attends.key, attends.key_bias) if each in queries]
    columns = {each: column for column, each in enumerate(shared)}
    return (
        _mapped(attends.query, attends.query_bias, columns, stream),
        _mapped(attends.key, attends.key_bias, columns, stream),
    )


def _columns(maps: Iterable[LinearMap], constants: Iterable[Coefficients]) -> Columns:
    """A column for every dimension that is written."""
    written = [(linear.target, j) for linear in maps for _, j, _ in linear.entries]
    written += [(each.subspace, j) for each in constants for j, _ in each.entries]
    return {each: column for column, each in enumerate(dict.fromkeys(written))}


def _mapped(
    maps: Iterable[LinearMap], constants: Iterable[Coefficients], columns: Columns, stream: Numbers
) -> ExactArray:
    """What `maps` read from the stream and `constants` add, in some columns: [prefix, column]."""
    parts = [
        (
            stream[linear.source],
            [
                (i, columns[linear.target, j], number)
                for i, j, number in linear.entries
                if (linear.target, j) in columns
            ],
        )
        for linear in maps
    ]
    added = [
        (columns[each.subspace, j], number)
        for each in constants
        for j, number in each.entries
        if (each.subspace, j) in columns
    ]
    return combine(parts, len(columns), added, rows=len(next(iter(stream.values()))))
