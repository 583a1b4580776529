"""The programs of the size table: written in handcraft, said again in plain Python, and Tracr's sizes.

`benchmarks/peers.py` compiles them with both, `benchmarks/sequences.py` measures ours further, and
`tests/acceptance/test_size_table.py` compares sizes and depths. Tracr's layers, widths and parameters
are what its commit 9ce2b8c gave in `make bench-peers`, over as many tokens and at the same length,
without a causal mask: https://github.com/google-deepmind/tracr. Its times are of no one's machine but
the one that ran both, so they are not kept here.
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
    """A function x + y - z of the number of the token, the position, and how often the token occurs."""
    return lookup(lambda x, y, z: x + y - z, number_of(prompts), prompts.position, histogram(prompts))


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


def place_and_position_less_count(text: Text) -> Values:
    """The place in the alphabet and the position, less how often the token occurs."""
    often = Counter(text)
    return [LETTERS.index(token) + i - often[token] for i, token in enumerate(text)]


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
        seconds: to write and compile it, where both were measured in one run.
    """

    layers: int
    width: int
    parameters: int
    seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """A program of the table.

    Args:
        name: of the row.
        write: the program.
        meaning: its value at every position of a text that is seen whole.
        theirs: what Tracr makes of it; None where it gave no answer in 190 s, or is not compared.
        share: which part of Tracr's parameters ours may have at most.
        tokens: the size of the vocabulary.
        context: the number of positions.
        draw: a random allowed text of some length.
    """

    name: str
    write: Callable[[Prompts], Expression]
    meaning: Callable[[Text], Values]
    theirs: Theirs | None
    share: float = 1
    tokens: int = 26
    context: int = 50
    draw: Callable[[Random, Text, int], list[str]] = any_text

    def prompts(
        self, *, causal: bool = False, context: int | None = None, tokens: int | None = None
    ) -> Prompts:
        """The texts of the row, or of a wider one."""
        return Prompts(LETTERS[: tokens or self.tokens], context or self.context, causal=causal)


ROWS = (
    Row("reverse", reverse, lambda text: [*reversed(text)], Theirs(4, 357, 7_907_907), 0.001),
    Row("sort with repeats", sort, in_order, Theirs(3, 1457, 34_268_231), 0.1),
    Row("sort by frequency", sort_by_frequency, by_frequency, Theirs(5, 2810, 215_378_520), 0.1),
    Row(
        "three sequences, length 5",
        three_sequences,
        place_and_position_less_count,
        Theirs(3, 986, 4_987_808),
        0.1,
        context=5,
    ),
    Row(
        "three sequences, length 10",
        three_sequences,
        place_and_position_less_count,
        Theirs(3, 3216, 56_420_688),
        0.1,
        context=10,
    ),
    Row(
        "shuffle-Dyck-2, 10 tokens, length 20",
        shuffle_dyck,
        shuffle_dyck_of,
        Theirs(8, 106, 5_588_234),
        0.1,
        tokens=10,
        context=20,
        draw=bracket_text,
    ),
    Row("histogram", histogram, counted, Theirs(1, 131, 52_193)),
    Row("histogram, length 5", histogram, counted, Theirs(1, 41, 7_148), context=5),
    Row("histogram, length 10", histogram, counted, Theirs(1, 51, 10_153), context=10),
    Row("histogram, length 20", histogram, counted, Theirs(1, 71, 17_663), context=20),
    Row("fraction of previous", fraction, fraction_of, Theirs(2, 81, 41_057)),
    Row("balance of a pair", balance, balance_of, Theirs(2, 84, 78_836)),
    Row(
        "sort of distinct keys",
        sort_distinct,
        in_order,
        Theirs(2, 157, 142_915),
        draw=distinct_text,
    ),
    Row(
        "sort of distinct keys, length 5",
        sort_distinct,
        in_order,
        Theirs(2, 67, 20_962),
        context=5,
        draw=distinct_text,
    ),
    Row(
        "sort of distinct keys, length 10",
        sort_distinct,
        in_order,
        Theirs(2, 77, 27_547),
        context=10,
        draw=distinct_text,
    ),
    Row(
        "sort of distinct keys, length 20",
        sort_distinct,
        in_order,
        Theirs(2, 97, 43_417),
        context=20,
        draw=distinct_text,
    ),
)

CAUSAL_ROWS = tuple(
    row for row in ROWS if row.write in (histogram, fraction, balance) and row.context == 50
)
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
    """Random allowed texts, the same in every run; the first of `any_text` has one token only."""
    chosen = Random(f"{row.name}, {size} tokens")
    known = LETTERS[: tokens or row.tokens]
    texts = [row.draw(chosen, known, size) for _ in range(count)]
    if row.draw is any_text:
        texts[0] = ["a"] * size
    return texts


@dataclass(frozen=True)
class Ours:
    """What handcraft makes of a program; None for seconds that were not measured beside Tracr's."""

    layers: int
    width: int
    parameters: int
    seconds: float | None = None


def missed(theirs: Theirs, ours: Ours, share: float = 1) -> list[str]:
    """In what ours is not better: deeper, larger than a share of theirs, or slower. A sentence each."""
    found = []
    if ours.layers > theirs.layers:
        found.append(f"{ours.layers} layers; Tracr has {theirs.layers}")
    most = int(theirs.parameters * share)
    if ours.parameters >= most:
        part = "" if share == 1 else f", of which {share:g} is {most:,}"
        found.append(f"{ours.parameters:,} parameters; Tracr has {theirs.parameters:,}{part}")
    if theirs.seconds is not None and ours.seconds is not None and ours.seconds > theirs.seconds:
        found.append(f"{ours.seconds:.3f} s; Tracr takes {theirs.seconds:.3f} s")
    return found
