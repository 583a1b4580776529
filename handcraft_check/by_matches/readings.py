"""What heads that match may read, as cases: sets of tokens at both positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from handcraft_check.by_matches.conditions import Branch, Pair
from handcraft_check.by_matches.settled import Settled
from handcraft_check.by_windows.windows import TokenSets, UnfitError
from handcraft_check.layers.matrix import Flags, Ids

FEW = 16
"""Tokens that match the same tokens are one case, if there are at most this many kinds of them."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What some heads read: a position of one kind that matches in one way, or fails to in one way.

    Args:
        heads: the heads, which read the same position.
        source: the positions that it may be.
        branch: in which way it matches or not.
    """

    heads: tuple[int, ...]
    source: Settled
    branch: Branch


@dataclass(frozen=True, eq=False)
class Fused:
    """A token of the source that follows from a token of the destination.

    Args:
        here: the atom of the destination.
        there: the atom of the source.
        token: the token at the source, for each token at the destination; -1 for none: [token].
    """

    here: int
    there: int
    token: Ids


@dataclass(frozen=True, eq=False)
class Choice:
    """The sets of tokens that two atoms may have together, in one way in which a source matches or not.

    Args:
        atoms: one of the destination, one of the source; None for none.
        sets: the combinations that are allowed: the number of a set for each of the atoms.
        fused: given if the token of the destination decides that of the source, which then needs no
            set.
    """

    atoms: Pair
    sets: Sequence[tuple[int, ...]]
    fused: Fused | None = None


def choices(branch: Branch, sets: TokenSets) -> list[Choice]:
    """The sets of tokens that a branch allows, for each pair of atoms.

    Raises:
        UnfitError: a token of one atom is compared with those of several others.
    """
    for side in (0, 1):
        atoms = [pair[side] for pair in branch.tables if pair[side] is not None]
        if len(set(atoms)) < len(atoms):
            raise UnfitError("a token of a window decides with several others which positions it reads")
    return [_choice(pair, table, sets) for pair, table in branch.tables.items()]


def _choice(pair: Pair, table: Flags, sets: TokenSets) -> Choice:
    here, there = pair
    if here is None and there is None:
        return Choice(pair, [()])
    if there is None:
        return Choice(pair, [(sets.number(np.flatnonzero(table[:, 0])),)])
    if here is None:
        return Choice(pair, [(sets.number(np.flatnonzero(table[0])),)])
    counts = table.sum(axis=1)
    packed = np.packbits(table, axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    if len(first) > FEW and counts.max() <= 1:
        token = np.where(counts > 0, table.argmax(axis=1), -1)
        return Choice(pair, [(sets.number(np.flatnonzero(counts)),)], Fused(here, there, token))
    order = np.argsort(which, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(which[order])) + 1)
    found = [
        (sets.number(group), sets.number(np.flatnonzero(table[row])))
        for row, group in zip(first.tolist(), groups, strict=True)
        if counts[row]
    ]
    return Choice(pair, found)


def joint(parts: Sequence[Sequence[Choice]], most: int) -> list[tuple[tuple[int, ...], ...]]:
    """All combinations of the sets of several choices, in their order.

    Raises:
        UnfitError: there are more than `most`.
    """
    listed = [choice.sets for each in parts for choice in each]
    if np.prod([float(len(each)) for each in listed]) > most:
        raise UnfitError("what several heads may read has too many cases")
    return [*product(*listed)]
