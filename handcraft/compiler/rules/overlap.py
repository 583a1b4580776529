"""Which rules can match the same context, found without comparing every pair of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from handcraft.language.patterns.pattern import Pattern


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

    def add(self, key: int, pattern: Pattern) -> None:
        """Keep `pattern` under the name `key`."""
        node = self._root
        for allowed in reversed(pattern.classes):
            node = node.step(allowed)
        (node.anchored if pattern.anchored else node.free).append(key)

    def heaviest(self, weights: Sequence[int]) -> int:
        """No patterns that some context matches together weigh more.

        Of tokens at one place only one can be there. Of classes that share one, what follows each is
        added up as if it could follow all of them.
        """
        total: dict[int, int] = {}
        for node in reversed([self._root, *self._root.below()]):
            further: defaultdict[int, int] = defaultdict(int)
            for token, child in node.by_token.items():
                further[token] += total[id(child)]
            for allowed, child in node.by_class.items():
                for token in allowed:
                    further[token] += total[id(child)]
            own = sum(weights[key] for key in (*node.free, *node.anchored))
            total[id(node)] = own + max(further.values(), default=0)
        return total[id(self._root)]

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
