"""Random programs: patterns, and rules over expressions, all valid by construction."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from handcraft.errors import HandcraftWarning
from handcraft.language import Program, Prompts, Rule, predict
from handcraft.language.patterns.pattern import Pattern
from handcraft.random_programs.choosing import Choosing, one_of, some_of
from handcraft.random_programs.making import Kind, Making
from handcraft.vocabulary import Vocabulary

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("the", "cat", "dog", "sat", "ran", "on", "mat", "start", "and", "a")

ITEMS = ("token", "token", "token", "class", "class", "any")
"""The kinds of an item of a pattern, each as often as it is chosen in six."""


def make_vocabulary(choosing: Choosing, least: int, most: int, *, words: bool) -> Vocabulary:
    """Some letters, or some words where `words` allows it."""
    named = WORDS if words and choosing.whole(0, 1) else LETTERS
    return Vocabulary(named[: choosing.whole(least, most)])


def make_pattern(choosing: Choosing, vocabulary: Vocabulary, longest: int) -> str:
    """The text of a pattern: tokens, classes, any token, now and then anchored at the start."""
    numbers = range(len(vocabulary))
    classes: list[frozenset[int]] = []
    for _ in range(choosing.whole(1, longest)):
        match one_of(choosing, ITEMS):
            case "token":
                classes.append(frozenset({one_of(choosing, numbers)}))
            case "class":
                classes.append(frozenset(some_of(choosing, numbers)))
            case _:
                classes.append(frozenset(numbers))
    return Pattern(tuple(classes), choosing.whole(0, 3) == 3).text(vocabulary)


def make_pattern_program(
    choosing: Choosing,
    *,
    tokens: tuple[int, int],
    context: tuple[int, int],
    max_rules: int,
    max_pattern: int,
) -> Program:
    """A program of patterns that covers every context; the last rule is an `otherwise`.

    Args:
        choosing: makes the choices.
        tokens: the least and the most tokens.
        context: the least and the greatest context length.
        max_rules: the most rules.
        max_pattern: the most tokens of a pattern.
    """
    vocabulary = make_vocabulary(choosing, *tokens, words=True)
    positions = choosing.whole(*context)

    def rule() -> Rule:
        answer = one_of(choosing, vocabulary.tokens)
        return predict(answer).after(make_pattern(choosing, vocabulary, min(max_pattern, positions)))

    rules = [rule() for _ in range(choosing.whole(0, max_rules - 1))]
    rules.append(predict(one_of(choosing, vocabulary.tokens)).otherwise())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a hidden rule is a fine example too
        return Program(vocabulary, positions, rules)


def make_prompts(
    choosing: Choosing, *, tokens: tuple[int, int], context: tuple[int, int], causal: bool = True
) -> Prompts:
    """Prompts over a few letters, of which every text is allowed."""
    vocabulary = make_vocabulary(choosing, *tokens, words=False)
    return Prompts(vocabulary, choosing.whole(*context), causal=causal)


def make_expression_program(
    choosing: Choosing,
    prompts: Prompts,
    *,
    max_rules: int,
    depth: int,
    distributions: bool,
) -> Program:
    """A program over prompts, whose rules read expressions, patterns and flags.

    Args:
        choosing: makes the choices.
        prompts: the prompts.
        max_rules: the most rules, of which the last fires always.
        depth: the most operations inside one another in an expression.
        distributions: whether rules may predict probabilities.
    """
    making = Making(choosing, prompts, wide=False)
    longest = min(3, prompts.context)
    answers = ["token", "expression", "distribution"] if distributions else ["token", "expression"]

    def expression(kind: Kind) -> Any:
        return making.expression(kind, choosing.whole(0, depth))

    def answer() -> Any:
        match one_of(choosing, answers):
            case "token":
                return one_of(choosing, prompts.vocabulary.tokens)
            case "expression":
                return expression("category")
            case _:
                return _distribution(choosing, prompts)

    def rule() -> Rule:
        prediction = predict(answer())
        conditions = one_of(choosing, ["pattern", "flag", "both"])
        if conditions == "flag":
            return prediction.when(expression("flag"))
        after = prediction.after(make_pattern(choosing, prompts.vocabulary, longest))
        return after.when(expression("flag")) if conditions == "both" else after

    rules = [rule() for _ in range(choosing.whole(0, max_rules - 1))]
    rules.append(predict(answer()).otherwise())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a hidden rule is a fine example too
        return Program(prompts=prompts, rules=rules)


def _distribution(choosing: Choosing, prompts: Prompts) -> Mapping[str, Fraction]:
    tokens = some_of(choosing, prompts.vocabulary.tokens)
    parts = [choosing.whole(1, 4) for _ in tokens]
    return {token: Fraction(part, sum(parts)) for token, part in zip(tokens, parts, strict=True)}
