"""What a program of windows means on many cases, in which nearly all of its rules do not fire.

A thousand rules fire after a thousand windows. So a node of the program has one value in nearly all
cases, which is computed once, and others in few.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from functools import cached_property

import numpy as np

from handcraft_check.by_cases.states import combinations
from handcraft_check.by_windows.mostly import NONE, Mostly, Seen, codes_by_set, shared, united
from handcraft_check.by_windows.windows import OWN, TokenSets, Window, WindowMeaning
from handcraft_check.layers.matrix import Ids
from handcraft_check.program.evaluate import needed_by, results_of, value_of
from handcraft_check.program.meaning import Rule
from handcraft_check.program.nodes import Node
from handcraft_check.program.sets import Set, is_one

TERMS = 4
"""Sums of more terms are computed term by term."""


class Values:
    """The sets of values of the nodes that rules read, in some cases.

    Args:
        program: what is meant.
        window: the kind of the position.
        sets: sets of tokens, places in the vocabulary.
        chosen: which of them each atom may be: [row, atom].
        rules: those that may fire, in order.
    """

    def __init__(
        self,
        program: WindowMeaning,
        window: Window,
        sets: TokenSets,
        chosen: Ids,
        rules: Sequence[Rule],
    ) -> None:
        self.program, self.window, self.count, self.rules = program, window, len(chosen), rules
        self.evaluator, nodes = program.evaluator, program.evaluator.nodes
        self.numbers: dict[int, Mostly] = {}
        self._results: dict[Hashable, Set] = {}
        self.roots = {part for rule in rules for part in (rule.flag, rule.token) if part is not None}
        self.needed = needed_by(nodes, self.roots)
        read = {each for i in self.needed for each in self._read(i)} | self.roots
        seen = [Seen.of(sets, chosen[:, atom]) for atom in range(chosen.shape[1])]
        for number in self.needed:
            if number in read:
                self._compute(number, seen)

    def _read(self, number: int) -> Collection[int]:
        """The nodes whose sets are looked at for that of a node."""
        if number not in self.program.mixed or self.program.base(number) is not None:
            return ()
        node = self.evaluator.nodes[number]
        return self.program.conjunctions.get(number) or node.of

    def _compute(self, number: int, seen: Sequence[Seen]) -> None:
        node, listed = self.evaluator.nodes[number], self.evaluator.sets[number]
        base, atom = self.program.base(number), OWN
        if base is not None and base in self.window.reads:
            atom = self.window.reads[base]
        if number in self.window.values:
            self.numbers[number] = Mostly.always(listed.number((self.window.values[number],)))
        elif base is not None and atom < 0:
            value = self.window.values.get(base, self.evaluator.nodes[base].default)
            if base != number and value is not None:
                value = value_of(node, (value,))
            self.numbers[number] = Mostly.always(listed.number((value,)))
        elif base is not None:
            self.numbers[number] = self._of_tokens(number, base, seen[atom])
        elif number not in self.program.at_positions:
            self.numbers[number] = self._pointwise(number, node)

    def _of_tokens(self, number: int, base: int, seen: Seen) -> Mostly:
        """The sets of values of a function of one token."""
        column, listed = self.program.column(number, base), self.evaluator.sets[number]
        common, others = column.common
        rest = listed.number((column.values[common],))
        sets, kinds, which = codes_by_set(seen, column.codes, common, others)
        numbers = np.array(
            [listed.number(column.values[code] for code in kind.tolist()) for kind in kinds],
            dtype=np.int64,
        )
        return seen.numbered(rest, sets, numbers[which])

    def _pointwise(self, number: int, node: Node) -> Mostly:
        """The sets of values of a node that reads others at its own position."""
        if number in self.program.conjunctions:
            return self._conjunction(number)
        listed, read = self.evaluator.sets[number], [self.numbers[each] for each in node.of]
        rows = united(*(each.rows for each in read))
        if len(node.of) > TERMS:
            every = {
                each: np.append(one.at(rows), one.rest) for each, one in zip(node.of, read, strict=True)
            }
            found = self.evaluator.pointwise(node, every, listed)
            return Mostly.of(int(found[-1]), rows, found[:-1])
        columns = [np.append(one.at(rows), one.rest) for one in read]
        first, places = combinations(*columns)
        numbers = []
        for row in zip(*(column[first].tolist() for column in columns), strict=True):
            given = [
                self.evaluator.sets[each].listed[code] for each, code in zip(node.of, row, strict=True)
            ]
            numbers.append(listed.number(self._result(node, given)))
        found = np.array(numbers, dtype=np.int64)[places]
        return Mostly.of(int(found[-1]), rows, found[:-1])

    def _conjunction(self, number: int) -> Mostly:
        """Whether all of several flags hold: only where each may hold, if each fails in most rows."""
        listed, flags = self.evaluator.sets[number], self.program.conjunctions[number]
        read = [self.numbers[each] for each in flags]
        sets = [self.evaluator.sets[each].listed for each in flags]
        fails = [each[one.rest] == {False} for each, one in zip(sets, read, strict=True)]
        rows = shared(*(one.rows for one, is_failing in zip(read, fails, strict=True) if is_failing))
        if not any(fails):
            rows = united(*(one.rows for one in read))
        columns = [np.append(one.at(rows), one.rest) for one in read]
        first, places = combinations(*columns)
        numbers = []
        for row in zip(*(column[first].tolist() for column in columns), strict=True):
            given = [each[code] for each, code in zip(sets, row, strict=True)]
            may, must = {False} not in given, all(each == {True} for each in given)
            numbers.append(listed.number(((True,) if must else (True, False)) if may else (False,)))
        found = np.array(numbers, dtype=np.int64)[places]
        return Mostly.of(int(found[-1]), rows, found[:-1])

    def _result(self, node: Node, given: list[Set]) -> Set:
        """What a node may be; sums and thresholds of a kind occur in thousands of rules."""
        if node.op not in ("sum", "at_least"):
            return frozenset(results_of(node, given))
        key = (node.op, node.number, node.factors, *given)
        if key not in self._results:
            self._results[key] = frozenset(results_of(node, given))
        return self._results[key]

    @cached_property
    def answers(self) -> Ids:
        """What the first rule that fires predicts, as `handcraft_check.program.answers` does: [row]."""
        meaning = self.program.meaning
        places = {token: i for i, token in enumerate(meaning.vocabulary)}
        found, is_open = np.full(self.count, -1), np.ones(self.count, dtype=bool)
        for rule in self.rules:
            if rule.flag is None:
                fires = np.flatnonzero(is_open)
                is_open[:] = False
            else:
                flag, sets = self.numbers[rule.flag], self.evaluator.sets[rule.flag]
                rows = flag.where(~sets.flags(lambda v: v == {False}), self.count)
                rows = rows[is_open[rows]]
                is_open[rows] = False
                fires = rows[sets.flags(lambda v: v == {True})[flag.at(rows)]]
            if rule.token is None:
                found[fires] = len(places) + rule.distribution
            elif len(fires):
                numbers = self.numbers[rule.token].at(fires)
                for number in np.unique(numbers).tolist():
                    values = self.evaluator.sets[rule.token].listed[number]
                    place = places.get(next(iter(values)), -1) if is_one(values) else -1
                    found[fires[numbers == number]] = place
        return found

    def undecided(self, rows: Ids) -> list[list[int]]:
        """The nodes that have several values, and leave the flag or the token of a rule undecided.

        As `handcraft_check.program.undecided` finds them.

        Args:
            rows: these are looked at, in order.

        Returns:
            For each of these rows, its nodes.
        """
        evaluator = self.evaluator
        need = {root: self._several(root, rows) for root in self.roots}
        found: list[list[int]] = [[] for _ in rows]
        for number in reversed(self.needed):
            here, node = need.get(number, NONE), evaluator.nodes[number]
            if not len(here):
                continue
            for place in np.searchsorted(rows, here).tolist():
                found[place].append(number)
            for read in set(self._read(number)):
                several = self._several(read, here)
                if node.op == "choice" and node.of.count(read) == 1 and read != node.of[0]:
                    flag = node.of[0]
                    other = evaluator.sets[flag].flags(frozenset({read != node.of[1]}).__eq__)
                    several = several[~other[self.numbers[flag].at(several)]]
                need[read] = united(need.get(read, NONE), several)
        return found

    def open_rules(self, rows: Ids) -> list[Rule]:
        """The rules that may fire in one of some rows, in order, and so in a part of such a case."""
        found = []
        for rule in self.rules:
            if rule.flag is not None:
                fails = self.evaluator.sets[rule.flag].flags(lambda v: v == {False})
                if fails[self.numbers[rule.flag].at(rows)].all():
                    continue
            found.append(rule)
        return found

    def _several(self, number: int, rows: Ids) -> Ids:
        """The rows in which a node has several values."""
        return rows[~self.evaluator.sets[number].single[self.numbers[number].at(rows)]]
