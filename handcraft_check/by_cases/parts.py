"""Parts of a proof that other processes compute, with the result that one process has.

The cases of one position are decided in parts. What is known of earlier positions does not change
meanwhile, so that parts can be decided in any order; what they find is taken in the order in which one
process finds it. So the verdict, the margin, its context and the number of cases do not depend on which
process computes a part.
"""

from __future__ import annotations

import pickle
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from handcraft_check.by_cases.found import Decided
    from handcraft_check.by_cases.proof import Proof

Ids = npt.NDArray[np.int64]

CASES = 1 << 12
"""How many cases are looked at together: what cannot be shown is found before all is split."""

AHEAD = 64
"""How many parts are given to others at most before the first of them is needed."""

_local = threading.local()
"""What a worker knows: a proof, and of which `Parts` and `Known` it is; each thread has its own."""


@dataclass(frozen=True)
class Parts:
    """Who decides parts of a proof.

    Args:
        executor: of `concurrent.futures` or like it.
        make: makes the proof once more, at a worker; it can be sent there.
        key: stands for the proof at a worker.
    """

    executor: Executor
    make: Callable[[], Proof]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Known:
    """What is known of earlier positions, and how many rows and sets that are.

    Args:
        key: stands for it: who has the same key knows the same. It begins with that of `Parts`.
        data: entries, and the sets of nodes that are read at later positions, pickled.
        counts: how many rows each store has, and how many sets each of these nodes.
        entries: how many there are; kinds of alternatives are added while cases are split.
    """

    key: tuple[str, int, int]
    data: bytes
    counts: tuple[int, ...]
    entries: int


@dataclass(frozen=True)
class Answered:
    """What a worker found.

    Args:
        decided: its numbers from those of `Known.counts` on are the worker's own.
        listed: these, of each store and of each node that is read at later positions, in order.
        own: the rows of a store, or the sets of a node, that they stand for.
    """

    decided: Decided
    listed: list[Ids]
    own: list[Any]


class Waiting:
    """The parts of the cases of one position, in the order of the walk: what is split comes first.

    Args:
        proof: decides them, with the help of others if there are any.
        position: which that is.
        tokens: what stands there: [row].
        written: how many tokens the program has written: [row].
    """

    def __init__(self, proof: Proof, position: int, tokens: Ids, written: Ids) -> None:
        self.proof, self.position, self.tokens, self.written = proof, position, tokens, written
        self._stack: list[tuple[Ids, Ids]] = []
        self._asked: dict[int, Future[Answered]] = {}
        self._known: Known | None = None

    def __len__(self) -> int:
        return len(self._stack)

    def push(self, rows: Ids, entries: Ids) -> None:
        """Add cases, in front of all others.

        Args:
            rows: which tokens they have: [case].
            entries: those of earlier positions: [case, source].
        """
        some = [(rows[i : i + CASES], entries[i : i + CASES]) for i in range(0, len(rows), CASES)]
        self._stack += some[::-1]

    def pop(self) -> tuple[Ids, Ids, Decided]:
        """The cases of the first part, their entries, and what can be shown of them."""
        self._ask()
        rows, entries = self._stack.pop()
        future = self._asked.pop(len(self._stack), None)
        if future is not None:
            try:
                return rows, entries, self._taken(future.result())
            except BrokenExecutor:
                self.proof.log("a worker ended: what is left is computed here")
                self.proof.parts = None
                self._asked.clear()
        arguments = (self.tokens[rows], self.position, entries, self.written[rows])
        return rows, entries, self.proof.decide(*arguments)

    def cancel(self) -> None:
        """Ask nobody any more."""
        for future in self._asked.values():
            future.cancel()

    def _ask(self) -> None:
        """Give the first parts to others, unless there is one only."""
        parts = self.proof.parts
        if parts is None or (len(self._stack) == 1 and not self._asked):
            return
        if self._known is None or self._known.entries != len(self.proof.entries.numbers):
            self._known = _known(self.proof, parts.key, self.position)
        for place in range(len(self._stack) - 1, max(len(self._stack) - AHEAD, 0) - 1, -1):
            if place not in self._asked:
                rows, entries = self._stack[place]
                until = self.proof.policy.eager.get(self.position, 0)
                arguments = (self.tokens[rows], self.position, entries, self.written[rows])
                try:
                    self._asked[place] = parts.executor.submit(
                        decide_part, parts.make, self._known, until, *arguments
                    )
                except BrokenExecutor:
                    return

    def _taken(self, found: Answered) -> Decided:
        """What a worker found, in the numbers of this proof."""
        stores, evaluator = self.proof.entries.stores, self.proof.evaluator
        numbers = found.decided.numbers.copy()
        for column, (listed, own) in enumerate(zip(found.listed, found.own, strict=True)):
            if len(listed):
                if column < len(stores):
                    here = stores[column].numbers(own)
                else:
                    sets = evaluator.sets[evaluator.crossing[column - len(stores)]]
                    here = np.array([sets.number(each) for each in own])
                is_own = numbers[:, column] >= listed[0]
                places = np.searchsorted(listed, numbers[is_own, column])
                numbers[is_own, column] = here[places]
        return replace(found.decided, numbers=numbers)


def _known(proof: Proof, key: str, position: int) -> Known:
    """What a proof knows of earlier positions."""
    sets = proof.evaluator.crossing_sets
    data = pickle.dumps((proof.entries, sets), protocol=5)
    counts = (*(len(s) for s in proof.entries.stores), *(len(listed) for listed in sets.values()))
    return Known((key, position, proof.looked_at), data, counts, len(proof.entries.numbers))


def decide_part(
    make: Callable[[], Proof],
    known: Known,
    until: int,
    tokens: Ids,
    position: int,
    entries: Ids,
    written: Ids,
) -> Answered:
    """Decide one part, at a worker.

    Args:
        make: of `Parts`.
        known: what is known of earlier positions.
        until: the last layer where keys and values of the position must be known up to rounding.
        tokens: of `Proof.decide`, as all that follow.
        position: where they stand.
        entries: those of earlier positions.
        written: how many tokens the program has written.
    """
    proof = _proof(make, known)
    proof.policy.eager = {position: until}
    decided = proof.decide(tokens, position, entries, written)
    stores, evaluator = proof.entries.stores, proof.evaluator
    listed, own = [], list[Any]()
    for column, count in enumerate(known.counts):
        numbers = np.unique(decided.numbers[:, column])
        listed.append(numbers[numbers >= count])
        if column < len(stores):
            own.append(stores[column].rows[listed[-1]] if len(listed[-1]) else None)
        else:
            sets = evaluator.sets[evaluator.crossing[column - len(stores)]]
            own.append([sets.listed[number] for number in listed[-1].tolist()])
    return Answered(decided, listed, own)


def _proof(make: Callable[[], Proof], known: Known) -> Proof:
    """The proof that this thread works at, which knows that."""
    key = getattr(_local, "key", None)
    if key is None or key[0] != known.key[0]:
        _local.key, _local.proof = None, make()
    if key != known.key:
        entries, sets = pickle.loads(known.data)
        _local.proof.know(entries, sets)
        _local.key = known.key
    found: Proof = _local.proof
    return found
