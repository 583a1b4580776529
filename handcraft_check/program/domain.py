"""The contexts of a certificate: what an automaton accepts, and what the program then writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from handcraft_check.errors import CheckError
from handcraft_check.program.nodes import fields, items

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CELLS_UP_TO = 20_000_000
LENGTH_UP_TO = 1 << 16

STEPS_UP_TO = 1 << 24
"""How many steps of the automaton are counted at most, in numbers of 2^14 bits: about 20 seconds."""


@dataclass(frozen=True, eq=False)
class Domain:
    """Which texts are contexts.

    Args:
        length: the most tokens of a context.
        writes: an input may be followed by fewer tokens than this, each the one that is predicted.
        causal: whether a position sees only itself and earlier ones.
        next: the next state for each state and token, -1 where no input is possible: [state, token].
        final: whether an input may end in a state: [state].
    """

    length: int
    writes: int
    causal: bool
    next: Ids
    final: Flags

    @classmethod
    def read(cls, data: object, vocabulary: Sequence[str]) -> Domain:
        """The contexts of a certificate.

        Raises:
            CheckError: they are not exactly of the form that is documented, or there are none.
        """
        where = "contexts"
        given = fields(data, ("length", "causal", "writes", "kinds", "next", "final"), where)
        length, writes, causal = given["length"], given["writes"], given["causal"]
        for name, number in (("length", length), ("writes", writes)):
            if type(number) is not int or not 0 < number <= LENGTH_UP_TO:
                raise CheckError(f"{name} is {number!r}", f"{where}.{name}")
        if type(causal) is not bool:
            raise CheckError("not true or false", f"{where}.causal")
        kinds = items(given["kinds"], f"{where}.kinds", most=len(vocabulary), length=len(vocabulary))
        final = items(given["final"], f"{where}.final", most=CELLS_UP_TO)
        if not final or not all(type(flag) is bool for flag in final):
            raise CheckError("not flags, one for each state", f"{where}.final")
        rows = items(given["next"], f"{where}.next", most=len(final), length=len(final))
        width = len(rows[0]) if isinstance(rows[0], list) else 0
        if len(rows) * width > CELLS_UP_TO:
            raise CheckError(f"more than {CELLS_UP_TO:,} entries", f"{where}.next")
        for i, row in enumerate(rows):
            each = items(row, f"{where}.next[{i}]", most=width, length=width)
            if not all(type(state) is int and -1 <= state < len(final) for state in each):
                raise CheckError("not the number of a state, nor -1", f"{where}.next[{i}]")
        if not all(type(kind) is int and 0 <= kind < width for kind in kinds):
            raise CheckError("not the number of a column", f"{where}.kinds")
        table = np.array(rows, dtype=np.int64).reshape(len(final), width)[:, kinds]
        found = cls(length, writes, causal, table, np.array(final, dtype=bool))
        if not found.count():
            raise CheckError("no text is allowed", where, "allow some inputs")
        return found

    def up_to(self, length: int) -> Domain:
        """The contexts of up to so many tokens among these.

        Raises:
            CheckError: nothing is stated of longer ones, or there is none that short.
        """
        if length > self.length:
            raise CheckError(
                f"contexts of {length:,} tokens, and what is meant is stated up to {self.length:,}",
                "contexts.length",
                "state it for longer texts: `handcraft prove DIR --meaning PROGRAM`",
            )
        found = replace(self, length=length)
        if length < self.writes or not found.count():
            after = f" with the {self.writes:,} tokens that are written" if self.writes > 1 else ""
            raise CheckError(
                f"no input{after} fits into {length:,} tokens",
                "contexts.length",
                f"ask for more tokens, up to {self.length:,}",
            )
        return found

    def count(self) -> int:
        """How many inputs there are, exactly."""
        return sum(n for ways in self._ways() for state, n in ways.items() if self.final[state])

    def prefixes(self, most: int) -> int:
        """How many texts inputs begin with, themselves included; counted up to `most`."""
        total = 0
        for ways in self._ways():
            total += sum(ways.values())
            if total > most:
                break
        return total

    def _ways(self) -> Iterator[dict[int, int]]:
        """For each length, from 1, how many texts lead to each state.

        Raises:
            CheckError: they take too long to count.
        """
        followers, ways, steps = cache(self._followers), {0: 1}, 0
        for _ in range(self.length - self.writes + 1):
            after: dict[int, int] = {}
            for state, count in ways.items():
                steps += len(followers(state)) * (1 + (count.bit_length() >> 14))
                if steps > STEPS_UP_TO:
                    raise CheckError(
                        f"its texts take more than {STEPS_UP_TO:,} steps to count",
                        "contexts",
                        "allow shorter contexts",
                    )
                for follower, tokens in followers(state).items():
                    after[follower] = after.get(follower, 0) + count * tokens
            ways = after
            yield ways

    def _followers(self, state: int) -> dict[int, int]:
        """The states that follow one, each with the number of tokens that lead there."""
        return dict(Counter(after for after in self.next[state].tolist() if after >= 0))
