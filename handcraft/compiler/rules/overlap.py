"""Which rules can match the same context, and the most that they add there together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TypeVar

from handcraft.language.patterns.pattern import Pattern

STATES = 1 << 18
"""How many states `OverlapIndex.added` visits until it is `rested`: a few seconds. Patterns
of single tokens take one for each token; classes that overlap may take one for each set of rules."""

To = TypeVar("To", bound=Hashable)
"""What patterns add to."""

Span = tuple[int, int]
"""The least and the most that is added."""

NOTHING = 0, 0

Added = Mapping[To, Span]
"""What is added to what; nothing to all others."""

_State = tuple[list["_Node"], Added[To]]
"""Where the tokens of some contexts lead, and what was added on the way."""


@dataclass(slots=True)
class _Node:
    """Patterns that agree on their last tokens; a step down reads one token further back."""

    anchored: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    by_token: dict[int, _Node] = field(default_factory=dict)
    by_class: dict[frozenset[int], _Node] = field(default_factory=dict)

    def step(self, allowed: frozenset[int]) -> _Node:
        """The node one token further back, made where it is missing."""
        if len(allowed) == 1:
            (token,) = allowed
            found = self.by_token.get(token)
            if found is None:
                found = self.by_token[token] = _Node()
            return found
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


class TooManyStatesError(Exception):
    """What patterns add together takes too long to decide."""


class OverlapIndex:
    """Patterns indexed by their ends, to find those that match a context together with another."""

    def __init__(self) -> None:
        self._root = _Node()
        self._depth = 0
        self._states_left = STATES

    @classmethod
    def of(cls, patterns: Iterable[Pattern]) -> OverlapIndex:
        """Patterns under their numbers."""
        index = cls()
        for number, pattern in enumerate(patterns):
            index.add(number, pattern)
        return index

    def add(self, key: int, pattern: Pattern) -> None:
        """Keep `pattern` under the name `key`."""
        node = self._root
        for allowed in reversed(pattern.classes):
            node = node.step(allowed)
        (node.anchored if pattern.anchored else node.free).append(key)
        self._depth = max(self._depth, len(pattern))

    def rested(self) -> OverlapIndex:
        """The same patterns, with all states left to visit."""
        other = copy(self)
        other._states_left = STATES
        return other

    def added(self, pattern: Pattern, adds: Callable[[int], Added[To] | None]) -> Added[To] | None:
        """What kept patterns add together, at least and at most, over contexts that end in `pattern`.

        Contexts are read backwards. Those after which the same kept patterns may still match are one
        state, with the smallest and the largest sums of them all. So both bounds are met, but where a
        context does not count because of its very end. An empty pattern ends the empty context too.

        Args:
            pattern: what contexts end in.
            adds: what the pattern of a key adds where it matches; None if contexts that it matches do
                not count.

        Returns:
            The sums; None if no context counts.

        Raises:
            TooManyStatesError: deciding it takes too long.
        """
        total: Added[To] | None = None
        single = self._along(pattern, adds)
        if single is None:
            return None
        start, nodes, before = single
        level: list[_State[To]] = [(nodes, before)]
        for depth in range(start, self._depth + 1):
            following: dict[tuple[int, ...], _State[To]] = {}
            self._states_left -= len(level)
            if self._states_left < 0:
                raise TooManyStatesError
            allowed = pattern.backwards(depth) if depth < len(pattern) else None
            for nodes, before in level:
                keys = [key for node in nodes for key in node.free]
                here = _plus(before, map(adds, keys)) if keys else before
                if here is None:
                    continue
                if allowed is None:
                    ending = _plus(here, (adds(key) for node in nodes for key in node.anchored))
                    total = total if ending is None else _hull(total, ending)
                    if pattern.anchored:
                        continue
                steps = _steps(nodes, allowed)
                for further in steps.values():
                    state = tuple(map(id, further))
                    known = following.get(state)
                    following[state] = further, _hull(known[1], here) if known else here
                if allowed is None or len(steps) < len(allowed):  # then no kept pattern reads further
                    total = _hull(total, here)
            level = [*following.values()]
        return total

    def _along(
        self, pattern: Pattern, adds: Callable[[int], Added[To] | None]
    ) -> tuple[int, list[_Node], Added[To]] | None:
        """The only state after the last tokens of a pattern, as long as it names each of them.

        Returns:
            How many tokens were read, where they lead, and what was added; None if no context counts.
        """
        nodes, added = [self._root], dict[To, Span]()
        before: Added[To] = added
        depth = 0
        while depth < len(pattern) and len(allowed := pattern.backwards(depth)) == 1:
            following = [child for node in nodes for child in node.matching(allowed)]
            if not following:
                break
            keys = [key for node in nodes for key in node.free]
            here = _plus(before, map(adds, keys)) if keys else before
            if here is None:
                return None
            nodes, before, depth = following, here, depth + 1
        self._states_left -= depth
        return depth, nodes, before

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


def _steps(nodes: Sequence[_Node], allowed: frozenset[int] | None) -> Mapping[int, list[_Node]]:
    """For each token that leads further, the nodes one token further back.

    Args:
        nodes: where the tokens so far lead.
        allowed: the tokens that may follow; None for any.
    """
    if allowed is not None and len(allowed) == 1:
        further = [child for node in nodes for child in node.matching(allowed)]
        return dict.fromkeys(allowed, further) if further else {}
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
    return found


def _plus(before: Added[To], more: Iterable[Added[To] | None]) -> Added[To] | None:
    """What was added, and more; None if any of that is None."""
    total: dict[To, Span] | None = None
    for each in more:
        if each is None:
            return None
        for to, (low, high) in each.items():
            total = dict(before) if total is None else total
            known = total.get(to, NOTHING)
            total[to] = known[0] + low, known[1] + high
    return before if total is None else total


def _hull(one: Added[To] | None, other: Added[To]) -> Added[To]:
    """The smaller of the smallest sums, and the larger of the largest."""
    if one is None or one == other:
        return other
    found: dict[To, Span] = {}
    for to in (*one, *(to for to in other if to not in one)):
        (low, high), (least, most) = one.get(to, NOTHING), other.get(to, NOTHING)
        found[to] = min(low, least), max(high, most)
    return found


def sum_of(added: Iterable[Added[To]]) -> Added[To]:
    """What is added together, wherever that is: of each only what makes the sum smaller, or larger."""
    total: dict[To, Span] = {}
    for each in added:
        for to, (low, high) in each.items():
            known = total.get(to, NOTHING)
            total[to] = known[0] + min(0, low), known[1] + max(0, high)
    return total
