"""The automaton of a regular expression, token by token, as one table for every purpose.

Tokens that are spelled with the same kinds of letters behave alike, and share a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from handcraft.language.regular import DEAD, Letters, Machine, RegularExpressionError
from handcraft.limits import REGEX_ENTRIES
from handcraft.vocabulary import Vocabulary

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SINK = -1
"""The state from which no text is matched any more."""

FIRST = 0
"""The state before the first token."""


ANYTHING = r"[\s\S]*"
"""The regular expression that every text matches; `.` would leave out ends of lines."""


@dataclass(frozen=True)
class TokenTable:
    """Which texts of 1 to so many tokens match, as the states of an automaton.

    Args:
        columns: the next state for each kind of token, [state, kind], `SINK` where no text is matched
            any more; no entry leads to a state from which none is. A state that the longest texts alone
            come to has no next.
        kinds: the kind of each token, by its place in the vocabulary: [token].
        final: whether a text may end in a state: [state].
    """

    columns: Ids
    kinds: Ids
    final: Flags

    @classmethod
    def of(
        cls, pattern: str, vocabulary: Vocabulary, longest: int, bos: str | None = None
    ) -> TokenTable:
        """The table of a regular expression.

        Raises:
            RegularExpressionError: it is not a regular expression, or its automaton would be too large.
        """
        letters = Letters("".join(vocabulary.tokens) + vocabulary.separator)
        machine = Machine(pattern, letters)
        tree, kinds = _spelled(vocabulary, machine, bos)
        blank = [machine.kind_of[letters.places[sign]] for sign in vocabulary.separator]
        width = max(kinds) + 1
        numbers: dict[int, int] = {}  # of all states but the first
        states, depths, rows = [machine.start], [0], []
        for number, depth in zip(states, depths, strict=False):  # both grow on the way
            row = np.full(width, SINK)
            rows.append(row)
            if len(rows) * width > REGEX_ENTRIES.most:
                raise RegularExpressionError(
                    f"{len(rows):,} states and more for {width:,} kinds of tokens, and a table has "
                    f"{REGEX_ENTRIES.most:,} entries at most",
                    fix="write a pattern that distinguishes fewer tokens, or repeats less often",
                )
            if depth == longest:
                continue
            begun = number
            for kind in blank if depth else ():
                begun = machine.step(begun, kind)
            for kind, after in tree.walk(machine, begun):
                if bos is not None and (kind == kinds[vocabulary.tokens.index(bos)]) == bool(depth):
                    continue
                if after not in numbers:
                    numbers[after] = len(states)
                    states.append(after)
                    depths.append(depth + 1)
                row[kind] = numbers[after]
        final = [number > 0 and machine.is_final(state) for number, state in enumerate(states)]
        return _trimmed(cls(np.stack(rows), np.array(kinds), np.array(final)))

    def __len__(self) -> int:
        return len(self.final)

    @property
    def whole(self) -> Ids:
        """The next state for each token: [state, token]."""
        return self.columns[:, self.kinds]

    def matches(self, texts: Ids) -> Flags:
        """Whether texts match, and every beginning of them: [text, position].

        Args:
            texts: places in the vocabulary, [text, position].
        """
        found = np.zeros(texts.shape, dtype=bool)
        columns = np.vstack([self.columns, np.full(self.columns.shape[1], SINK)])  # SINK to itself
        final = np.append(self.final, False)
        states = np.full(len(texts), FIRST)
        for place in range(texts.shape[1]):
            states = columns[states, self.kinds[texts[:, place]]]
            found[:, place] = final[states]
        return found


@dataclass
class _Spellings:
    """Tokens as kinds of letters, in a tree of their beginnings."""

    tokens: list[int] = field(default_factory=list)
    longer: dict[int, _Spellings] = field(default_factory=dict)

    def walk(self, machine: Machine, state: int) -> Iterator[tuple[int, int]]:
        """Every kind of token that can follow in a state, and the state behind it."""
        waiting = [(self, state)]
        while waiting:
            here, state = waiting.pop()
            if state != DEAD:
                for kind in here.tokens:
                    yield kind, state
                waiting += [(after, machine.step(state, kind)) for kind, after in here.longer.items()]


def _spelled(vocabulary: Vocabulary, machine: Machine, bos: str | None) -> tuple[_Spellings, list[int]]:
    """The tree of all tokens, and for each token its kind; `bos` is a kind of its own."""
    root, kinds = _Spellings(), []
    known: dict[tuple[int, ...], int] = {}
    count = 0
    for token in vocabulary.tokens:
        spelling = tuple([machine.kind_of[machine.letters.places[letter]] for letter in token])
        if token == bos or spelling not in known:
            here = root
            for kind in spelling:
                here = here.longer.setdefault(kind, _Spellings())
            here.tokens.append(count)
            if token != bos:
                known[spelling] = count
            kinds.append(count)
            count += 1
        else:
            kinds.append(known[spelling])
    return root, kinds


def _trimmed(table: TokenTable) -> TokenTable:
    """The same without states that no text leads through; the first one stays."""
    sources, kinds = np.nonzero(table.columns != SINK)
    targets = table.columns[sources, kinds]
    order = np.argsort(targets, kind="stable")
    starts = np.searchsorted(targets[order], np.arange(len(table) + 1))
    is_live = table.final.copy()
    waiting = np.flatnonzero(is_live).tolist()
    while waiting:
        state = waiting.pop()
        before = sources[order[starts[state] : starts[state + 1]]]
        new = np.unique(before[~is_live[before]])
        is_live[new] = True
        waiting += new.tolist()
    is_live[FIRST] = True
    numbers = np.append(np.cumsum(is_live) - 1, SINK)  # SINK stays what it is
    numbers[:-1][~is_live] = SINK
    return TokenTable(numbers[table.columns[is_live]], table.kinds, table.final[is_live])
