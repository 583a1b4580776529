"""Numbers by row that are the same in nearly all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft_check.by_windows.windows import TokenSets

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Mostly:
    """One number for each row.

    Args:
        rest: that of all rows but some.
        rows: these, in order: [place].
        numbers: theirs: [place].
    """

    rest: int
    rows: Ids
    numbers: Ids

    @classmethod
    def always(cls, number: int) -> Mostly:
        """The same number everywhere."""
        return cls(number, NONE, NONE)

    @classmethod
    def of(cls, rest: int, rows: Ids, numbers: Ids) -> Mostly:
        """Of numbers that may be the rest."""
        is_other = numbers != rest
        return cls(rest, rows[is_other], numbers[is_other])

    def at(self, rows: Ids) -> Ids:
        """The numbers of some rows, in order."""
        found = np.full(len(rows), self.rest)
        if len(self.rows):
            places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
            is_there = self.rows[places] == rows
            found[is_there] = self.numbers[places[is_there]]
        return found

    def where(self, flags: Flags, count: int) -> Ids:
        """The rows whose numbers have a flag, in order.

        Args:
            flags: of numbers: [number].
            count: how many rows there are.
        """
        if not flags[self.rest]:
            return self.rows[flags[self.numbers]]
        others = self.rows[~flags[self.numbers]]
        return np.delete(np.arange(count), others)


def united(*rows: Ids) -> Ids:
    """All rows of several that are in order, in order."""
    some = [each for each in rows if len(each)]
    if len(some) < 2:
        return some[0] if some else NONE
    every = np.sort(np.concatenate(some), kind="stable")
    return np.asarray(every[np.concatenate([[True], every[1:] != every[:-1]])])


def shared(*rows: Ids) -> Ids:
    """The rows that are in each of several, all of them in order; none of none."""
    found, *others = sorted(rows, key=len) or [NONE]
    for each in others:
        if not len(found):
            break
        places = np.minimum(np.searchsorted(each, found), len(each) - 1)
        found = found[each[places] == found]
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """The sets of tokens that rows allow, each once.

    Args:
        sizes: how many tokens each has: [set].
        holders: the sets that have each token, one token behind the other: [place].
        firsts: where those of each token begin: [token + 1].
        rows: those that allow each set, one set behind the other: [row].
        starts: where those of each set begin: [set + 1].
    """

    sizes: Ids
    holders: Ids
    firsts: Ids
    rows: Ids
    starts: Ids

    @classmethod
    def of(cls, sets: TokenSets, chosen: Ids) -> Seen:
        """Of rows with the numbers of their sets."""
        used, places = np.unique(chosen, return_inverse=True)
        parts: list[Ids] = [sets[number] for number in used.tolist()]
        sizes = np.array([len(part) for part in parts])
        tokens, owners = np.concatenate(parts), np.repeat(np.arange(len(parts)), sizes)
        order, by_set = np.argsort(tokens, kind="stable"), np.argsort(places, kind="stable")
        return cls(
            sizes,
            owners[order],
            np.searchsorted(tokens[order], np.arange(sets.vocabulary + 1)),
            by_set,
            np.searchsorted(places[by_set], np.arange(len(parts) + 1)),
        )

    def holding(self, tokens: Ids) -> tuple[Ids, Ids]:
        """Each of some tokens and each set that has it: places among the tokens, sets: [pair] each."""
        counts = self.firsts[tokens + 1] - self.firsts[tokens]
        return np.repeat(np.arange(len(tokens)), counts), self.holders[
            _runs(self.firsts[tokens], counts)
        ]

    def numbered(self, rest: int, sets: Ids, numbers: Ids) -> Mostly:
        """What rows have by their sets; the rest is that of all other sets."""
        counts = self.starts[sets + 1] - self.starts[sets]
        rows = self.rows[_runs(self.starts[sets], counts)]
        order = np.argsort(rows)
        return Mostly.of(rest, rows[order], np.repeat(numbers, counts)[order])


def _runs(firsts: Ids, counts: Ids) -> Ids:
    """So many numbers from each first one on, one run behind the other."""
    before = np.cumsum(counts) - counts
    return np.asarray(np.arange(int(counts.sum())) + np.repeat(firsts - before, counts))


def codes_by_set(seen: Seen, codes: Ids, common: int, others: Ids) -> tuple[Ids, Sequence[Ids], Ids]:
    """Which values a function of tokens has on each set, but for the sets where it has only one.

    Args:
        seen: the sets.
        codes: the value of each token, as a number: [token].
        common: the number of most of them.
        others: all other tokens, in order.

    Returns:
        The sets where it may have another value, the kinds of sets of numbers, and which of these each
        of the sets has.
    """
    if len(others) == 1:
        token = int(others[0])
        found = seen.holders[seen.firsts[token] : seen.firsts[token + 1]]
        values = [codes[others], np.array([codes[token], common])]
        return found, values, (seen.sizes[found] > 1).astype(np.int64)
    width = int(codes.max()) + 1
    places, sets = seen.holding(others)
    keys = np.unique(sets * width + codes[others[places]])
    found, starts, counts = np.unique(keys // width, return_index=True, return_counts=True)
    inside = np.bincount(sets, minlength=len(seen.sizes))
    has_common = seen.sizes[found] > inside[found]
    if (counts == 1).all():
        kinds, which = np.unique(keys % width * 2 + has_common, return_inverse=True)
        values = [np.array([kind // 2, common][: 1 + kind % 2]) for kind in kinds.tolist()]
        return found, values, which
    known: dict[tuple[int, ...], int] = {}
    given = zip(np.split(keys % width, starts[1:]), has_common.tolist(), strict=True)
    whole = [(*each.tolist(), *([common] if is_common else [])) for each, is_common in given]
    which = np.array([known.setdefault(each, len(known)) for each in whole])
    return found, [np.array(each) for each in known], which
