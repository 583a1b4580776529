"""The conditions under which a source matches, as functions of tokens and positions.

A condition compares a function of one token of the window at the destination with a function of one
token of the window at the source, or it is about positions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from handcraft_check.by_matches.settled import Settled
from handcraft_check.by_windows.windows import OWN, Column, UnfitError, WindowMeaning, related
from handcraft_check.layers.matrix import Flags, Ids
from handcraft_check.program.evaluate import value_of
from handcraft_check.program.nodes import Match, Node

Pair = tuple[int | None, int | None]
"""An atom of the destination and one of the source; None if that side does not matter."""


@dataclass(frozen=True, eq=False)
class Condition:
    """Where one condition holds, between positions of two kinds.

    Args:
        atoms: the tokens that it depends on; both are None for a condition on positions.
        here: the number of the value of each token at the destination; one number if `atoms` has None.
        there: as `here`, for the source.
        holds: [value here, value there].
        positions: where it holds, if it is about positions: [destination, source].
    """

    atoms: Pair
    here: Ids
    there: Ids
    holds: Flags
    positions: Flags

    @property
    def table(self) -> Flags:
        """Where it holds: [token here, token there]; of length 1 on a side without a token."""
        return np.asarray(self.holds[self.here][:, self.there])


def conditions(
    program: WindowMeaning, node: Node, here: Settled, there: Settled
) -> list[list[Condition]]:
    """The conditions of an aggregate: a source matches if all conditions of one of these lists hold.

    Raises:
        UnfitError: one depends on several tokens of a position.
    """
    return [[_condition(program, match, here, there) for match in case] for case in node.cases]


def _condition(program: WindowMeaning, match: Match, here: Settled, there: Settled) -> Condition:
    known = program.at_positions.keys()
    everywhere = np.ones((len(here.positions), len(there.positions)), dtype=bool)
    if match.query in known and match.key in known:
        none = np.zeros(1, dtype=np.int64)
        positions = program.holds(match)[np.ix_(here.positions, there.positions)]
        return Condition((None, None), none, none, np.ones((1, 1), dtype=bool), positions)
    atom, query = _side(program, match.query, here)
    other, key = _side(program, match.key, there)
    return Condition(
        (atom, other), query.codes, key.codes, related(match, query.values, key.values), everywhere
    )


def _side(program: WindowMeaning, number: int, at: Settled) -> tuple[int | None, Column]:
    """The atom that a node depends on at positions of a kind, and its value for each token."""
    if number in program.at_positions:
        values = {program.at_positions[number][position] for position in at.positions.tolist()}
        if len(values) > 1:
            raise UnfitError("positions and tokens decide together which positions it reads")
        return None, Column.of(list(values))
    base = program.base(number)
    if base is None or base in program.matched:
        raise UnfitError("several tokens decide together which positions it reads")
    atom = at.window.reads.get(base, OWN)
    if atom < 0:
        return None, Column.of([default_of(program, number, base)])
    return atom, program.column(number, base)


def default_of(program: WindowMeaning, number: int, base: int) -> Any:
    """The value of a node if the aggregate that it reads has its default."""
    value = program.evaluator.nodes[base].default
    assert value is not None
    return value if number == base else value_of(program.evaluator.nodes[number], (value,))


@dataclass(frozen=True, eq=False)
class Branch:
    """One way in which a source matches or does not, with the tokens and positions that allow it.

    Args:
        is_match: whether it matches.
        tables: for each pair of atoms, the pairs of tokens: [token here, token there].
        positions: the pairs of positions: [destination, source].
    """

    is_match: bool
    tables: dict[Pair, Flags]
    positions: Flags

    @classmethod
    def of(cls, held: Sequence[tuple[Condition, bool]], visible: Flags, *, is_match: bool) -> Branch:
        """The branch in which some conditions hold, and others do not."""
        tables: dict[Pair, Flags] = {}
        positions = visible.copy()
        for condition, is_held in held:
            if condition.atoms == (None, None) and condition.holds.all():
                positions &= condition.positions == is_held
            else:
                table = condition.table == is_held
                tables[condition.atoms] = tables.get(condition.atoms, True) & table
        return cls(is_match, tables, positions)

    @property
    def is_possible(self) -> bool:
        """Whether each table on its own has such positions or tokens."""
        return bool(self.positions.any()) and all(table.any() for table in self.tables.values())


def branches(cases: Sequence[Sequence[Condition]], visible: Flags) -> Iterator[Branch]:
    """All ways in which a source matches, and then all in which it does not.

    A source matches if all conditions of one case hold. If it does not, then one condition of each case
    is the first that fails.

    Args:
        cases: the conditions.
        visible: which positions are seen: [destination, source].
    """
    for case in cases:
        branch = Branch.of([(each, True) for each in case], visible, is_match=True)
        if branch.is_possible:
            yield branch
    for firsts in product(*(range(len(case)) for case in cases)):
        held = []
        for case, first in zip(cases, firsts, strict=True):
            held += [(each, True) for each in case[:first]] + [(case[first], False)]
        branch = Branch.of(held, visible, is_match=False)
        if branch.is_possible:
            yield branch
