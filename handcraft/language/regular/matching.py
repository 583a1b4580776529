"""The texts that a regular expression matches: recognized, counted, listed, and drawn uniformly."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.language.regular import RegularExpressionError
from handcraft.language.regular.token_table import FIRST, SINK, Ids, TokenTable
from handcraft.limits import REGEX_COUNTS
from handcraft.vocabulary import Vocabulary

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matching:
    """The texts of 1 to so many tokens that a regular expression matches as a whole.

    Two sequences of tokens with the same spelling are two texts.

    Args:
        pattern: the regular expression, as Python's `re.fullmatch` reads it.
        vocabulary: the tokens.
        longest: the most tokens of a text.
        bos: the token that begins every text and occurs nowhere else; None for no such token.

    Raises:
        RegularExpressionError: it is not a regular expression, or its automaton would be too large;
            raised when texts are first read.

    >>> texts = Matching("(ab)+|b", Vocabulary("ab"), longest=6)
    >>> texts.count
    4
    >>> [texts.vocabulary.text(row) for rows in texts for row in rows]
    ['b', 'ab', 'abab', 'ababab']
    """

    pattern: str
    vocabulary: Vocabulary
    longest: int
    bos: str | None = None

    @cached_property
    def table(self) -> TokenTable:
        """The states that texts lead through."""
        return TokenTable.of(self.pattern, self.vocabulary, self.longest, self.bos)

    @cached_property
    def _ids(self) -> Ids:
        """[token]: its id, for its place in the vocabulary."""
        return np.array(self.vocabulary.numbers, dtype=np.int64)

    @cached_property
    def _counts(self) -> list[list[int]]:
        """[tokens left][state]: how many ways there are to a match."""
        tokens = np.bincount(self.table.kinds)  # of each kind
        following = []
        for row in self.table.columns:
            after: Counter[int] = Counter()
            for kind in np.flatnonzero(row != SINK).tolist():
                after[int(row[kind])] += int(tokens[kind])
            following.append(list(after.items()))
        if len(self.table) * self.longest > REGEX_COUNTS.most:
            raise RegularExpressionError(
                f"{len(self.table):,} states for texts of up to {self.longest:,} tokens, and texts are "
                f"counted where the product is {REGEX_COUNTS.most:,} at most",
                fix="use a shorter context, or a pattern that repeats less often",
            )
        counts = [[int(is_final) for is_final in self.table.final]]
        for _ in range(self.longest):
            last = counts[-1]
            counts.append([sum(last[to] * times for to, times in row) for row in following])
        return counts

    @cached_property
    def _left(self) -> list[list[bool]]:
        """[tokens left][state]: whether there is a match with so many more tokens at most."""
        left = [[count > 0 for count in self._counts[0]]]
        for counts in self._counts[1:]:
            left.append([known or count > 0 for known, count in zip(left[-1], counts, strict=True)])
        return left

    @property
    def count(self) -> int:
        """How many texts there are."""
        return sum(self.count_of(length) for length in range(1, self.longest + 1))

    def count_of(self, length: int) -> int:
        """How many texts of one length there are; none are longer than the longest."""
        return self._counts[length][FIRST] if length <= self.longest else 0

    def tokens_at(self) -> list[frozenset[int]]:
        """For each position the places of the tokens that stand there in some of the texts.

        >>> Matching("(ab)+|b", Vocabulary("ab"), longest=3).tokens_at()
        [frozenset({0, 1}), frozenset({1}), frozenset()]
        """
        found: list[frozenset[int]] = []
        states = np.array([FIRST])
        for length in range(1, self.longest + 1):
            columns = self.table.columns[states]  # [state, kind]
            alive = (columns != SINK) & np.array(self._left[self.longest - length])[columns]
            kinds = np.flatnonzero(alive.any(axis=0))
            found.append(frozenset(np.flatnonzero(np.isin(self.table.kinds, kinds)).tolist()))
            states = np.unique(columns[alive])
        return found

    def begun(self, tokens: Sequence[str]) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        """How far a text can be followed as the beginning of a match.

        Returns:
            How many of its tokens can, which tokens may come next, and the shortest ending that
            completes a match.

        >>> Matching("(ab)+", Vocabulary("ab"), longest=5).begun("aba")
        (3, ('b',), ('b',))
        """
        node, place = FIRST, 0
        for token in tokens:
            following = self.continued(node, place)
            if token not in following:
                break
            node, place = following[token], place + 1
        return place, tuple(self.continued(node, place)), self._ending(node)

    def _ending(self, node: int) -> tuple[str, ...]:
        """The shortest ending of a match; among equals the first in vocabulary order."""
        ending: list[str] = []
        while self._fewest.get(node, 0):
            steps = self._steps(node)
            token = min(steps, key=lambda each: self.far(steps[each]))
            ending.append(token)
            node = steps[token]
        return tuple(ending)

    def continued(self, node: int, place: int) -> dict[str, int]:
        """The tokens that can follow so many, from a node of the table, and where they lead."""
        room = self.longest - place - 1
        return {token: to for token, to in self._steps(node).items() if self.far(to) <= room}

    def far(self, node: int) -> float:
        """The fewest tokens from a node to the end of a match."""
        return self._fewest.get(node, float("inf"))

    def _steps(self, node: int) -> dict[str, int]:
        """From a node, where each token leads that may stand there."""
        table, tokens = self.table, self.vocabulary.tokens
        row = table.columns[node][table.kinds].tolist()
        return {token: to for token, to in zip(tokens, row, strict=True) if to != SINK}

    @cached_property
    def _fewest(self) -> dict[int, int]:
        """The fewest tokens from each node to the end of a match; other nodes are left out."""
        table = self.table
        before: dict[int, list[int]] = {}
        for node, row in enumerate(table.columns):
            for to in np.unique(row[row != SINK]).tolist():
                before.setdefault(to, []).append(node)
        left = dict.fromkeys(np.flatnonzero(table.final).tolist(), 0)
        waiting = deque(left)
        while waiting:
            node = waiting.popleft()
            for earlier in before.get(node, ()):
                if earlier not in left:
                    left[earlier] = left[node] + 1
                    waiting.append(earlier)
        return left

    def __iter__(self) -> Iterator[Ids]:
        """All texts of one length after the other, as ids: [text, position].

        They are in the order of the vocabulary.
        """
        states, texts = np.array([FIRST]), np.zeros((1, 0), dtype=np.int64)
        tokens, starts = self._following
        for length in range(1, self.longest + 1):
            many = np.diff(starts)[states]  # how many tokens can follow each text
            rows = np.repeat(np.arange(len(texts)), many)
            nth = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
            added = tokens[starts[states[rows]] + nth]
            states = self.table.columns[states[rows], self.table.kinds[added]]
            alive = np.array(self._left[self.longest - length])[states]
            states = states[alive]
            texts = np.hstack([texts[rows[alive]], added[alive][:, None]])
            whole = self.table.final[states]
            if whole.any():
                yield self._ids[texts[whole]]

    @cached_property
    def _following(self) -> tuple[Ids, Ids]:
        """The tokens that can follow in a state, one state after the other, and where each starts."""
        states, tokens = np.nonzero(self.table.whole != SINK)
        return tokens, np.searchsorted(states, np.arange(len(self.table) + 1))

    def draw(self, count: int, seed: int = 0) -> Iterator[Ids]:
        """Random texts, as ids: [text, position] for each length, about as many of each.

        All texts of one length have the same chance; some may be the same.
        """
        random = np.random.default_rng(seed)
        lengths = [n for n in range(1, self.longest + 1) if self.count_of(n)]
        many = [count // len(lengths) + (i < count % len(lengths)) for i in range(len(lengths))]
        texts = self._drawn(np.repeat(lengths, many).astype(np.int64), random)
        ends = np.cumsum(many)
        for length, first, end in zip(lengths, ends - many, ends, strict=True):
            if end > first:
                yield self._ids[texts[first:end, -length:]]

    def _drawn(self, lengths: Ids, random: np.random.Generator) -> Ids:
        """Random texts of these lengths, as places, all of which end in the last column."""
        order = np.argsort(self.table.kinds, kind="stable")  # tokens, one kind after the other
        sizes = np.bincount(self.table.kinds)
        starts = np.cumsum(sizes) - sizes
        states = np.full(len(lengths), FIRST)
        texts = np.zeros((len(lengths), self.longest), dtype=np.int64)
        for left in reversed(range(self.longest)):
            rows = np.flatnonzero(lengths > left)
            spots = random.random((len(rows), 2))
            kinds = np.zeros(len(rows), dtype=np.int64)
            for state in np.unique(states[rows]).tolist():
                here = states[rows] == state
                ends = self._chances(state, left).cumsum()  # [kind]
                below = spots[here, 0] * ends[-1]  # below the last end, though it is rounded
                kinds[here] = np.searchsorted(ends, below, side="right")
            nth = (spots[:, 1] * sizes[kinds]).astype(np.int64)  # of the tokens of that kind
            texts[rows, self.longest - left - 1] = order[
                starts[kinds] + np.minimum(nth, sizes[kinds] - 1)
            ]
            states[rows] = self.table.columns[states[rows], kinds]
        return texts

    def _chances(self, state: int, left: int) -> Probabilities:
        """[kind]: the share of the texts with so many tokens after one of this kind."""
        row, counts = self.table.columns[state].tolist(), self._counts[left]
        sizes = np.bincount(self.table.kinds).tolist()
        ways = [0 if to == SINK else counts[to] * many for to, many in zip(row, sizes, strict=True)]
        total = self._counts[left + 1][state]
        return np.array([n / total for n in ways])
