"""What a program reads of other positions, where only positions decide which: a window.

"The token two positions back" is such a program, whatever the tokens are. The positions fall into few
kinds, and all of one kind mean the same function of the tokens in their windows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.by_cases.states import combinations
from handcraft_check.program.evaluate import Evaluator, value_of
from handcraft_check.program.interpret import COMPARED
from handcraft_check.program.meaning import Meaning
from handcraft_check.program.nodes import Match, Node

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

OWN = 0
"""The first atom of every window: the token at the position itself."""


class UnfitError(Exception):
    """A program or a model that this proof does not cover.

    Args:
        why: what it does not cover.
        context: the tokens after which too little is known, where it is about one context.
    """

    def __init__(self, why: str, context: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.context = context


class TokenSets:
    """Sets of tokens by number: those of one token, each the number of the token, and others."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self._several: list[Ids] = []
        self._numbers: dict[bytes, int] = {}

    def __getitem__(self, number: int) -> Ids:
        return (
            np.array([number]) if number < self.vocabulary else self._several[number - self.vocabulary]
        )

    def number(self, tokens: Ids) -> int:
        """The number of a set: places in the vocabulary, in order."""
        if len(tokens) == 1:
            return int(tokens[0])
        known = self._numbers.setdefault(tokens.tobytes(), self.vocabulary + len(self._several))
        if known == self.vocabulary + len(self._several):
            self._several.append(tokens)
        return known


@dataclass(frozen=True, eq=False)
class Window:
    """What positions of one kind read.

    Args:
        positions: all of that kind: [position].
        sources: where their atoms are: [position, atom].
        heads: the atom that each head reads.
        reads: the atom that each aggregate reads; -1 where it has its default, or a value of `values`.
        values: of nodes that depend on the position only, or on which source an aggregate reads.
    """

    positions: Ids
    sources: Ids
    heads: tuple[int, ...]
    reads: Mapping[int, int]
    values: Mapping[int, Any]


@dataclass(frozen=True, eq=False)
class Column:
    """A function of a token.

    Args:
        codes: places among the values: [token].
        values: each once.
    """

    codes: Ids
    values: Sequence[Any]

    @classmethod
    def of(cls, values: Sequence[Any], places: Ids | None = None) -> Column:
        """From values, some of which may be equal, and which of them each token has."""
        known = {value: i for i, value in enumerate(dict.fromkeys(values))}
        codes = np.array([known[value] for value in values])
        return cls(codes if places is None else codes[places], list(known))

    @cached_property
    def common(self) -> tuple[int, Ids]:
        """The number of most values, and the tokens that have another one."""
        most = int(np.bincount(self.codes).argmax())
        return most, np.flatnonzero(self.codes != most)

    def then(self, node: Node) -> Column:
        """What a node makes of the value."""
        if node.op != "table" or node.rows is None:
            return Column.of([value_of(node, (value,)) for value in self.values], self.codes)
        found: list[Any] = [node.rest] * len(self.values)
        for (key,), value in node.rows.items():  # few of thousands of words
            if key in self._places:
                found[self._places[key]] = value
        return Column.of(found, self.codes)

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {value: place for place, value in enumerate(self.values)}


class WindowMeaning:
    """A program whose aggregates read one token each, at a place that only the position decides.

    Args:
        meaning: the program.
        length: the most positions of a text.
        matches: whether aggregates may also read a place that tokens decide: those of `matched`.

    Raises:
        UnfitError: it is not such a program.
    """

    def __init__(self, meaning: Meaning, length: int, *, matches: bool = False) -> None:
        self.meaning, self.length, self.may_match = meaning, length, matches
        if meaning.outputs:
            raise UnfitError("it computes values")
        roots = [part for rule in meaning.rules for part in (rule.flag, rule.token) if part is not None]
        self.evaluator = Evaluator(meaning.nodes, roots, meaning.vocabulary, len(meaning.vocabulary))
        self.at_positions: dict[int, list[Any]] = {}
        self.of_tokens: dict[int, Column] = {}
        self.aggregates: dict[int, Ids] = {}
        self.matched: list[int] = []
        self._behind: dict[tuple[int, int], Column] = {}
        for number in self.evaluator.needed:
            self._sort(number, meaning.nodes[number])
        simple = self.at_positions.keys() | self.of_tokens.keys() | self.aggregates.keys()
        simple |= set(self.matched)
        self.mixed = set(self.evaluator.needed) - simple
        if self.mixed & set(self.evaluator.checked):
            raise UnfitError("not every text is allowed")
        self.roots = set(roots)
        read = {each for i in self.mixed for each in meaning.nodes[i].of} | self.roots
        self.exposed = sorted(read & self.at_positions.keys())
        self.conjunctions = self._conjunctions()

    def windows(self, winners: Ids) -> list[Window]:
        """The kinds of positions.

        Args:
            winners: which source each head reads: [head, position].
        """
        kinds: dict[tuple[Any, ...], list[tuple[int, tuple[int, ...]]]] = {}
        columns = [*winners.tolist(), *(found.tolist() for found in self.aggregates.values())]
        given = (self.at_positions[n] for n in self.exposed if self.meaning.nodes[n].op != "constant")
        exposed = {tuple(map(repr, values)) for values in given}
        for position in range(self.length):
            atoms: dict[int, int] = {position: OWN}
            labels = [
                -1 if column[position] < 0 else atoms.setdefault(column[position], len(atoms))
                for column in columns
            ]
            key = (tuple(labels), tuple(values[position] for values in exposed))
            kinds.setdefault(key, []).append((position, tuple(atoms)))
        found = []
        for (labels, _), members in kinds.items():
            positions = np.array([position for position, _ in members])
            found.append(
                Window(
                    positions,
                    np.array([atoms for _, atoms in members]),
                    labels[: len(winners)],
                    dict(zip(self.aggregates, labels[len(winners) :], strict=True)),
                    {node: self.at_positions[node][positions[0]] for node in self.exposed},
                )
            )
        return found

    def _conjunctions(self) -> dict[int, tuple[int, ...]]:
        """The nodes that say whether all of several flags hold, and these.

        Such a node is a threshold of a sum of flags that nobody else reads, and that is as large as
        there are flags.
        """
        nodes, found = self.meaning.nodes, {}
        readers = Counter(
            each for i in self.evaluator.needed for each in nodes[i].here | nodes[i].elsewhere
        )
        for number in self.mixed:
            node = nodes[number]
            read = nodes[node.of[0]] if node.op == "at_least" else node
            is_whole = read.op == "sum" and node.number == len(read.of) == len(set(read.of))
            is_whole &= read.number == 0 and set(read.factors) == {1}
            is_alone = is_whole and node.of[0] not in self.roots and readers[node.of[0]] == 1
            if is_alone and all(nodes[each].kind == "flag" for each in read.of):
                found[number] = read.of
        return found

    def base(self, number: int) -> int | None:
        """The aggregate, or the node of the token, of which alone a node is a function."""
        node = self.evaluator.nodes[number]
        if number in self.of_tokens or number in self.aggregates or number in self.matched:
            return number
        if number in self.mixed and len(node.of) == 1:
            return node.of[0] if node.of[0] in self.aggregates or node.of[0] in self.matched else None
        return None

    def distinguished(self, window: Window, nodes: Sequence[int], atom: int) -> Ids:
        """What nodes that read an atom make of each token, in numbers: [token, node].

        Args:
            window: the kind of the position.
            nodes: those that matter; not all of them read the atom.
            atom: the atom.
        """
        bases = {number for number, read in window.reads.items() if read == atom}
        columns = [self.column(number, number) for number in nodes if number in bases & self.roots]
        for number in nodes:
            read = self.evaluator.nodes[number].of if number in self.mixed else ()
            columns += [self.column(number, base) for base in read if base in bases]
            if atom == OWN:
                columns += [self.of_tokens[each] for each in read if each in self.of_tokens]
        if not columns:
            return np.empty((len(self.meaning.vocabulary), 0), dtype=np.int64)
        return np.stack([column.codes for column in columns], axis=1)

    def column(self, number: int, base: int) -> Column:
        """What a node makes of each token that another node reads.

        Args:
            number: that node, a function of it, or one that reads others besides, for which all tokens
                are different.
            base: a node of the token, or an aggregate.
        """
        node = self.evaluator.nodes[number]
        read = self.of_tokens.get(base) or self._column_read(base)
        if number == base:
            return read
        if (number, base) not in self._behind:
            places = np.arange(len(read.codes))
            alone = len(node.of) == 1
            self._behind[number, base] = read.then(node) if alone else Column(places, places.tolist())
        return self._behind[number, base]

    def _column_read(self, aggregate: int) -> Column:
        """What an aggregate reads of each token."""
        read = _read(self.evaluator.nodes[aggregate])
        base = self.base(read)
        assert base is not None
        return self.column(read, base)

    def _sort(self, number: int, node: Node) -> None:
        """Put a node among those of the position, of the token, or those that read a window."""
        tokens = list(self.meaning.vocabulary)
        if node.op == "token":
            self.of_tokens[number] = Column.of(tokens)
        elif node.op == "position":
            self.at_positions[number] = list(range(self.length))
        elif node.op == "constant" or (node.op == "sum" and not node.of):
            value = node.value if node.op == "constant" else node.number
            self.at_positions[number] = [value] * self.length
        elif node.op == "assumed":
            raise UnfitError("it assumes something")
        elif node.op == "aggregate" and self.may_match and self._is_matched(node):
            self.matched.append(number)
        elif node.op == "aggregate":
            self.aggregates[number] = self._sources(node)
        elif all(each in self.at_positions for each in node.of):
            rows = zip(*(self.at_positions[each] for each in node.of), strict=True)
            self.at_positions[number] = self._allowed([value_of(node, row) for row in rows])
        elif all(each in self.of_tokens for each in node.of):
            columns = [self.of_tokens[each] for each in node.of]
            if len(columns) == 1:
                found = columns[0].then(node)
            else:
                first, places = combinations(*(column.codes for column in columns))
                rows = zip(
                    *([c.values[c.codes[i]] for i in first.tolist()] for c in columns), strict=True
                )
                found = Column.of([value_of(node, row) for row in rows], places)
            self._allowed(found.values)
            self.of_tokens[number] = found

    def _is_matched(self, node: Node) -> bool:
        """Whether tokens decide which position an aggregate reads."""
        read = {each for case in node.cases for match in case for each in (match.key, match.query)}
        return bool(read - self.at_positions.keys())

    def _allowed(self, values: list[Any] | Sequence[Any]) -> Any:
        if None in values:
            raise UnfitError("not every text is allowed")
        return values

    def _sources(self, node: Node) -> Ids:
        """The position that an aggregate reads at each position; -1 for none."""
        if node.how not in ("latest", "earliest") or node.read not in self.of_tokens:
            raise UnfitError("it reads more than one token at a time")
        chosen = np.zeros((self.length, self.length), dtype=bool)  # [destination, source]
        for case in node.cases:
            chosen |= np.logical_and.reduce([self.holds(match) for match in case])
        chosen &= np.tri(self.length, dtype=bool)
        order = chosen[:, ::-1] if node.how == "latest" else chosen
        found = order.argmax(axis=1)
        found = self.length - 1 - found if node.how == "latest" else found
        found = np.where(chosen.any(axis=1), found, -1)
        if node.default is None and (found < 0).any():
            raise UnfitError("not every text is allowed")
        return found

    def holds(self, match: Match) -> Flags:
        """Where a condition on positions holds: [destination, source]."""
        if match.key not in self.at_positions or match.query not in self.at_positions:
            raise UnfitError("which positions it reads depends on tokens")
        return related(match, self.at_positions[match.query], self.at_positions[match.key])


def related(match: Match, queries: Sequence[Any], keys: Sequence[Any]) -> Flags:
    """Where a condition holds, of values at destinations and at sources: [destination, source]."""
    if match.relation == "==":
        known = {value: i for i, value in enumerate(dict.fromkeys([*keys, *queries]))}
        sides = [np.array([known[value] for value in each]) for each in (queries, keys)]
        return np.asarray(sides[0][:, None] == sides[1])
    listed = [*dict.fromkeys(keys)], [*dict.fromkeys(queries)]
    numbers = [{value: i for i, value in enumerate(each)} for each in listed]
    found = np.empty((len(listed[1]), len(listed[0])), dtype=bool)
    for i, query in enumerate(listed[1]):
        if isinstance(match.relation, str):
            compared = COMPARED[match.relation]
            found[i] = [bool(compared(key, query)) for key in listed[0]]
        else:
            found[i] = [(key, query) in match.relation for key in listed[0]]
    rows = np.array([numbers[1][value] for value in queries])
    columns = np.array([numbers[0][value] for value in keys])
    return np.asarray(found[rows][:, columns])


def _read(node: Node) -> int:
    assert node.read is not None
    return node.read
