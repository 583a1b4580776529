"""Which tokens a program tests for: those that its conditions name, and at which distances.

Conditions are read from nodes. What depends on one token alone is computed for every token; the tokens
whose value differs from the most common one are named. Conditions on tokens at fixed distances
that must all be true are a window, as a pattern is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from handcraft.circuits import Circuits, Coefficients, Encoding
from handcraft.language import Program
from handcraft.language.graph.domain import FLAGS, Finite, Value, as_number
from handcraft.language.graph.node import (
    Aggregate,
    AtLeast,
    Comparison,
    Constant,
    Linear,
    Lookup,
    Match,
    Node,
    is_position,
    is_token,
    walk,
)
from handcraft.language.graph.reachable import POINTWISE, compute
from handcraft.language.meaning import Meaning

VALUES_UP_TO = 1 << 21
"""The search for tokens ends after so many values of nodes, about a second.

Rules for which no text is drawn then are still counted, and named where none decided."""

Column = tuple[int | Node, Sequence[Value]]
"""What a node depends on, a token so many positions back or another node, and its value for each."""


@dataclass(frozen=True)
class Window:
    """The tokens that adjacent positions must have.

    Args:
        classes: for each position its tokens, as places in the vocabulary; empty where any token is
            allowed.
        anchored: whether it begins at the first position.
    """

    classes: tuple[tuple[int, ...], ...]
    anchored: bool = False


@dataclass(frozen=True)
class Named:
    """What a program tests for.

    Tokens are places in the vocabulary; those of a window are adjacent.
    """

    tokens: tuple[int, ...]
    windows: tuple[Window, ...]


def named_by(source: Program | Circuits | Meaning) -> Named:
    """What rules or circuits test for."""
    if isinstance(source, Circuits):
        return Named(tuple(sorted(set(_read_by(source)))), ())
    if isinstance(source, Program) and source.has_only_patterns:
        patterns = [clause.pattern for clause in source.clauses if len(clause.pattern)]
        places = {allowed: tuple(sorted(allowed)) for p in patterns for allowed in p.classes}
        windows = [Window(tuple(places[c] for c in p.classes), p.anchored) for p in patterns]
        return Named((), tuple(windows))
    meaning = source.meant if isinstance(source, Program) else source
    conditions = _Conditions(meaning.tokens)
    for node in walk(*meaning.roots):
        conditions.add(node)
        if conditions.seen > VALUES_UP_TO:
            break
    return Named(tuple(sorted(conditions.named)), tuple(dict.fromkeys(conditions.windows)))


@dataclass
class _Conditions:
    """Reads nodes, children first, and collects the conditions that they contain on tokens.

    Args:
        tokens: the vocabulary.
        columns: of the nodes that depend on one token.
        needed: for each flag, which tokens must be so many positions back if it is true.
        named: the tokens that were named so far.
        windows: the windows.
        seen: how many values were read.
    """

    tokens: tuple[str, ...]
    columns: dict[Node, Column] = field(default_factory=dict)
    needed: dict[Node, dict[int, frozenset[int]]] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)
    windows: list[Window] = field(default_factory=list)
    seen: int = 0

    def add(self, node: Node) -> None:
        """Read one node."""
        column = self._column(node)
        if column is not None:
            self.columns[node] = column
            self._name(column[1])
            if node.domain == FLAGS and isinstance(column[0], int):
                self.needed[node] = {column[0]: frozenset(i for i, v in enumerate(column[1]) if v)}
        elif flags := _conjunction(node):
            self._need(node, flags)
        if isinstance(node, Aggregate):
            for match in chain.from_iterable(node.sources.cases):
                self._match(match)

    def _name(self, values: Sequence[Hashable]) -> None:
        self.seen += len(values)
        self.named.update(_unusual(values))

    def _column(self, node: Node) -> Column | None:
        """The value of a node for each token; None unless it depends on the token alone."""
        if is_token(node):
            return 0, self.tokens
        if isinstance(node, POINTWISE):
            below = {self.columns[c][0] for c in node.children if c in self.columns}
            known = all(c in self.columns or isinstance(c, Constant) for c in node.children)
            if len(below) != 1 or not known:
                return None
            found = [self._values(child) for child in node.children]
            try:
                return below.pop(), [compute(node, row) for row in zip(*found, strict=True)]
            except KeyError:  # a table lacks a row that an assumption excludes
                return None
        if not isinstance(node, Aggregate) or node.value is None:
            return None
        back, value = _distance(node), self.columns.get(node.value)
        if back is not None and value is not None and isinstance(value[0], int):
            return value[0] + back, value[1]
        if isinstance(node.domain, Finite) and set(node.domain.values) <= set(self.tokens):
            return node, self.tokens
        return None

    def _values(self, node: Node) -> Sequence[Value]:
        if isinstance(node, Constant):
            return [node.value] * len(self.tokens)
        return self.columns[node][1]

    def _match(self, match: Match) -> None:
        """What a selection compares with a constant."""
        key, query = match.key, match.query
        if isinstance(query, Constant) and key in self.columns:
            self._name([match.holds(value, query.value) for value in self.columns[key][1]])
        if isinstance(key, Constant) and query in self.columns:
            self._name([match.holds(key.value, value) for value in self.columns[query][1]])

    def _need(self, node: Node, flags: Sequence[Node]) -> None:
        """Combine what is needed for all of some flags to be true."""
        needed: dict[int, frozenset[int]] = {}
        for back, allowed in chain.from_iterable(self.needed.get(flag, {}).items() for flag in flags):
            needed[back] = needed[back] & allowed if back in needed else allowed
        self.seen += len(needed)
        self.needed[node] = needed
        if len(needed) > 1 and all(needed.values()):
            furthest, nearest = max(needed), min(needed)
            places = range(furthest, nearest - 1, -1)
            self.windows.append(Window(tuple(tuple(sorted(needed.get(i, ()))) for i in places)))


def _unusual(values: Sequence[Hashable]) -> Iterator[int]:
    """The tokens with another value than most have; none where no value is that of most."""
    ((usual, count),) = Counter(values).most_common(1)
    if 2 * count > len(values):
        yield from (i for i, value in enumerate(values) if value != usual)


def _conjunction(node: Node) -> tuple[Node, ...]:
    """The flags that must all be true for a flag to be true; none if it is no conjunction."""
    if isinstance(node, Lookup) and len(node.arguments) > 1 and node.domain == FLAGS:
        holds = [row for row, value in node.table.items() if value]
        if len(holds) == 1 and all(value is True for value in holds[0]):
            return node.arguments
    if isinstance(node, AtLeast) and isinstance(node.number, Linear):
        terms, constant = node.number.terms, node.number.constant
        if all(factor == 1 and n.domain == FLAGS for factor, n in terms):
            return node.number.children if constant + len(terms) == node.bound else ()
    return ()


def _distance(node: Aggregate) -> int | None:
    """How many positions back it reads, if that is a constant."""
    matches = [*chain.from_iterable(node.sources.cases)]
    if node.how not in ("latest", "earliest") or len(matches) != 1:
        return None
    key, query, relation = matches[0].key, matches[0].query, matches[0].relation
    if relation is not Comparison.EQ or not is_position(key):
        return None
    if is_position(query):
        return 0
    if isinstance(query, Linear) and [f for f, n in query.terms if is_position(n)] == [1]:
        offset = query.constant
        return -offset if isinstance(offset, int) and len(query.terms) == 1 else None
    if isinstance(query, Lookup) and len(query.arguments) == 1 and is_position(query.arguments[0]):
        sources = {here: as_number(there) for (here,), there in query.table.items()}
        last = max(sources, key=as_number)
        back = as_number(last) - sources[last]
        is_back = all(there == max(as_number(here) - back, 0) for here, there in sources.items())
        return int(back) if is_back else None
    return None


def _read_by(circuits: Circuits) -> Iterator[int]:
    """The tokens that heads, neurons or an embedding distinguish from most others."""
    size = len(circuits.vocabulary)
    whole = set()
    for table in circuits.embedding:
        if table.of != "token":
            continue
        if table.subspace.encoding is Encoding.ONE_HOT and table.subspace.width == size:
            whole.add(table.subspace)
        else:
            yield from _unusual([*table.rows, *[()] * (size - len(table.rows))])
    reads: list[Coefficients] = []
    for block in circuits.blocks:
        for head in block.heads:
            for each in (*head.attends.query, *head.attends.key, *head.moves):
                columns: dict[int, list[tuple[int, object]]] = {}
                if each.source in whole:
                    for token, into, number in each.entries:
                        columns.setdefault(into, []).append((token, number))
                if len(columns) < size:  # else the token is copied as it is
                    for column in columns.values():
                        yield from _unusual(_dense(column, size))
        reads += [r for n in block.neurons for r in n.all_reads if r.subspace in whole]
    if len(reads) * size <= VALUES_UP_TO:
        for read in reads:
            yield from _unusual(_dense(read.entries, size))


def _dense(entries: Sequence[tuple[int, object]], size: int) -> list[object]:
    row: list[object] = [0] * size
    for token, number in entries:
        row[token] = number
    return row
