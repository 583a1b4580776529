"""Which rules can match the same context, and the most that they add there together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from handcraft.language.patterns.pattern import Pattern

STATES = 1 << 19
"""How many states `OverlapIndex.most_added` visits, in all calls of one index: a few seconds. Patterns
of single tokens take one for each token; classes that overlap may take one for each set of rules."""

To = TypeVar("To", bound=Hashable)
"""What patterns add to."""


@dataclass
class _Node:
    """Patterns that agree on their last tokens; a step down reads one token further back."""

    anchored: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    by_token: dict[int, _Node] = field(default_factory=dict)
    by_class: dict[frozenset[int], _Node] = field(default_factory=dict)

    def step(self, allowed: frozenset[int]) -> _Node:
        """The node one token further back, made where it is missing."""
        if len(allowed) == 1:
            return self.by_token.setdefault(next(iter(allowed)), _Node())
        return self.by_class.setdefault(allowed, _Node())

    def matching(self, allowed: frozenset[int]) -> Iterator[_Node]:
        """The nodes one token further back whose tokens intersect `allowed`."""
        if len(allowed) == 1:
            token = next(iter(allowed))
            if token in self.by_token:
                yield self.by_token[token]
        else:
            yield from (node for token, node in self.by_token.items() if token in allowed)
        yield from (node for other, node in self.by_class.items() if not allowed.isdisjoint(other))

    def below(self) -> Iterator[_Node]:
        """This node's whole tree, without the node itself."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            children = (*node.by_token.values(), *node.by_class.values())
            yield from children
            waiting.extend(children)


class OverlapIndex:
    """Patterns indexed by their ends, to find those that match a context together with another."""

    def __init__(self) -> None:
        self._root = _Node()
        self._states_left = STATES

    def add(self, key: int, pattern: Pattern) -> None:
        """Keep `pattern` under the name `key`."""
        node = self._root
        for allowed in reversed(pattern.classes):
            node = node.step(allowed)
        (node.anchored if pattern.anchored else node.free).append(key)

    def most_added(
        self, pattern: Pattern, adds: Callable[[int], Mapping[To, int]]
    ) -> dict[To, int] | None:
        """The most that kept patterns add at once, over all contexts that end in `pattern`.

        Contexts are read backwards. Those after which the same kept patterns may still match are one
        state, which has the largest sums of them all; so each sum is the largest, and no larger.

        Args:
            pattern: what contexts end in.
            adds: what the pattern of a key adds where it matches, and to what.

        Returns:
            What is added at most, to each of what is added to; None if there are too many states.
        """
        most: dict[To, int] = {}
        level: list[tuple[list[_Node], dict[To, int]]] = [([self._root], {})]
        depth = 0
        while level:
            following: dict[tuple[int, ...], tuple[list[_Node], dict[To, int]]] = {}
            self._states_left -= len(level)
            if self._states_left < 0:
                return None
            for nodes, added in level:
                here = _plus(added, (adds(key) for node in nodes for key in node.free))
                _raise(most, here)
                if depth >= len(pattern):
                    _raise(most, _plus(here, (adds(key) for node in nodes for key in node.anchored)))
                    if pattern.anchored:
                        continue
                allowed = pattern.backwards(depth) if depth < len(pattern) else None
                for further in _steps(nodes, allowed):
                    state = tuple(map(id, further))
                    _raise(following.setdefault(state, (further, {}))[1], here)
            level = [*following.values()]
            depth += 1
        return most

    def overlapping(self, pattern: Pattern) -> Iterator[int]:
        """The keys of all kept patterns that some context matches together with `pattern`."""
        level = [self._root]
        for depth in range(len(pattern) + 1):
            for node in level:
                yield from node.free  # a shorter or equally long suffix
                if depth == len(pattern):
                    yield from node.anchored
                    if not pattern.anchored:
                        for longer in node.below():
                            yield from longer.free
                            yield from longer.anchored
            if depth < len(pattern):
                allowed = pattern.backwards(depth)
                level = [child for node in level for child in node.matching(allowed)]


def _steps(nodes: Sequence[_Node], allowed: frozenset[int] | None) -> Iterator[list[_Node]]:
    """For each token, the nodes one token further back that it leads to; not those of no token.

    Args:
        nodes: where the tokens so far lead.
        allowed: the tokens that may follow; None for any.
    """
    found: defaultdict[int, list[_Node]] = defaultdict(list)
    for node in nodes:
        tokens: Collection[int] = node.by_token
        if allowed is not None:
            tokens = [token for token in allowed if token in node.by_token]
        for token in tokens:
            found[token].append(node.by_token[token])
        for every, child in node.by_class.items():
            for token in every if allowed is None else every & allowed:
                found[token].append(child)
    yield from found.values()


def _plus(added: Mapping[To, int], more: Iterable[Mapping[To, int]]) -> dict[To, int]:
    """What was added, and more."""
    total = dict(added)
    for each in more:
        for to, number in each.items():
            total[to] = total.get(to, 0) + number
    return total


def _raise(most: dict[To, int], added: Mapping[To, int]) -> None:
    """Raise numbers to those that are larger."""
    for to, number in added.items():
        if number > most.get(to, 0):
            most[to] = number
