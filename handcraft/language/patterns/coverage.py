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
from handcraft.language.rules.rule import Clause, Rule

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
    """Decide coverage of all contexts of 1 to `longest` tokens over `size` tokens."""
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
    """For each next token, the open rules that allow it; one token represents all unnamed ones."""
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


def hiding_rules(
    hidden: int, clauses: Sequence[Clause], tried_after: Sequence[Sequence[Clause]], coverage: Coverage
) -> list[Rule]:
    """The earlier rules that win wherever clause number `hidden` matches."""
    pattern = clauses[hidden].pattern
    example = tuple(min(allowed) for allowed in pattern.classes)
    tried = tried_after[example[-1]] if example else clauses
    winner = next((c for c in tried if c.pattern.matches(example)), clauses[hidden])
    if winner is not clauses[hidden] and _includes(winner.pattern, pattern):
        return [winner.rule]
    earlier = (c for i, c in enumerate(clauses[:hidden]) if i in coverage.fired)
    return [c.rule for c in earlier if _overlap(c.pattern, pattern)]


def never_fires(rule: Rule, hiding: Sequence[Rule]) -> str:
    """The warning for a rule that never fires: others hide it, or its own flag is never true."""
    if not hiding:
        return f"{rule.origin} can never fire: its condition is never true"
    names = [str(each.origin) for each in hiding[:3]]
    names += [f"{len(hiding) - 3} more"] if len(hiding) > 3 else []
    come = "comes" if len(hiding) == 1 else "come"
    return f"{rule.origin} can never fire: {' and '.join(names)} {come} first"


def _includes(wide: Pattern, narrow: Pattern) -> bool:
    """Whether every context that ends in `narrow` ends in `wide` (sufficient, not necessary)."""
    if len(wide) > len(narrow) or (wide.anchored and not narrow.anchored):
        return False
    if wide.anchored and len(wide) != len(narrow):
        return False
    return all(narrow.backwards(k) <= wide.backwards(k) for k in range(len(wide)))


def _overlap(one: Pattern, other: Pattern) -> bool:
    """Whether some context ends in both patterns."""
    short, long = sorted((one, other), key=len)
    if short.anchored and len(short) != len(long):
        return False
    return all(short.backwards(k) & long.backwards(k) for k in range(len(short)))
