"""Programs of the RASP literature, written in RASP.

Each function makes one program, whose meaning is in the docstring; `tests/property/test_rasp.py`
compares it with plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

from handcraft.rasp.aggregate import Aggregate, SelectorWidth
from handcraft.rasp.selector import Comparison, Select
from handcraft.rasp.sequence import (
    Full,
    Map,
    SequenceMap,
    SOp,
    categorical,
    indices,
    length,
    numerical,
    tokens,
)


def make_length() -> SOp:
    """The length of the text, at every position.

    >>> make_length()("abc")
    [3, 3, 3]
    """
    return SelectorWidth(Select(tokens, tokens, Comparison.TRUE)).named("length")


def make_hist() -> SOp:
    """How many positions have the same token as this one.

    >>> make_hist()("abac")
    [2, 1, 2, 1]
    """
    return SelectorWidth(Select(tokens, tokens, Comparison.EQ)).named("hist")


def make_count(sequence: SOp, value: object) -> SOp:
    """How often a sequence has a given value in the text.

    >>> make_count(tokens, "a")("aab")
    [2, 2, 2]
    """
    return SelectorWidth(Select(sequence, Full(value), Comparison.EQ)).named(f"count_{value}")


def make_count_less_freq(limit: int) -> SOp:
    """How many positions have a token that occurs at most `limit` times.

    >>> make_count_less_freq(2)("aaabbc")
    [3, 3, 3, 3, 3, 3]
    """
    return SelectorWidth(Select(make_hist(), Full(limit), Comparison.LEQ)).named("count_less_freq")


def make_frac_prevs(flags: SOp) -> SOp:
    """The fraction of positions, up to this one, where a flag is true.

    >>> [str(fraction) for fraction in make_frac_prevs(tokens == "l")("hello")]
    ['0', '0', '1/3', '1/2', '2/5']
    """
    until_here = Select(indices, indices, Comparison.LEQ)
    return numerical(Aggregate(until_here, flags)).named("frac_prevs")


def make_shift_by(offset: int, sequence: SOp) -> SOp:
    """The value `offset` positions earlier; None where there is no such position.

    >>> make_shift_by(1, tokens)("abcd")
    [None, 'a', 'b', 'c']
    """
    there = Select(indices, indices - offset, Comparison.EQ)
    return Aggregate(there, sequence).named(f"shift_by_{offset}")


def make_detect_pattern(sequence: SOp, pattern: Sequence[object]) -> SOp:
    """Whether the values up to this position end in a pattern; None where there are too few.

    >>> make_detect_pattern(tokens, "ab")("aaba")
    [None, False, True, False]
    """
    last = len(pattern) - 1
    shifted = [make_shift_by(last - i, sequence) if i < last else sequence for i in range(len(pattern))]
    fits = [there == value for there, value in zip(shifted, pattern, strict=True)]
    return reduce(lambda one, other: one & other, fits).named("detect_pattern")


def make_reverse(sequence: SOp) -> SOp:
    """The values in reverse order.

    >>> make_reverse(tokens)("abcd")
    ['d', 'c', 'b', 'a']
    """
    mirrored = Select(indices, length - indices - 1, Comparison.EQ)
    return Aggregate(mirrored, sequence).named("reverse")


def make_pair_balance(sequence: SOp, open_token: object, close_token: object) -> SOp:
    """Up to every position, the fraction of openings minus the fraction of closings.

    >>> [str(balance) for balance in make_pair_balance(tokens, "(", ")")("(()")]
    ['1', '1', '1/3']
    """
    opened = make_frac_prevs(sequence == open_token)
    closed = make_frac_prevs(sequence == close_token)
    return numerical(opened - closed).named("pair_balance")


def make_shuffle_dyck(pairs: Sequence[str | tuple[object, object]]) -> SOp:
    """1 everywhere if every pair of brackets is balanced, whatever is between them; else 0.

    >>> make_shuffle_dyck(["()", "{}"])("({)}"), make_shuffle_dyck(["()", "{}"])("){(}")
    ([1, 1, 1, 1], [0, 0, 0, 0])
    """
    at_end = Select(indices, length - 1, Comparison.EQ)
    checks: list[SOp] = []
    for opening, closing in map(tuple, pairs):
        balance = make_pair_balance(tokens, opening, closing)
        below = SelectorWidth(Select(balance < 0, Full(True), Comparison.EQ))
        checks += [below == 0, Aggregate(at_end, balance == 0)]
    balanced = reduce(lambda one, other: one & other, checks)
    return Map(int, balanced).named("shuffle_dyck")


def make_sort_unique(values: SOp, keys: SOp) -> SOp:
    """The values in the order of their keys, no two of which are equal.

    >>> make_sort_unique(tokens, tokens)([2, 4, 3, 1])
    [1, 2, 3, 4]
    """
    rank = SelectorWidth(Select(keys, keys, Comparison.LT)).named("rank")
    moved = Aggregate(Select(rank, indices, Comparison.EQ), values)
    return categorical(moved).named("sort_unique")


def make_sort(
    values: SOp, keys: SOp, *, max_length: int, smallest_gap: int | float | Fraction = 1
) -> SOp:
    """The values in the order of their keys; where keys are equal, in the order of positions.

    Args:
        values: what is ordered.
        keys: numbers.
        max_length: the most tokens of a text.
        smallest_gap: no two different keys are closer to each other.

    >>> make_sort(tokens, tokens, max_length=5)([2, 4, 1, 2])
    [1, 2, 2, 4]
    """
    scale = Fraction(str(smallest_gap)) / max_length

    def unique(key: Any, index: Any) -> Fraction:
        """A key whose order is that of keys, then of positions."""
        place: Fraction = Fraction(key) / scale + index
        return place

    return make_sort_unique(values, SequenceMap(unique, keys, indices).named("unique")).named("sort")


def make_sort_freq(max_length: int) -> SOp:
    """The tokens by how often they occur, the most frequent first; else in the order of positions.

    >>> make_sort_freq(max_length=5)([2, 4, 2, 1])
    [2, 2, 4, 1]
    """
    return make_sort(tokens, -make_hist(), max_length=max_length).named("sort_freq")


def make_nary(function: Callable[..., object], *sequences: SOp) -> SOp:
    """A function of several sequences, position by position.

    >>> make_nary(lambda x, y, z: x + y - z, tokens, tokens, indices)([1, 2, 3])
    [2, 3, 4]
    """
    first, *others = sequences
    rows: SOp = Map(lambda value: (value,), first)
    for other in others:
        rows = SequenceMap(lambda row, value: (*row, value), rows, other)
    return Map(lambda row: function(*row), rows).named("nary")
