"""The programs of the size table: written in handcraft, said again in plain Python, and Tracr's sizes.

`benchmarks/sequences.py` measures them, and `tests/acceptance/test_size_table.py` holds them to the
goals. Tracr's numbers are for the same programs, over as many tokens and at the same length, without a
causal mask: https://github.com/google-deepmind/tracr.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from handcraft import Expression, Prompts, lookup, select

LETTERS = string.ascii_letters

Text = Sequence[str]
Values = list[Any]


# written in handcraft


def number_of(prompts: Prompts) -> Expression:
    """The place of the token in the alphabet."""
    return prompts.token.map({token: i for i, token in enumerate(prompts.vocabulary.tokens)})


def length(prompts: Prompts) -> Expression:
    """How many tokens the text has; where the mask is causal, up to here."""
    return prompts.everything.count()


def count_a(prompts: Prompts) -> Expression:
    """How often the token a stands in the text."""
    return select(prompts.token, "a").count()


def reverse(prompts: Prompts) -> Expression:
    """The text from its end to its beginning."""
    mirrored = length(prompts) - 1 - prompts.position
    return select(prompts.position, mirrored).latest(prompts.token, default="a")


def histogram(prompts: Prompts) -> Expression:
    """How often the token at each position stands in the text."""
    return select(prompts.token, prompts.token).count()


def fraction(prompts: Prompts) -> Expression:
    """Which fraction of the tokens up to here are a."""
    before = select(prompts.position, prompts.position, "<=")
    return before.mean(prompts.token == "a")


def balance(prompts: Prompts) -> Expression:
    """By how much a is more frequent than b up to here."""
    before = select(prompts.position, prompts.position, "<=")
    return before.mean(prompts.token == "a") - before.mean(prompts.token == "b")


def sort_distinct(prompts: Prompts) -> Expression:
    """The text in order, of which no two tokens are equal."""
    key = number_of(prompts)
    rank = select(key, key, "<=").count() - 1
    return select(rank, prompts.position).latest(prompts.token, default="a")


def sort(prompts: Prompts, key: Expression | None = None) -> Expression:
    """The text in order of a key; of equal keys the earlier position first."""
    key = number_of(prompts) if key is None else key
    distinct = lookup(lambda k, i: k * prompts.context + i, key, prompts.position)
    rank = select(distinct, distinct, "<").count()
    return select(rank, prompts.position).latest(prompts.token, default="a")


def sort_by_frequency(prompts: Prompts) -> Expression:
    """The text with the most frequent tokens first."""
    return sort(prompts, -histogram(prompts))


def three_sequences(prompts: Prompts) -> Expression:
    """A function x + y - z of the number of the token, the same again, and the position."""
    number = number_of(prompts)
    return lookup(lambda x, y, z: x + y - z, number, number, prompts.position)


def shuffle_dyck(prompts: Prompts) -> Expression:
    """Whether the text is one of balanced ab brackets and one of balanced cd brackets, shuffled."""
    before = select(prompts.position, prompts.position, "<=")
    first = before.mean(prompts.token == "a") - before.mean(prompts.token == "b")
    second = before.mean(prompts.token == "c") - before.mean(prompts.token == "d")
    never_negative = prompts.everything.mean((first < 0) | (second < 0)) == 0
    ends_balanced = select(prompts.position, length(prompts) - 1).latest(
        (first == 0) & (second == 0), default=False
    )
    return ends_balanced & never_negative


# said again in plain Python, for texts that are seen whole


def counted(text: Text) -> Values:
    """How often each token stands in the text."""
    often = Counter(text)
    return [often[token] for token in text]


def in_order(text: Text) -> Values:
    """The text in order of the alphabet."""
    return sorted(text, key=LETTERS.index)


def by_frequency(text: Text) -> Values:
    """The most frequent first; `sorted` keeps the order of equals."""
    return sorted(text, key=lambda token: -text.count(token))


def doubled_less_place(text: Text) -> Values:
    """Twice the place in the alphabet, less the position."""
    return [2 * LETTERS.index(token) - i for i, token in enumerate(text)]


def shuffle_dyck_of(text: Text) -> Values:
    """Read the text from left to right with a counter for each pair."""
    depth = {"ab": 0, "cd": 0}
    is_fine = True
    for token in text:
        for pair in depth:
            depth[pair] += (token == pair[0]) - (token == pair[1])
            is_fine = is_fine and depth[pair] >= 0
    return [is_fine and not any(depth.values())] * len(text)


def fraction_of(text: Text) -> Values:
    """The fraction of a in each beginning of the text."""
    return [Fraction(text[: i + 1].count("a"), i + 1) for i in range(len(text))]


def balance_of(text: Text) -> Values:
    """The same, less the fraction of b."""
    begun = [text[: i + 1] for i in range(len(text))]
    return [Fraction(part.count("a") - part.count("b"), len(part)) for part in begun]


# random inputs


def any_text(chosen: Random, tokens: Text, size: int) -> list[str]:
    """A text over some of the tokens, of which there may be few, so that some repeat often."""
    some = chosen.sample(tokens, chosen.randint(1, len(tokens)))
    return [chosen.choice(some) for _ in range(size)]


def distinct_text(chosen: Random, tokens: Text, size: int) -> list[str]:
    """A text whose tokens are all different."""
    return chosen.sample(tokens, size)


def bracket_text(chosen: Random, tokens: Text, size: int) -> list[str]:
    """A balanced text, or one that a single token has spoiled, or any text."""
    text: list[str] = []
    open_: list[str] = []
    while len(text) + len(open_) < size:
        left = size - len(text) - len(open_)
        if open_ and chosen.random() < 0.4:
            text.append(open_.pop(chosen.randrange(len(open_))))
        elif left > 1 and chosen.random() < 0.7:
            opened = chosen.choice("ac")
            text.append(opened)
            open_.append({"a": "b", "c": "d"}[opened])
        else:
            text.append(chosen.choice(tokens[4:]))
    chosen.shuffle(open_)
    text += open_
    kind = chosen.random()
    if kind < 0.3:
        text[chosen.randrange(size)] = chosen.choice("abcd")
    return text if kind < 0.8 else any_text(chosen, tokens[:4], size)


# the table


@dataclass(frozen=True)
class Theirs:
    """What Tracr makes of a program.

    Args:
        layers: blocks of attention and an MLP.
        width: of the residual stream.
        parameters: all of embeddings, attention and MLPs.
        seconds: to compile it; the least and the most where it is known to lie between two.
    """

    layers: int
    width: int
    parameters: int
    seconds: tuple[float, float]


SMALL = (0.03, 0.06)
"""The seconds in which Tracr compiles its small programs."""


@dataclass(frozen=True)
class Row:
    """A program of the table.

    Args:
        name: of the row.
        write: the program.
        meaning: its value at every position of a text that is seen whole.
        theirs: what Tracr makes of it; None where it gave no answer in 190 s, or is not compared.
        is_big: whether the goal is a tenth of the parameters and of the seconds, not just fewer.
        tokens: the size of the vocabulary.
        context: the number of positions.
        draw: a random legal text of some length.
    """

    name: str
    write: Callable[[Prompts], Expression]
    meaning: Callable[[Text], Values]
    theirs: Theirs | None
    is_big: bool = False
    tokens: int = 26
    context: int = 50
    draw: Callable[[Random, Text, int], list[str]] = any_text

    def prompts(
        self, *, causal: bool = False, context: int | None = None, tokens: int | None = None
    ) -> Prompts:
        """The texts of the row, or of a wider one."""
        return Prompts(LETTERS[: tokens or self.tokens], context or self.context, causal=causal)


ROWS = (
    Row(
        "reverse",
        reverse,
        lambda text: list(reversed(text)),
        Theirs(4, 357, 7_907_907, (6.7, 6.7)),
        is_big=True,
    ),
    Row(
        "sort with repeats",
        sort,
        in_order,
        Theirs(3, 1457, 34_268_231, (7.8, 7.8)),
        is_big=True,
    ),
    Row(
        "sort by frequency",
        sort_by_frequency,
        by_frequency,
        Theirs(5, 2810, 215_378_520, (48, 48)),
        is_big=True,
    ),
    Row(
        "three sequences, length 5",
        three_sequences,
        doubled_less_place,
        Theirs(3, 4145, 84_286_289, (63, 63)),
        is_big=True,
        context=5,
    ),
    Row(
        "three sequences, length 10",
        three_sequences,
        doubled_less_place,
        None,
        is_big=True,
        context=10,
    ),
    Row(
        "shuffle-Dyck-2, 10 tokens, length 20",
        shuffle_dyck,
        shuffle_dyck_of,
        Theirs(8, 106, 5_588_234, (0.63, 0.63)),
        is_big=True,
        tokens=10,
        context=20,
        draw=bracket_text,
    ),
    Row("histogram", histogram, counted, Theirs(1, 131, 52_193, SMALL)),
    Row("fraction of previous", fraction, fraction_of, Theirs(2, 81, 41_057, SMALL)),
    Row("balance of a pair", balance, balance_of, Theirs(2, 84, 78_836, SMALL)),
    Row(
        "sort of distinct keys",
        sort_distinct,
        in_order,
        Theirs(2, 157, 142_915, SMALL),
        draw=distinct_text,
    ),
)

CAUSAL_ROWS = tuple(row for row in ROWS if row.write in (histogram, fraction, balance))
"""The rows that make sense with a causal mask too."""

LONG_ROWS = (
    Row("count of a token", count_a, lambda text: [text.count("a")] * len(text), None, context=1000),
    Row("histogram", histogram, counted, None, context=1000),
    Row("length", length, lambda text: [len(text)] * len(text), None, context=1000),
)
"""Counts that are tried in long texts."""


def causally(meaning: Callable[[Text], Values], text: Text) -> Values:
    """With a causal mask every position has the last value of the text up to there."""
    return [meaning(text[: i + 1])[-1] for i in range(len(text))]


def inputs(row: Row, size: int, count: int, tokens: int | None = None) -> list[list[str]]:
    """Random legal texts, the same in every run; the first of `any_text` has one token only."""
    chosen = Random(f"{row.name}, {size} tokens")
    known = LETTERS[: tokens or row.tokens]
    texts = [row.draw(chosen, known, size) for _ in range(count)]
    if row.draw is any_text:
        texts[0] = ["a"] * size
    return texts


@dataclass(frozen=True)
class Ours:
    """What handcraft makes of a program; None for seconds that nobody took."""

    layers: int
    width: int
    parameters: int
    seconds: float | None = None


def missed(row: Row, ours: Ours) -> list[str]:
    """The goals that a row misses, each as a sentence.

    No more layers; a tenth of the parameters and of the seconds on a big row, fewer parameters and no
    more seconds on a small one.
    """
    theirs = row.theirs
    if theirs is None:
        return []
    found = []
    share = 10 if row.is_big else 1
    if ours.layers > theirs.layers:
        found.append(f"{ours.layers} layers, and at most {theirs.layers} are wanted")
    most = theirs.parameters // 10 if row.is_big else theirs.parameters - 1
    if ours.parameters > most:
        found.append(f"{ours.parameters:,} parameters, and at most {most:,} are wanted")
    most_seconds = theirs.seconds[1] / share
    if ours.seconds is not None and ours.seconds > most_seconds:
        found.append(f"{ours.seconds:.3f} s, and at most {most_seconds:.3f} s are wanted")
    return found
