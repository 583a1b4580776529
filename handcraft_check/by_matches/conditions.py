"""What decides which position an aggregate reads, where that depends on tokens.

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
"""An atom of the destination and one of the source; None where no token of that side decides."""


@dataclass(frozen=True, eq=False)
class Condition:
    """Where one condition holds, between positions of two kinds.

    Args:
        atoms: what decides; both are None where the positions do.
        here: which of the values each token at the destination has; one number for no token.
        there: the same of the source.
        holds: [value here, value there].
        positions: where it holds, of these positions of both kinds: [destination, source].
    """

    atoms: Pair
    here: Ids
    there: Ids
    holds: Flags
    positions: Flags

    @property
    def table(self) -> Flags:
        """Where it holds, by tokens: [token here, token there]; 1 for no token."""
        return np.asarray(self.holds[self.here][:, self.there])


def conditions(
    program: WindowMeaning, node: Node, here: Settled, there: Settled
) -> list[list[Condition]]:
    """The conditions of an aggregate, between positions of two kinds: all of one of these hold.

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
    """The atom that a node reads at positions of a kind, and what it is of each token."""
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
    """What a node is where the aggregate that it reads has its default."""
    value = program.evaluator.nodes[base].default
    assert value is not None
    return value if number == base else value_of(program.evaluator.nodes[number], (value,))


@dataclass(frozen=True, eq=False)
class Branch:
    """One way in which a source matches or does not: what tokens and positions there may be.

    Args:
        is_match: whether it matches.
        tables: which tokens may be there together, for each pair of atoms: [token here, token there].
        positions: which positions may be there together: [destination, source].
    """

    is_match: bool
    tables: dict[Pair, Flags]
    positions: Flags

    @classmethod
    def of(cls, held: Sequence[tuple[Condition, bool]], visible: Flags, *, is_match: bool) -> Branch:
        """Where some conditions hold, and others do not."""
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
        """Whether there are such positions and tokens, as far as each table says."""
        return bool(self.positions.any()) and all(table.any() for table in self.tables.values())


def branches(cases: Sequence[Sequence[Condition]], visible: Flags) -> Iterator[Branch]:
    """All ways in which a source matches, and all in which it does not.

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
