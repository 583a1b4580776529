"""Why a rule can never fire: the earlier rules that win wherever it matches."""

from __future__ import annotations

from collections.abc import Sequence

from handcraft.language.patterns.coverage import Coverage
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rule import Clause, Rule


def hiding_rules(
    hidden: int, clauses: Sequence[Clause], tried_after: Sequence[Sequence[Clause]], coverage: Coverage
) -> list[Rule]:
    """The earlier rules that win wherever clause number `hidden` matches.

    Args:
        hidden: which clause.
        clauses: all, in the order in which they are tried.
        tried_after: for each last token, the clauses that allow it.
        coverage: of the clauses.
    """
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
