"""What a program is given: its setting and its rules, and everything that is wrong with them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from handcraft.errors import (
    DomainError,
    HandcraftError,
    HandcraftWarning,
    LimitError,
    ProgramError,
    VocabularyError,
    raise_all,
)
from handcraft.language.graph.domain import Finite, Kind
from handcraft.language.graph.node import Node
from handcraft.language.graph.wording import enclosed
from handcraft.language.patterns.parse_pattern import PatternSyntaxError, parse_pattern, pattern_items
from handcraft.language.patterns.pattern import Pattern, escape
from handcraft.language.rules.distribution import Distribution, read_distribution
from handcraft.language.rules.rule import Rule
from handcraft.language.sequences import Expression, Prompts
from handcraft.language.sequences.expression import other_prompts
from handcraft.limits import RULES
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary, shorten


class UncoveredError(ProgramError):
    """A context that no rule covers."""


def sure_rule(vocabulary: Vocabulary) -> str:
    """A rule that covers every context, as advice in Python."""
    return f'predict("{vocabulary.tokens[0]}").otherwise()'


def sure_line(vocabulary: Vocabulary) -> str:
    """The same, as advice in a rule file."""
    token = escape(vocabulary.tokens[0])
    return f"end the rules with a line that always fires, as in `predict {token} otherwise`"


ANY = (True, ())
"""The test of a pattern position where any token matches."""


def read_setting(
    vocabulary: object, context: object, prompts: object, place: Place
) -> tuple[Prompts, list[HandcraftError]]:
    """The prompts of a program, and what is wrong with its arguments."""
    unknown = Prompts("?", 1, place=place)
    misplaced = isinstance(vocabulary, Prompts)
    if prompts is not None or misplaced:
        if isinstance(prompts, Prompts) and vocabulary is None and context is None:
            return prompts, []
        what = "a vocabulary or a context besides its prompts"
        what = f"{prompts!r} for prompts" if not isinstance(prompts, Prompts) else what
        problem = ProgramError(
            f"the program has {'prompts in place of a vocabulary' if misplaced else what}",
            where=place,
            fix="write Program(prompts=..., rules=[...])",
        )
        return unknown, [problem]
    if vocabulary is None:
        problem = ProgramError(
            "the program has no vocabulary",
            where=place,
            fix='write Program("ab", 5, [...]), or Program(prompts=..., rules=[...])',
        )
        return unknown, [problem]
    try:
        return Prompts(vocabulary, context, place=place), []  # type: ignore[arg-type]
    except LimitError:
        raise
    except HandcraftError as error:
        return unknown, [*getattr(error, "problems", (error,))]


def rule_problems(rules: object, place: Place | None) -> list[HandcraftError]:
    """What is wrong with rules before they are read: no list, none in it, or parts of other types."""
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        return [
            ProgramError(
                f"the rules are {rules!r}",
                where=place,
                fix='give a list such as [predict("b").after("aa"), predict("a").otherwise()]',
            )
        ]
    if not rules:
        return [
            ProgramError(
                "the program has no rules", where=place, fix='add one: predict("a").otherwise()'
            )
        ]
    RULES.check(len(rules), where=place)
    return [problem for n, rule in enumerate(rules, 1) for problem in _type_problems(n, rule, place)]


def _type_problems(number: int, rule: object, place: Place | None) -> Iterator[HandcraftError]:
    if not isinstance(rule, Rule):
        yield ProgramError(
            f"rule {number} is {rule!r}, of type {type(rule).__name__}",
            where=place,
            fix='write predict("b").after("aa") or predict("a").otherwise()',
        )
        return
    if not isinstance(rule.answer, str | Expression | Mapping):
        yield ProgramError(
            f"rule {number} predicts {rule.answer!r}, of type {type(rule.answer).__name__}",
            where=rule.place,
            fix="tokens are strings; predict a token, a category or a distribution",
        )
    if not isinstance(rule.pattern, str | None):
        yield ProgramError(
            f"rule {number} has the pattern {rule.pattern!r}, of type {type(rule.pattern).__name__}",
            where=rule.place,
            fix="patterns are strings; an expression goes into .when()",
        )
    if not isinstance(rule.flag, Expression | None):
        yield ProgramError(
            f"rule {number} has the condition {rule.flag!r}, of type {type(rule.flag).__name__}",
            where=rule.place,
            fix='give a flag, such as .when(token == "a"); a pattern goes into .after()',
        )


def unprompted_problems(rules: Sequence[Rule]) -> list[HandcraftError]:
    """Rules that read expressions, in a program that was given no prompts."""
    return [
        ProgramError(
            f"the rule reads `{rule.answer if rule.flag is None else rule.flag}`, and the program has "
            "no prompts",
            where=rule.where,
            fix="write Program(prompts=..., rules=[...]) with the Prompts that it is made from",
        )
        for rule in rules
        if rule.has_expressions
    ]


class Parsed(NamedTuple):
    """A rule, and what its parts mean for a program; a single token is left as it is."""

    rule: Rule
    answer: str | Node | Distribution
    pattern: Pattern
    flag: Node | None


def read_rules(rules: Sequence[Rule], prompts: Prompts) -> list[Parsed]:
    """Rules of any kind, over prompts.

    Raises:
        HandcraftError: everything that is wrong, all at once.
    """
    problems: list[HandcraftError] = []
    found: list[Parsed] = []
    for rule in rules:
        answer: str | Node | Distribution = ""
        flag, pattern = None, Pattern()
        with _collecting(problems, rule):
            answer = _read_answer(rule, prompts)
        with _collecting(problems, rule):
            pattern = _read_pattern(rule, prompts.vocabulary, prompts.context)
        with _collecting(problems, rule):
            flag = _read_flag(rule, prompts)
        found.append(Parsed(rule, answer, pattern, flag))
    raise_all(problems)
    return found


@contextmanager
def _collecting(problems: list[HandcraftError], rule: Rule) -> Iterator[None]:
    """Keep what is raised, with the place of the rule where it has none."""
    try:
        yield
    except HandcraftError as error:
        for problem in getattr(error, "problems", (error,)):
            problem.where = problem.where or rule.where
            problems.append(problem)


def _read_pattern(rule: Rule, vocabulary: Vocabulary, context: int) -> Pattern:
    if rule.pattern is None:
        return Pattern()
    try:
        pattern = parse_pattern(rule.pattern, vocabulary)
    except PatternSyntaxError as error:
        raise error.of(rule) from None
    if "." in vocabulary and ANY in pattern_items(rule.pattern, vocabulary.is_characters):
        note = (
            f"`.` in the pattern {rule.pattern!r} is any token, "
            "and the vocabulary has the token `.` too\n"
            f"  where: {rule.where}\n"
            f"  fix:   write \\. for that token alone"
        )
        warnings.warn(HandcraftWarning(note), stacklevel=2)
    if len(pattern) > context:
        raise ProgramError(
            f"the pattern {rule.pattern!r} reads {len(pattern)} tokens, but the context has {context}",
            fix=f"context={len(pattern)}, or a shorter pattern",
            in_rules=f"`context {len(pattern)}`, or a shorter pattern",
        )
    return pattern


def _read_answer(rule: Rule, prompts: Prompts) -> str | Node | Distribution:
    answer, vocabulary = rule.answer, prompts.vocabulary
    if isinstance(answer, str):
        if answer not in vocabulary:
            raise VocabularyError(
                f"the rule predicts {answer!r}, which is not in the vocabulary",
                fix=vocabulary.advice(answer),
            )
        return answer
    if not isinstance(answer, Expression):
        return read_distribution(answer, vocabulary)
    _check_prompts(answer, prompts)
    domain = answer.domain
    if not isinstance(domain, Finite) or domain.kind is not Kind.CATEGORY:
        raise DomainError(
            f"the rule predicts `{answer}`, a {domain.kind.value} ({domain}), but tokens are labels",
            fix="turn it into tokens with .map({...})",
        )
    strange = [value for value in domain.values if value not in vocabulary]
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise VocabularyError(
            f"the rule predicts `{answer}`, which may be {strange[0]!r}{more}, not in the vocabulary",
            fix="turn it into tokens with .map({...}), or .assume() the values that occur; tokens are: "
            f"{shorten(vocabulary.tokens)}",
            in_rules=f"predict tokens; they are: {shorten(vocabulary.tokens)}",
        )
    return answer.node


def _read_flag(rule: Rule, prompts: Prompts) -> Node | None:
    if rule.flag is None:
        return None
    _check_prompts(rule.flag, prompts)
    domain = rule.flag.domain
    if domain.kind is not Kind.FLAG:
        raise DomainError(
            f"the condition of the rule is `{rule.flag}`, a {domain.kind.value} ({domain}), not a flag",
            fix=f"compare it: .when({enclosed(rule.flag.node, 1)} == ...)",
        )
    return rule.flag.node


def _check_prompts(expression: Expression, prompts: Prompts) -> None:
    if expression.prompts is not prompts:
        raise ProgramError(
            f"`{expression}` belongs to other prompts: {other_prompts(expression.prompts, prompts)}",
            fix="make all expressions of a program from its Prompts",
        )
