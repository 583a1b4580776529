"""Rules that each predict one token after a pattern: which one decides after a context, if any."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

import numpy as np

from handcraft.errors import HandcraftWarning
from handcraft.language.graph.node import Aggregate
from handcraft.language.patterns.coverage import Coverage, cover, hiding_rules, never_fires
from handcraft.language.patterns.first_match import NONE, FirstMatch, Ids
from handcraft.language.rules.distribution import Distribution
from handcraft.language.rules.read_rules import Parsed, UncoveredError, sure_line, sure_rule
from handcraft.language.rules.rule import Clause
from handcraft.language.sequences import Prompts
from handcraft.origin import Place


class PatternRules:
    """Rules that are all patterns, and what they decide.

    Raises:
        HandcraftError: everything that is wrong with the rules, all at once.
    """

    selections: tuple[Aggregate, ...] = ()

    def __init__(self, rules: Sequence[Parsed], prompts: Prompts, place: Place | None) -> None:
        self.vocabulary, self.place = prompts.vocabulary, place
        self.clauses = tuple(
            Clause(self.vocabulary.id(rule.token), pattern, rule) for rule, _, pattern, _ in rules
        )
        patterns = [clause.pattern for clause in self.clauses]
        self.coverage: Coverage = cover(patterns, len(self.vocabulary), prompts.context)

    def check(self) -> None:
        """Raise unless some rule decides after every context; warn of rules that never do."""
        covered, vocabulary = self.coverage, self.vocabulary
        if covered.uncovered is not None:
            raise UncoveredError(
                f"no rule says what to predict after {vocabulary.text(covered.uncovered)!r}",
                where=self.place,
                fix=f"end the rules with a rule that is always true, as in {sure_rule(vocabulary)}",
                in_rules=sure_line(vocabulary),
            )
        if not covered.is_complete and not any(clause.is_otherwise for clause in self.clauses):
            raise UncoveredError(
                "deciding whether the rules cover every context takes too long",
                where=self.place,
                fix="end them with an otherwise() rule",
                in_rules=sure_line(vocabulary),
            )
        if covered.is_complete:
            for i, clause in enumerate(self.clauses):
                if i not in covered.fired:
                    hiding = hiding_rules(i, self.clauses, self._tried_after, covered)
                    warnings.warn(HandcraftWarning(never_fires(clause.rule, hiding)), stacklevel=3)

    def distribution(self, ids: Sequence[int]) -> Distribution:
        """How probable each token is after exactly these."""
        for clause in self._tried_after[ids[-1]]:
            if clause.pattern.matches(ids):
                return {self.vocabulary.token(clause.token): Fraction(1)}
        raise UncoveredError(f"no rule covers {self.vocabulary.text(ids)!r}", where=self.place)

    def distributions(self, ids: Sequence[int]) -> list[Distribution]:
        """The same after each of them."""
        return [self.distribution(ids[:length]) for length in range(1, len(ids) + 1)]

    def decide(self, texts: Ids, rows: Ids, places: Ids) -> tuple[Ids, Ids]:
        """The rule that decides at each place, and the token that it predicts; -1 where none does."""
        winners = self._first_match.at(texts, rows, places)
        tokens = np.array([*(clause.token for clause in self.clauses), NONE], dtype=np.int64)
        return winners, tokens[winners]

    def selected_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.selected_at`: patterns select nothing."""
        return np.zeros((0, 2), dtype=np.int64)

    @property
    def reach(self) -> int:
        """How many tokens the longest pattern reads."""
        return max((len(clause.pattern) for clause in self.clauses), default=0)

    @cached_property
    def _tried_after(self) -> tuple[tuple[Clause, ...], ...]:
        """For each last token, the clauses that allow it: only these can match."""
        after: list[list[Clause]] = [[] for _ in self.vocabulary.tokens]
        everywhere = range(len(self.vocabulary))
        for clause in self.clauses:
            last = everywhere if clause.is_otherwise else clause.pattern.backwards(0)
            for token in last:
                after[token].append(clause)
        return tuple(tuple(clauses) for clauses in after)

    @cached_property
    def _first_match(self) -> FirstMatch:
        return FirstMatch([clause.pattern for clause in self.clauses], len(self.vocabulary))
