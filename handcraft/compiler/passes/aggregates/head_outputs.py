"""The outputs of heads that one aggregate reads: values, fractions of sources, whether any matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import numpy as np

from handcraft.compiler.passes.cases import Setting, allowed, has_constant_query, is_positional
from handcraft.compiler.passes.ir import Attend, Equal, IsText, Picks, StepFunction, Threshold, between
from handcraft.language.graph.domain import FLAGS, Finite, Range, Value
from handcraft.language.graph.node import Aggregate, Case, Comparison, Constant, Lookup, Match, Node
from handcraft.language.graph.source_counts import holding
from handcraft.language.graph.wording import Wording, enclosed, reads

PAIRS_UP_TO = 20_000
"""The most pairs of a key and a query for which a table says which are equal."""

EQUALITY = (Comparison.EQ, Comparison.NEQ)
"""The relations that are decided by whether two values are equal."""


@dataclass(frozen=True)
class HeadOutputs:
    """Makes the nodes of one aggregate.

    Args:
        of: the aggregate, whose children are lowered already.
        setting: what is known about the texts.
    """

    of: Aggregate
    setting: Setting

    def moved(self, case: Case, value: Node, picks: Picks, *, unique: bool = False) -> Attend:
        """A value from the sources that fail the fewest conditions."""
        domain = self.of.domain if picks == "mean" else value.domain
        return Attend(domain, self.of.text, case, value, picks, unique=unique, place=self.of.place)

    def fraction(self, case: Case, flag: Node, slack: int = 0, base: int = 0) -> Attend:
        """The attention weight of the sources where a flag is 1: a fraction over a count.

        With soft attention the denominator is a sum of weights, as a multiple of the smallest.
        """
        most = base ** (len(case) + slack) if base else 1
        domain = Range(0, 1, Fraction(1), self.setting.context * most)
        text = reads("fraction of ", flag)
        return Attend(domain, text, case, flag, "mean", slack, base=base, place=self.of.place)

    def exists(self, case: Case) -> Node:
        """A flag: whether any source matches."""
        placed = tuple(m for m in case if is_positional(m))
        others = tuple(m for m in case if not is_positional(m))
        exists = reads(enclosed(self.of.sources, 8), ".exists()")
        flags = allowed(placed, self.setting)
        surely = np.asarray(np.tril(flags).any(axis=1))
        maybe = (flags & self.setting.visible).any(axis=1)
        if not others and bool((surely == maybe).all()):
            return self.at_positions(surely.tolist(), exists)
        if self.setting.rotary:
            return self._finds(case, exists)
        if bool(surely.all()) and all(map(has_constant_query, others)):
            at_least, gap = between(0, Fraction(1, self.setting.context))
            threshold = Threshold(((1, self.fraction(placed, self.matches(others))),), at_least, gap)
            return StepFunction(FLAGS, self.of.text, (threshold,), (False, True), place=self.of.place)
        return self.all([self._best_matches(case, match) for match in case], exists)

    def _finds(self, case: Case, text: Wording) -> Attend:
        """Whether a head of a rotary model finds a source, with the attention that moves the value."""
        picks: Picks = "earliest" if self.of.how == "earliest" else "latest"
        found, is_alone = IsText(FLAGS, reads("text")), self.of.value is None
        return Attend(FLAGS, text, case, found, picks, unique=is_alone, place=self.of.place)

    def matches(self, matches: Sequence[Match]) -> Node:
        """A flag of the source: whether conditions with constant queries are true of it."""
        flags: list[Node] = []
        for match in matches:
            assert isinstance(match.key.domain, Finite)
            assert isinstance(match.query, Constant)
            query = match.query.value
            table: dict[tuple[Value, ...], Value] = {
                (key,): match.holds(key, query) for key in match.key.domain.values
            }
            text = reads(match.key, " matches")
            flags.append(Lookup(FLAGS, text, (match.key,), table, place=self.of.place))
        return self.all(flags, reads("all match"))

    def at_positions(self, flags: Sequence[bool], text: Wording) -> Lookup:
        """A flag for every position."""
        table: dict[tuple[Value, ...], Value] = {(i,): flag for i, flag in enumerate(flags)}
        return Lookup(FLAGS, text, (self.setting.position,), table, place=self.of.place)

    def is_first(self) -> Lookup:
        """A flag: whether this is position 0."""
        return self.at_positions([i == 0 for i in range(self.setting.context)], reads("position 0"))

    def _best_matches(self, case: Case, match: Match) -> Node:
        """Whether one of the conditions is true of the selected source; the head moves its key too."""
        picks: Picks = "earliest" if self.of.how == "earliest" else "latest"
        domain, text = match.key.domain, reads("key of ", self.of)
        key = Attend(domain, text, case, match.key, picks, place=self.of.place)
        return self._holds(replace(match, key=key), reads(self.of, " exists"))

    def here(self, case: Case) -> Node:
        """A flag: whether this position matches itself."""
        text = reads("matches itself")
        return self.all([self._holds(match, text) for match in case], text)

    def equal(self, one: Node, other: Node, text: Wording) -> Node:
        """A flag: whether two values at one position are equal."""
        return self._holds(Match(one, other, Comparison.EQ), text)

    def _holds(self, match: Match, text: Wording) -> Node:
        """A flag: whether a condition is true of two values at one position."""
        key, query = match.key, match.query
        assert isinstance(key.domain, Finite)
        assert isinstance(query.domain, Finite)
        keys, queries = key.domain.values, query.domain.values
        if match.relation in EQUALITY and len(keys) * len(queries) > PAIRS_UP_TO:
            same = Equal(FLAGS, text, key, query, place=self.of.place)
            if match.relation is Comparison.EQ:
                return same
            opposite: dict[tuple[Value, ...], Value] = {(True,): False, (False,): True}
            return Lookup(FLAGS, text, (same,), opposite, place=self.of.place)
        holds = holding(match, keys, queries).T.ravel().tolist()
        table: dict[tuple[Value, ...], Value] = dict(zip(product(keys, queries), holds, strict=True))
        return Lookup(FLAGS, text, (key, query), table, place=self.of.place)

    def all(self, flags: Sequence[Node], text: Wording | None = None) -> Node:
        """A flag: whether all are true."""
        if len(flags) == 1:
            return flags[0]
        table: dict[tuple[Value, ...], Value] = {
            row: all(row) for row in product((False, True), repeat=len(flags))
        }
        named = text or reads(" & ".join(str(flag) for flag in flags))
        return Lookup(FLAGS, named, tuple(flags), table, place=self.of.place)
