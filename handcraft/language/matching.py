"""The texts that a regular expression matches: counted, listed, and drawn with equal chances."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import greenery
import numpy as np
import numpy.typing as npt
from greenery.parse import NoMatch

from handcraft.vocabulary import Vocabulary

Ids = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

SINK = -1
"""The state from which no text is matched any more."""


class NotRegularError(Exception):
    """A regular expression that refers to a group, or is written in a way that greenery cannot read."""


def machine_of(pattern: str) -> greenery.fsm.Fsm:
    r"""The smallest automaton over classes of letters that matches a whole text.

    ``\d``, ``\w`` and ``\s`` stand for ASCII characters only, and ``.`` for all, ends of lines too.

    Raises:
        re.error: it is no regular expression, or has an anchor ``^`` or ``$``, or a group ``(?...)``
            other than ``(?:...)``, such as a lookahead; the place of the character is in `pos`.
        NotRegularError: it refers to a group, as ``(a)\1`` does, or has ``\b``, ``\A``, ``a++`` or
            something else that greenery does not know.
    """
    re.compile(pattern)
    bare = re.sub(r"\\.|\[(\\.|[^\]])*\]", lambda found: "." * len(found[0]), pattern)
    odd = re.search(r"[\^$]|\(\?(?!:)", bare)
    if odd is not None:
        raise re.error(f"{odd[0]} is not known here", pattern, odd.start())
    try:
        return greenery.parse(pattern).to_fsm().reduce()
    except (NoMatch, ValueError, IndexError) as error:
        raise NotRegularError(str(error)) from None


def mentioned(pattern: str) -> tuple[str, ...]:
    r"""The characters that a regular expression names, in the order of their code points.

    A range names all its members and ``\d`` the ten digits. A negated class names those that it leaves
    out, and so ``.`` names none. How often something is repeated names none either.

    Args:
        pattern: one of which `machine_of` makes an automaton.

    >>> mentioned("[a-c]{2,3}|[^x].")
    ('a', 'b', 'c', 'x')
    """
    named = {letter for letters in _classes(greenery.parse(pattern)) for letter in letters.get_chars()}
    return tuple(sorted(named))


def _classes(tree: greenery.Pattern | greenery.Charclass) -> Iterator[greenery.Charclass]:
    """All classes of letters in a parsed expression; one letter is a class too."""
    if isinstance(tree, greenery.Charclass):
        yield tree
        return
    for sequence in tree.concs:
        for repeated in sequence.mults:
            yield from _classes(repeated.multiplicand)


@dataclass(frozen=True)
class Matching:
    """The texts of 1 to so many tokens that a regular expression matches as a whole.

    Args:
        pattern: the regular expression.
        vocabulary: the tokens.
        longest: the most tokens of a text.

    Raises:
        re.error, NotRegularError: as `machine_of`.

    >>> texts = Matching("(ab)+|b", Vocabulary("ab"), longest=6)
    >>> texts.count
    4
    >>> [texts.vocabulary.text(row) for rows in texts for row in rows]
    ['b', 'ab', 'abab', 'ababab']
    """

    pattern: str
    vocabulary: Vocabulary
    longest: int
    _table: Ids = field(init=False, repr=False, compare=False)
    _final: npt.NDArray[np.bool_] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table, final = token_table(self.pattern, self.vocabulary)
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_final", final)

    @cached_property
    def _ids(self) -> Ids:
        """[token]: its id, for its place in the vocabulary."""
        return np.array(self.vocabulary.numbers, dtype=np.int64)

    @cached_property
    def _counts(self) -> list[list[int]]:
        """[tokens left][state]: how many ways there are to a match."""
        counts = [[int(is_final) for is_final in self._final]]
        rows = self._table.tolist()
        for _ in range(self.longest):
            last = counts[-1]
            counts.append([sum(last[to] for to in row if to != SINK) for row in rows])
        return counts

    @property
    def count(self) -> int:
        """How many texts there are."""
        return sum(self.count_of(length) for length in range(1, self.longest + 1))

    def count_of(self, length: int) -> int:
        """How many texts of one length there are."""
        return self._counts[length][0]

    def tokens_at(self) -> list[frozenset[int]]:
        """For each position the places of the tokens that stand there in some of the texts.

        >>> Matching("(ab)+|b", Vocabulary("ab"), longest=3).tokens_at()
        [frozenset({0, 1}), frozenset({1}), frozenset()]
        """
        found: list[frozenset[int]] = []
        states = {0}
        for length in range(1, self.longest + 1):
            steps = [
                (token, to)
                for state in states
                for token, to in enumerate(self._table[state].tolist())
                if to != SINK and any(self._counts[n][to] for n in range(self.longest - length + 1))
            ]
            found.append(frozenset(token for token, _ in steps))
            states = {to for _, to in steps}
        return found

    def __iter__(self) -> Iterator[Ids]:
        """All texts of one length after the other, as ids: [text, position].

        They are in the order of the vocabulary.
        """
        states, texts = np.zeros(1, dtype=np.int64), np.zeros((1, 0), dtype=np.int64)
        size = len(self.vocabulary)
        for length in range(1, self.longest + 1):
            texts = np.hstack(
                [np.repeat(texts, size, axis=0), np.tile(np.arange(size), len(texts))[:, None]]
            )
            states = self._table[states].reshape(-1)
            left = [sum(self._counts[n][s] for n in range(self.longest - length + 1))
                    for s in range(len(self._table))]  # fmt: skip
            alive = (states != SINK) & np.array([n > 0 for n in left])[states]
            states, texts = states[alive], texts[alive]
            whole = self._final[states]
            if whole.any():
                yield self._ids[texts[whole]]

    def draw(self, count: int, seed: int = 0) -> Iterator[Ids]:
        """Random texts, as ids: [text, position] for each length, about as many of each.

        All texts of one length have the same chance; some may be the same.
        """
        random = np.random.default_rng(seed)
        lengths = [n for n in range(1, self.longest + 1) if self.count_of(n)]
        for i, length in enumerate(lengths):
            rows = count // len(lengths) + (i < count % len(lengths))
            if rows:
                yield self._draw(rows, length, random)

    def _draw(self, rows: int, length: int, random: np.random.Generator) -> Ids:
        states = np.zeros(rows, dtype=np.int64)
        texts = np.zeros((rows, length), dtype=np.int64)
        for place in range(length):
            ends = self._chances(length - place - 1)[states].cumsum(axis=1)  # [text, token]
            spots = random.random((rows, 1)) * ends[:, -1:]  # below the last end, though it is rounded
            texts[:, place] = (spots >= ends).sum(axis=1)
            states = self._table[states, texts[:, place]]
        return self._ids[texts]

    def _chances(self, left: int) -> Shares:
        """[state, token]: the share of the texts with so many tokens after this one."""
        ways = [
            [0 if to == SINK else self._counts[left][to] for to in row] for row in self._table.tolist()
        ]
        totals = [sum(row) or 1 for row in ways]
        shares = [[n / total for n in row] for row, total in zip(ways, totals, strict=True)]
        return np.array(shares, dtype=np.float64)


def token_table(pattern: str, vocabulary: Vocabulary) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """[state, token] to the next state, state 0 being the first; and whether a state is a match.

    Words have a blank before them, but for the first; `SINK` is where no text is matched any more.

    Raises:
        re.error, NotRegularError: as `machine_of`.
    """
    machine = machine_of(pattern)

    def after(state: int | str, letters: str) -> int | str | None:
        for letter in letters:
            state = next(to for known, to in machine.map[state].items() if known.accepts(letter))
        return state if machine.islive(state) else None

    first = (machine.initial, True)
    numbers = {first: 0}
    waiting, rows = [first], []
    for state, is_first in waiting:
        row = []
        for token in vocabulary.tokens:
            blank = "" if is_first else vocabulary.separator
            found = after(state, blank + token)
            if found is None:
                row.append(SINK)
                continue
            key = (found, False)
            if key not in numbers:
                numbers[key] = len(numbers)
                waiting.append(key)
            row.append(numbers[key])
        rows.append(row)
    final = np.array([state in machine.finals and not is_first for state, is_first in waiting])
    return np.array(rows, dtype=np.int64), final
