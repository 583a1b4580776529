"""Where the value of an expression can be exchanged in the residual stream: candidates, best first.

The residual stream has states: 0 is the embedding, 2 i + 1 comes after the heads and 2 i + 2 after the
neurons of block i of the circuits. A value can be exchanged in a state after everything of it is
written, and before anything reads it. Other values that follow from it alone, and that are written by
then, must be exchanged together with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.lifetimes import lifetimes, read_by_heads, read_by_neurons
from handcraft.ground_truth.causal.mechanisms import Flags, Ids
from handcraft.ground_truth.stream.ideal_states import IdealStates
from handcraft.ground_truth.values.located import NUMBERED, PART
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Aggregate, Constant, Node, is_position
from handcraft.weights import written_at

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """Where a value is exchanged.

    Args:
        state: the state of the residual stream.
        subspaces: all that is exchanged there, what stores the value itself first.
        own: how many of these store the value itself.
    """

    state: int
    subspaces: tuple[Subspace, ...] = field(repr=False)
    own: int

    @property
    def together_with(self) -> tuple[str, ...]:
        """The names of what is exchanged together with the value."""
        return tuple(subspace.name for subspace in self.subspaces[self.own :])


@dataclass(frozen=True, eq=False)
class Seen:
    """What circuits store and what expressions mean, on the same texts of one length.

    Args:
        states: what the ideal circuits store.
        codes: for every expression a code of its value, -1 where it has none: [text, position].
        values: for every expression what its codes stand for, in all texts.
    """

    states: IdealStates
    codes: Sequence[Ids]
    values: Sequence[Mapping[Value, int]]


class Places:
    """Finds where values can be exchanged.

    Args:
        circuits: those of the model.
        nodes: the expressions of the program, each after those that it reads.
        seen: what is stored, and what it means, on some texts.
    """

    def __init__(self, circuits: Circuits, nodes: Sequence[Node], seen: Sequence[Seen]) -> None:
        self.circuits, self.nodes, self.seen = circuits, nodes, seen
        self.groups: dict[str, list[Subspace]] = {}
        for subspace in circuits.stream:
            self.groups.setdefault(PART.sub("", subspace.name), []).append(subspace)
        self._numbers = {node: number for number, node in enumerate(nodes)}
        self._by_name: dict[str, list[int]] = {}
        for number, node in enumerate(nodes):
            self._by_name.setdefault(str(node), []).append(number)

    @cached_property
    def stored(self) -> Mapping[int, list[Subspace]]:
        """For each expression that is stored, by its number, the subspaces that store it.

        If several expressions have the name of a subspace, it stores the first of which its numbers are
        a function. If there is no such expression, it stores the only one with this name: where nothing
        is selected, a head may write other numbers than those of the default, but no reader sees that.
        """
        found: dict[int, list[Subspace]] = {}
        for name, subspaces in self.groups.items():
            named = self._by_name.get(name) or self._by_name.get(NUMBERED.sub("", name), [])
            state = self._window(subspaces)[0]
            left = [number for number in named if number not in found]
            fits = [number for number in left if self._is_function(number, subspaces, state)]
            if fits or (left and len(named) == 1 and name in self._by_name):
                found[(fits or left)[0]] = subspaces
        return found

    def is_exact(self, number: int, place: Place) -> bool:
        """Whether what is exchanged is a function of the expression alone."""
        return self._is_function(number, place.subspaces, place.state)

    def candidates(self, number: int) -> Iterator[Place]:
        """Where a stored expression may be exchanged: outputs of blocks first, the smallest first."""
        own = self.stored[number]
        whole, until = self._window(own)
        states = sorted(range(whole, until + 1), key=lambda state: (state % 2, state))
        for state in states:
            known = list(dict.fromkeys([*own, *self._following(number, state)]))
            every = list(dict.fromkeys([*known, *self._determined(number, state)]))
            for subspaces in dict.fromkeys((tuple(own), tuple(known), tuple(every))):
                yield Place(state, subspaces, len(own))

    def codewords(self, number: int, place: Place) -> dict[Value, tuple[float, ...]]:
        """For each value of an expression that was seen, all that is exchanged with it.

        If that depends on the position too, the first that was seen is given.
        """
        found: dict[int, tuple[float, ...]] = {}
        for seen in self.seen:
            stored = self._coordinates(seen, place.subspaces, place.state)
            for code, numbers in _pairs(seen.codes[number], stored):
                found.setdefault(code, numbers)
        values = {code: value for value, code in self.seen[0].values[number].items()}
        return {values[code]: found[code] for code in sorted(found)}

    def number(self, node: Node) -> int:
        """The number of an expression."""
        return self._numbers[node]

    def _following(self, number: int, state: int) -> Iterator[Subspace]:
        """What stores expressions that follow from one alone, and is written by a state."""
        for other, subspaces in self.stored.items():
            whole, until = self._window(subspaces)
            if other != number and whole <= state <= until and self._follows(other, number):
                yield from subspaces

    def _determined(self, number: int, state: int) -> Iterator[Subspace]:
        """What else an expression determines in a state, apart from other expressions."""
        others = {s for other, each in self.stored.items() if other != number for s in each}
        for subspace in self.circuits.stream:
            whole, until = self._window([subspace])
            if subspace in others or not whole <= state <= until:
                continue
            if self._is_function(number, [subspace], state, here=True):
                yield subspace

    def _follows(self, other: int, number: int) -> bool:
        """Whether an expression is a function of another one, and of the position."""
        wanted = self.nodes[number]
        reached, stack = False, [self.nodes[other]]
        seen: set[Node] = set()
        while stack:
            node = stack.pop()
            if node == wanted:
                reached = True
            elif node not in seen:
                seen.add(node)
                if isinstance(node, Aggregate) or (not node.children and not _is_fixed(node)):
                    return False
                stack += node.children
        return reached

    def _window(self, subspaces: Sequence[Subspace]) -> tuple[int, int]:
        """The first state in which all of a value is written, and the last before it is read."""
        found = [self._windows[subspace] for subspace in subspaces]
        return max(first for first, _ in found), min(last for _, last in found)

    @cached_property
    def _windows(self) -> Mapping[Subspace, tuple[int, int]]:
        circuits = self.circuits
        written, cleared = written_at(circuits)
        lives, end = lifetimes(circuits), 2 * len(circuits.blocks)
        first_read: dict[Subspace, int] = {}
        for number, block in enumerate(circuits.blocks):
            for subspace in read_by_heads(block):
                first_read.setdefault(subspace, 2 * number)
            for subspace in read_by_neurons(block):
                first_read.setdefault(subspace, 2 * number + 1)
        found = {}
        for subspace in circuits.stream:
            states = sorted(written.get(subspace, {0}))
            # what becomes the logits is the token first, until something is added to it
            whole = states[0] if subspace == circuits.unembedding else states[-1]
            last = first_read.get(subspace, lives[subspace].read if subspace in lives else end)
            if subspace == circuits.unembedding and len(states) > 1:
                last = min(last, states[1] - 1)
            if subspace in cleared:
                last = min(last, cleared[subspace] - 1)
            found[subspace] = whole, last
        return found

    def _coordinates(self, seen: Seen, subspaces: Sequence[Subspace], state: int) -> Array:
        """What some subspaces store: [text, position, width]."""
        return np.concatenate([seen.states.numbers(state, each) for each in subspaces], axis=-1)

    def _is_function(
        self, number: int, subspaces: Sequence[Subspace], state: int, *, here: bool = False
    ) -> bool:
        """Whether what is stored is a function of an expression, or of it and the position.

        It is none where it is always the same.
        """
        known: dict[tuple[int, int], tuple[float, ...]] = {}
        for seen in self.seen:
            stored = self._coordinates(seen, subspaces, state)
            codes = seen.codes[number]
            for position in range(codes.shape[1]) if here else (0,):
                part = slice(position, position + 1) if here else slice(None)
                for code, numbers in _pairs(codes[:, part], stored[:, part]):
                    if known.setdefault((position, code), numbers) != numbers:
                        return False
        return len(set(known.values())) > 1


def _pairs(codes: Ids, stored: Array) -> Iterator[tuple[int, tuple[float, ...]]]:
    """The pairs of a code and numbers that occur."""
    flat = np.column_stack([codes.reshape(-1), stored.reshape(-1, stored.shape[-1])])
    defined: Flags = flat[:, 0] >= 0
    for row in np.unique(flat[defined], axis=0).tolist():
        yield int(row[0]), tuple(row[1:])


def _is_fixed(node: Node) -> bool:
    return isinstance(node, Constant) or is_position(node)
