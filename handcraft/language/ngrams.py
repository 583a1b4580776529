"""An n-gram model of a text as rules: what followed which tokens, and how often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction

from handcraft.errors import ProgramError
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rules.rule import Answer, Rule
from handcraft.limits import RULES
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary

Row = tuple[str, ...]
"""Tokens that follow each other."""

Follows = dict[Row, Counter[str]]
"""For each token sequence in a text, how often each token follows it."""


def ngram_rules(
    text: str | Sequence[str],
    order: int,
    *,
    smoothing: Fraction | int | str = 0,
    greedy: bool = False,
    vocabulary: Vocabulary,
    place: Place,
) -> list[Rule]:
    """Rules that predict what followed the longest context that occurs in a text, longest first.

    Raises:
        ProgramError: the order, the smoothing or the text is invalid.
        LimitError: the text has more contexts than rules are allowed.
    """
    tokens = [vocabulary.token(i) for i in vocabulary.ids(text)]
    if type(order) is not int or order < 1:
        raise ProgramError(f"order={order!r}", where=place, fix="use a whole number, 1 or more")
    added = _smoothing(smoothing, place)
    if len(tokens) < order:
        raise ProgramError(
            f"a text of {len(tokens)} tokens has no sequence of {order}",
            where=place,
            fix=f"give a longer text, or order={max(1, len(tokens))}" if tokens else "give a text",
        )
    follows = _count(tokens, order)
    RULES.check(len(follows), where=place, fix="use a lower order, or a shorter text")
    answers = {row: _answer(counts, vocabulary, added, greedy) for row, counts in follows.items()}
    kept = sorted(_without_repeated(answers), key=lambda row: (-len(row), vocabulary.ids(row)))
    patterns = (tuple(frozenset({number}) for number in vocabulary.ids(row)) for row in kept)
    return [
        Rule(answers[row], Pattern(pattern).text(vocabulary) if row else None, place)
        for row, pattern in zip(kept, patterns, strict=True)
    ]


def _smoothing(smoothing: object, place: Place) -> Fraction:
    """The smoothing as a fraction; a float would not be exact."""
    added: Fraction | None = None
    if isinstance(smoothing, Fraction | int | str) and not isinstance(smoothing, bool):
        with suppress(ValueError, ZeroDivisionError):
            added = Fraction(smoothing)
    if added is None or added < 0:
        raise ProgramError(
            f"smoothing={smoothing!r}",
            where=place,
            fix='give 0 or more as a whole number, a Fraction, or a text such as "1/10"',
        )
    return added


def _count(tokens: Sequence[str], order: int) -> Follows:
    follows: Follows = defaultdict(Counter)
    for place, token in enumerate(tokens):
        for length in range(min(order - 1, place) + 1):
            follows[tuple(tokens[place - length : place])][token] += 1
    return dict(follows)


def _without_repeated(answers: Mapping[Row, Answer]) -> list[Row]:
    """Without the rows that predict the same as the longest shorter one that stays."""
    kept: set[Row] = set()
    for row in sorted(answers, key=len):
        shorter = next((row[i:] for i in range(1, len(row) + 1) if row[i:] in kept), None)
        if shorter is None or answers[row] != answers[shorter]:
            kept.add(row)
    return list(kept)


def _answer(counts: Counter[str], vocabulary: Vocabulary, added: Fraction, greedy: bool) -> Answer:
    if greedy:
        return max(vocabulary.tokens, key=lambda token: counts[token])
    total = counts.total() + added * len(vocabulary)
    probabilities = {token: (counts[token] + added) / total for token in vocabulary.tokens}
    possible = {token: probability for token, probability in probabilities.items() if probability}
    return possible if len(possible) > 1 else next(iter(possible))
