"""The latest or the earliest source whose key differs from the query, without scores for inequality.

A score of signed bits measures how much two values agree, so it can select equal values; to select
unequal ones a score takes a channel for every value. But for any query, the latest source with another
key is one of two: the latest of all sources, or the latest with another key than that one. Neither
depends on the query. A source is a *change* if its key differs from that of the source before it. From
the latest change on, all keys are equal, so the second candidate is the source before the latest
change. For the earliest source, it is the first change itself: the first source without the first key.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from handcraft.compiler.passes.aggregates.head_outputs import HeadOutputs
from handcraft.compiler.passes.cases import (
    Setting,
    allowed,
    has_constant_query,
    is_positional,
)
from handcraft.compiler.passes.ir import Attend, Picks
from handcraft.language.graph.domain import FLAGS, Finite, Value, finite
from handcraft.language.graph.node import (
    Aggregate,
    Case,
    Choice,
    Comparison,
    Constant,
    Lookup,
    Match,
    Node,
    walk,
)
from handcraft.language.graph.wording import reads

KEYS_FROM = 16
"""The fewest keys for which this is used; for fewer, scores with a channel for each are smaller."""

TABLE_UP_TO = 64
"""The most pairs of values for which a table chooses between two of them, and not bit by bit."""


def is_inequality(match: Match) -> bool:
    """Whether a condition is that two values with large domains differ."""
    if match.relation is not Comparison.NEQ or is_positional(match) or has_constant_query(match):
        return False
    return isinstance(match.key.domain, Finite) and len(match.key.domain.values) >= KEYS_FROM


def has_inequality(nodes: list[Node]) -> bool:
    """Whether some selection has such a condition."""
    return any(
        is_inequality(match)
        for node in walk(*nodes)
        if isinstance(node, Aggregate)
        for case in node.sources.cases
        for match in case
    )


@dataclass(frozen=True)
class Unequal:
    """A selection of the latest or the earliest source with another key than the query.

    Args:
        of: the aggregate, whose children are lowered already.
        setting: what is known about the texts.
        differs: the inequality.
        others: conditions on the source alone.
        placed: conditions on positions, which allow all sources up to some position.
    """

    of: Aggregate
    setting: Setting
    differs: Match
    others: Case
    placed: Case

    @classmethod
    def read(cls, of: Aggregate, case: Case, setting: Setting) -> Unequal | None:
        """The selection, if it has one inequality and no other condition depends on the destination."""
        unequal = [match for match in case if is_inequality(match)]
        rest = [match for match in case if not is_inequality(match)]
        placed = tuple(match for match in rest if is_positional(match))
        others = tuple(match for match in rest if not is_positional(match))
        if len(unequal) != 1 or of.how not in ("latest", "earliest", "exists"):
            return None
        if not all(map(has_constant_query, others)):
            return None
        flags = allowed(placed, setting) & setting.visible
        if bool((flags[:, 1:] & ~flags[:, :-1]).any()):
            return None
        return cls(of, setting, unequal[0], others, placed)

    def exists(self) -> Node:
        """A flag: whether there is such a source."""
        any_at_all = self._outputs.exists((*self.others, *self.placed))
        other = self._outputs.exists((*self.placed, self._at_change))
        table: dict[tuple[Value, ...], Value] = {
            (found, same, changed): found and (changed or not same)
            for found, same, changed in product((False, True), repeat=3)
        }
        text = reads(self.of.sources, ".exists()")
        return Lookup(FLAGS, text, (any_at_all, self._is_same, other), table, place=self.of.place)

    def moved(self, value: Node) -> Node:
        """A value from that source."""
        first, other = self._first(value), self._other(value)
        assert isinstance(value.domain, Finite)
        values = value.domain.values
        if len(values) ** 2 > TABLE_UP_TO:
            return Choice(value.domain, self.of.text, self._is_same, other, first, place=self.of.place)
        table: dict[tuple[Value, ...], Value] = {
            (same, one, two): two if same else one
            for same, one, two in product((False, True), values, values)
        }
        return Lookup(
            value.domain, self.of.text, (self._is_same, first, other), table, place=self.of.place
        )

    @property
    def _outputs(self) -> HeadOutputs:
        return HeadOutputs(self.of, self.setting)

    @property
    def _picks(self) -> Picks:
        return "earliest" if self.of.how == "earliest" else "latest"

    @property
    def _is_same(self) -> Node:
        """Whether the key of the latest of all sources equals the query."""
        key = self._first(self.differs.key)
        return self._outputs.equal(key, self.differs.query, reads("same key in ", self.of))

    def _first(self, value: Node) -> Attend:
        """A value from the latest of all sources."""
        return self._outputs.moved((*self.others, *self.placed), value, self._picks)

    def _other(self, value: Node) -> Attend:
        """A value from the latest source whose key differs from that of the latest of all."""
        at_change = self._before(value) if self._picks == "latest" else value
        return self._outputs.moved((*self.placed, self._at_change), at_change, self._picks)

    @property
    def _at_change(self) -> Match:
        return Match(self._change, Constant(finite([True]), reads("True"), True), Comparison.EQ)

    @property
    def _change(self) -> Node:
        """A flag of the source: whether its key differs from the one before, or from the first."""
        outputs, key = self._outputs, self.differs.key
        flags = [outputs.matches(self.others)] if self.others else []
        if self._picks == "latest":
            flags.append(outputs.exists(self._earlier))
            last = self._before(key)
        else:
            last = outputs.moved(self.others, key, "earliest")
        same = outputs.equal(last, key, reads("key as before in ", self.of))
        table: dict[tuple[Value, ...], Value] = {
            row: all(row[:-1]) and not row[-1] for row in product((False, True), repeat=len(flags) + 1)
        }
        text = reads("change of ", key)
        return Lookup(FLAGS, text, (*flags, same), table, place=self.of.place)

    def _before(self, value: Node) -> Attend:
        """At a source, a value from the one before it."""
        return self._outputs.moved(self._earlier, value, "latest")

    @property
    def _earlier(self) -> Case:
        position = self.setting.position
        return (*self.others, Match(position, position, Comparison.LT))
