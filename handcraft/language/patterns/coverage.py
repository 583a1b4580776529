"""Which contexts no rule covers, and which rules can never fire: decided for all contexts at once.

The contexts are read backwards, as the patterns are. After `depth` tokens only the rules that agree
with all of them are still *open*; a rule whose whole pattern has been read is *complete*, and hides
every later one. The walk visits each (depth, open rules) once, so for n-gram rules it costs about
the total length of the patterns. Classes can make it branch more: covering is as hard as
tautology, so the walk has a limit, and says so when it meets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handcraft.display import short_repr
from handcraft.language.patterns.pattern import Pattern

NODE_LIMIT = 2_000_000
"""How many (depth, open rules) pairs are visited before the walk gives up."""


@short_repr
@dataclass(frozen=True)
class Coverage:
    """What a list of patterns covers.

    Args:
        uncovered: a shortest context (token ids, in reading order) that no pattern matches, or None.
        fired: for every pattern that can win, a context where it does.
        is_complete: whether the walk came to its end; otherwise nothing follows from an absence.
    """

    uncovered: tuple[int, ...] | None
    fired: dict[int, tuple[int, ...]]
    is_complete: bool


@dataclass(frozen=True)
class _Node:
    open: tuple[int, ...]
    complete: int | None
    context: tuple[int, ...]


def cover(patterns: Sequence[Pattern], size: int, longest: int) -> Coverage:
    """Decide coverage of all contexts of 1 to `longest` tokens over `size` tokens.

    Args:
        patterns: in the order in which they are tried; the first that matches wins.
        size: the number of tokens in the vocabulary.
        longest: the context length of the program.
    """
    always = next((i for i, pattern in enumerate(patterns) if not len(pattern)), None)
    tried = range(len(patterns) if always is None else always)
    level = [_Node(tuple(tried), always, ())]
    fired: dict[int, tuple[int, ...]] = {}
    uncovered: tuple[int, ...] | None = None
    visited = 0

    def decide(context: tuple[int, ...], winner: int | None) -> None:
        nonlocal uncovered
        if winner is None:
            if uncovered is None or len(context) < len(uncovered):
                uncovered = context
        else:
            fired.setdefault(winner, context)

    for read in range(1, longest + 1):
        following: dict[tuple[tuple[int, ...], int | None], _Node] = {}
        for node in level:
            for token, still_open in _open_by_token(node, patterns, read - 1, size).items():
                visited += 1
                if visited > NODE_LIMIT:
                    return Coverage(uncovered, fired, is_complete=False)
                context = (token, *node.context)
                winner, onward = _read_token(node, still_open, patterns, read, context)
                decide(context, winner)
                if onward.open:
                    following.setdefault((onward.open, onward.complete), onward)
                elif read < longest:  # every longer context is decided too
                    decide((0, *context), onward.complete)
        level = list(following.values())
        if not level:
            break
    return Coverage(uncovered, fired, is_complete=True)


def _open_by_token(
    node: _Node, patterns: Sequence[Pattern], depth: int, size: int
) -> dict[int, tuple[int, ...]]:
    """For each next token, the open rules that allow it; one token stands for all the unnamed."""
    by_token: dict[int, list[int]] = {}
    for i in node.open:
        for token in patterns[i].backwards(depth):
            by_token.setdefault(token, []).append(i)
    if len(by_token) < size:
        by_token.setdefault(next(t for t in range(size) if t not in by_token), [])
    return {token: tuple(by_token[token]) for token in sorted(by_token)}


def _read_token(
    node: _Node,
    still_open: tuple[int, ...],
    patterns: Sequence[Pattern],
    read: int,
    context: tuple[int, ...],
) -> tuple[int | None, _Node]:
    """The rule that wins if the context ends here, and the node of the contexts that go on."""
    whole = [i for i in still_open if len(patterns[i]) == read]
    winner = min((i for i in (*whole, node.complete) if i is not None), default=None)
    unanchored = [i for i in whole if not patterns[i].anchored]
    complete = min((i for i in (*unanchored, node.complete) if i is not None), default=None)
    hidden_from = len(patterns) if complete is None else complete
    onward = tuple(i for i in still_open if len(patterns[i]) > read and i < hidden_from)
    return winner, _Node(onward, complete, context)
