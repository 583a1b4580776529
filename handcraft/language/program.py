"""Rule programs, and the oracle: what a program means, in plain Python with no arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape as escape_html
from typing import Any

from handcraft.errors import (
    HandcraftError,
    HandcraftWarning,
    ProgramError,
    VocabularyError,
    raise_all,
)
from handcraft.language.coverage import Coverage, cover
from handcraft.language.parse_pattern import PatternSyntaxError, parse_pattern
from handcraft.language.pattern import Pattern
from handcraft.language.rule import Clause, Rule
from handcraft.origin import Place, caller_place
from handcraft.vocabulary import Vocabulary, shorten


class UncoveredError(ProgramError):
    """Some context that no rule covers."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Program:
    """A vocabulary, a context length and rules; the first rule that matches wins.

    Args:
        vocabulary: a `Vocabulary`, or what makes one.
        context: how many tokens the model sees; of a longer text, the last so many.
        rules: the rules, in the order in which they are tried.

    Raises:
        HandcraftError: everything that is wrong with the program, all at once.

    Warns:
        HandcraftWarning: for every rule that can never fire, naming what hides it.

    >>> from handcraft import predict
    >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    >>> aab.meaning("aabaa")
    'b'
    """

    vocabulary: Vocabulary
    context: int
    rules: tuple[Rule, ...]
    clauses: tuple[Clause, ...]
    place: Place | None

    def __init__(
        self,
        vocabulary: Vocabulary | str | Iterable[str],
        context: int,
        rules: Sequence[Rule],
        *,
        place: Place | None = None,
    ) -> None:
        place = place or caller_place(1)
        problems: list[HandcraftError] = []
        known = Vocabulary("?")
        try:
            known = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        except HandcraftError as problem:
            problem.where = problem.where or str(place)
            problems.append(problem)
        problems += _context_problems(context, place)
        problems += _rule_problems(rules, place)
        raise_all(problems)
        object.__setattr__(self, "vocabulary", known)
        object.__setattr__(self, "context", int(context))
        object.__setattr__(self, "rules", tuple(rules))
        object.__setattr__(self, "clauses", _read_rules(rules, known, context))
        object.__setattr__(self, "place", place)
        self._check_coverage()

    def __repr__(self) -> str:
        tokens = self.vocabulary.tokens
        vocabulary = "".join(tokens) if self.vocabulary.is_characters else " ".join(tokens)
        rules = ", ".join(repr(rule) for rule in self.rules)
        return f"Program({vocabulary!r}, {self.context}, [{rules}])"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same for IPython and Hypothesis, which would list every field."""
        printer.text(repr(self))

    def meaning(self, context: str | Sequence[str]) -> str:
        """The token that the first matching rule predicts.

        Args:
            context: text or tokens; of more than `self.context` tokens only the last ones count.

        Raises:
            VocabularyError: a token is unknown, or there is none.
        """
        ids = self.vocabulary.ids(context)
        if not ids:
            raise VocabularyError("the prompt is empty", fix="give at least one token to predict from")
        return self.vocabulary.tokens[self.next_token(ids[-self.context :])]

    def next_token(self, ids: Sequence[int]) -> int:
        """The id of the token that the first matching rule predicts after exactly the tokens `ids`."""
        for clause in self._tried_after[ids[-1]]:
            if clause.pattern.matches(ids):
                return clause.token
        raise UncoveredError(f"no rule covers {self.vocabulary.text(ids)!r}", where=self.place)

    def widened(self, context: int) -> Program:
        """The same rules seeing up to `context` tokens.

        Raises:
            UncoveredError: they leave some longer context uncovered.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HandcraftWarning)  # told once, when this was made
            return Program(self.vocabulary, context, self.rules, place=self.place)

    @property
    def reach(self) -> int:
        """How many tokens the longest pattern reads."""
        return max((len(clause.pattern) for clause in self.clauses), default=0)

    @cached_property
    def coverage(self) -> Coverage:
        """Which rule wins where, decided over all contexts."""
        patterns = [clause.pattern for clause in self.clauses]
        return cover(patterns, len(self.vocabulary), self.context)

    @cached_property
    def live_clauses(self) -> tuple[Clause, ...]:
        """The clauses that win on some context, in order.

        Where coverage is undecided: all up to the first that always matches.
        """
        if not self.coverage.is_complete:
            always = (
                i for i, c in enumerate(self.clauses) if c.pattern.is_always(len(self.vocabulary))
            )
            return self.clauses[: next(always, len(self.clauses)) + 1]
        return tuple(c for i, c in enumerate(self.clauses) if i in self.coverage.fired)

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

    def _check_coverage(self) -> None:
        covered = self.coverage
        if covered.uncovered is not None:
            context = self.vocabulary.text(covered.uncovered)
            raise UncoveredError(
                f"no rule says what to predict after {context!r}",
                where=self.place,
                fix="end the rules with a rule that is always true, as in "
                f'predict("{self.vocabulary.tokens[0]}").otherwise()',
            )
        if not covered.is_complete and not any(clause.is_otherwise for clause in self.clauses):
            raise UncoveredError(
                "the rules are too entangled to decide whether they cover every context",
                where=self.place,
                fix="end them with an otherwise() rule",
            )
        if covered.is_complete:
            for i, clause in enumerate(self.clauses):
                if i not in covered.fired:
                    hiding = self._hiding(i)
                    warnings.warn(
                        HandcraftWarning(f"{clause.rule.origin} can never fire: {hiding} first"),
                        stacklevel=3,
                    )

    def _hiding(self, hidden: int) -> str:
        """The earlier rules that win wherever rule number `hidden` matches, and that they come."""
        pattern = self.clauses[hidden].pattern
        example = tuple(min(allowed) for allowed in pattern.classes)
        tried = self._tried_after[example[-1]] if example else self.clauses
        winner = next((c for c in tried if c.pattern.matches(example)), self.clauses[hidden])
        if winner is not self.clauses[hidden] and _includes(winner.pattern, pattern):
            hiding = [winner]
        else:
            earlier = (c for i, c in enumerate(self.clauses[:hidden]) if i in self.coverage.fired)
            hiding = [c for c in earlier if _overlap(c.pattern, pattern)]
        names = [str(clause.rule.origin) for clause in hiding[:3]]
        names += [f"{len(hiding) - 3} more"] if len(hiding) > 3 else []
        return f"{' and '.join(names)} {'comes' if len(hiding) == 1 else 'come'}"

    def _repr_html_(self) -> str:
        """The rules as a table, for notebooks."""
        rows = "".join(
            f"<tr><td>{number}</td><td><code>{escape_html(str(rule))}</code></td></tr>"
            for number, rule in enumerate(self.rules, 1)
        )
        head = f"vocabulary <code>{escape_html(shorten(self.vocabulary.tokens))}</code>"
        return f"<table><caption>{head}, context {self.context}</caption>{rows}</table>"


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


def _context_problems(context: object, place: Place | None) -> list[HandcraftError]:
    if isinstance(context, int) and not isinstance(context, bool) and context >= 1:
        return []
    return [
        ProgramError(
            f"the context is {context!r}",
            where=place,
            fix="use a whole number of tokens, 1 or more",
        )
    ]


def _rule_problems(rules: Sequence[object], place: Place | None) -> list[HandcraftError]:
    problems: list[HandcraftError] = []
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        problems.append(
            ProgramError(
                f"the rules are {rules!r}",
                where=place,
                fix='give a list such as [predict("b").after("aa"), predict("a").otherwise()]',
            )
        )
        rules = ()
    elif not rules:
        problems.append(
            ProgramError(
                "the program has no rules", where=place, fix='add one: predict("a").otherwise()'
            )
        )
    for number, rule in enumerate(rules, 1):
        if not isinstance(rule, Rule):
            problems.append(
                ProgramError(
                    f"rule {number} is {rule!r}, of type {type(rule).__name__}",
                    where=place,
                    fix='write predict("b").after("aa") or predict("a").otherwise()',
                )
            )
        elif not isinstance(rule.token, str) or not isinstance(rule.pattern, str | None):
            wrong = rule.token if not isinstance(rule.token, str) else rule.pattern
            problems.append(
                ProgramError(
                    f"rule {number} holds {wrong!r}, of type {type(wrong).__name__}",
                    where=rule.place,
                    fix="tokens and patterns are strings",
                )
            )
    return problems


def _read_rules(rules: Sequence[Rule], vocabulary: Vocabulary, context: int) -> tuple[Clause, ...]:
    problems: list[HandcraftError] = []
    clauses: list[Clause] = []
    for rule in rules:
        try:
            clauses.append(_read_rule(rule, vocabulary, context))
        except HandcraftError as problem:
            problem.where = problem.where or (rule.place and f"{rule.place}, {rule}") or str(rule)
            problems.append(problem)
    raise_all(problems)
    return tuple(clauses)


def _read_rule(rule: Rule, vocabulary: Vocabulary, context: int) -> Clause:
    if rule.token not in vocabulary:
        raise VocabularyError(
            f"the rule predicts {rule.token!r}, which is not in the vocabulary",
            fix=f"use one of its {len(vocabulary)} tokens: {shorten(vocabulary.tokens)}",
        )
    if rule.pattern is None:
        return Clause(vocabulary.id(rule.token), Pattern(), rule)
    try:
        pattern = parse_pattern(rule.pattern, vocabulary)
    except PatternSyntaxError as error:
        raise error.of(rule) from None
    if len(pattern) > context:
        raise ProgramError(
            f"the pattern {rule.pattern!r} reads {len(pattern)} tokens, but the context has {context}",
            fix=f"context={len(pattern)}, or a shorter pattern",
        )
    return Clause(vocabulary.id(rule.token), pattern, rule)
