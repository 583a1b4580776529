"""Hypothesis strategies: vocabularies, contexts, patterns and whole rule programs."""

from __future__ import annotations

import warnings
from functools import cache

from hypothesis import strategies as st

from handcraft.errors import HandcraftWarning
from handcraft.language import Program, Rule, predict
from handcraft.language.patterns.pattern import Pattern
from handcraft.vocabulary import Vocabulary

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("the", "cat", "dog", "sat", "ran", "on", "mat", "start", "and", "a")


def vocabularies(
    min_size: int = 2, max_size: int = 6, *, words: bool = True
) -> st.SearchStrategy[Vocabulary]:
    """Vocabularies of letters, and of words unless `words` is false."""
    sizes = st.integers(min_size, max_size)
    letters = sizes.map(lambda n: Vocabulary(LETTERS[:n]))
    if not words:
        return letters
    return st.one_of(letters, sizes.map(lambda n: Vocabulary(WORDS[:n])))


def contexts(program: Program, *, max_length: int | None = None) -> st.SearchStrategy[tuple[str, ...]]:
    """Contexts of a program, as tokens: at least one, and at most its context length."""
    longest = program.context if max_length is None else max_length
    token = st.sampled_from(program.vocabulary.tokens)
    return st.lists(token, min_size=1, max_size=longest).map(tuple)


@cache
def pattern_items(tokens: int) -> dict[str, st.SearchStrategy[frozenset[int]]]:
    """Strategies for one item of a pattern, by kind, made once: Hypothesis checks every new one."""
    everything = frozenset(range(tokens))
    token = st.sampled_from(sorted(everything))
    return {
        "token": token.map(lambda i: frozenset({i})),
        "class": st.sets(token, min_size=1).map(frozenset),
        "any": st.just(everything),
    }


ITEMS = st.sampled_from(["token", "token", "token", "class", "class", "any"])
ANCHORED = st.sampled_from([False, False, False, True])


@st.composite
def patterns(draw: st.DrawFn, vocabulary: Vocabulary, max_length: int = 4) -> str:
    """The text of a pattern: tokens, classes, any token, now and then anchored at the start."""
    items = pattern_items(len(vocabulary))
    length = draw(st.integers(1, max_length))
    classes = tuple(draw(items[draw(ITEMS)]) for _ in range(length))
    return Pattern(classes, draw(ANCHORED)).text(vocabulary)


@st.composite
def rule_programs(
    draw: st.DrawFn,
    *,
    min_tokens: int = 2,
    max_tokens: int = 6,
    min_context: int = 3,
    max_context: int = 8,
    max_rules: int = 6,
    max_pattern: int = 4,
) -> Program:
    """Rule programs that cover every context; the last rule is an `otherwise`."""
    vocabulary = draw(vocabularies(min_tokens, max_tokens))
    context = draw(st.integers(min_context, max_context))
    tokens = st.sampled_from(vocabulary.tokens)
    longest = min(max_pattern, context)
    rules: list[Rule] = [
        predict(draw(tokens)).after(draw(patterns(vocabulary, longest)))
        for _ in range(draw(st.sampled_from(range(max_rules))))
    ]
    rules.append(predict(draw(tokens)).otherwise())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a hidden rule is a fine example too
        return Program(vocabulary, context, rules)
