"""The limits on the size of programs, command lines and files, checked before work begins.

Each limit is a constant that says what it bounds. `tests/unit/test_limits.py` tests all of them: one
more than a limit is refused at once, and the limit itself takes bounded time and memory. A number that
only chooses between two ways of compiling is in the pass that it tunes, not here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import isfinite, log10
from typing import TypeVar

from handcraft.errors import LimitError
from handcraft.memory import memory_of_machine
from handcraft.phrase import Words, phrase

T = TypeVar("T")

GIB = 1 << 30

MEMORY = "HANDCRAFT_MEMORY"
"""The environment variable with how many GiB of memory may be used, instead of half of all."""


@dataclass(frozen=True)
class Limit:
    """The greatest allowed number of one kind of thing.

    Args:
        most: the largest number that is allowed.
        noun: what is counted, in the plural.
        bytes_each: about how much memory each takes once it is compiled; 0 where memory is not what
            the limit is for.
    """

    most: int
    noun: str
    bytes_each: int = 0

    def check(self, asked: int, *, where: object = None, fix: Words | None = None) -> None:
        """Raise if the limit is exceeded.

        The fix is by default to stay within the limit.
        """
        if asked <= self.most:
            return
        takes = f"; it would take about {gib(asked * self.bytes_each)}" if self.bytes_each else ""
        raise LimitError(
            f"{shown_number(asked)} {self.noun}; the limit is {self.most:,}{takes}",
            where=where,
            fix=fix or f"use {self.most:,} or fewer",
        )

    def take(self, items: Iterable[T], *, where: object = None, fix: Words | None = None) -> list[T]:
        """The items as a list; the first that is one too many ends it, also where there is no end."""
        listed = list(islice(items, self.most + 1))
        if len(listed) > self.most:
            raise LimitError(
                f"more than {self.most:,} {self.noun}",
                where=where,
                fix=fix or f"use {self.most:,} or fewer",
            )
        return listed


CONTEXT = Limit(32_768, "tokens of context", bytes_each=18_000)
"""Bounds the encoding of each position, which is stored as exact numbers before it becomes an array:
about 60 numbers of 300 bytes for each position. Compiling for the largest takes about 10 s."""

LISTED_POSITIONS = Limit(8_192, "positions for an expression to read")
"""Bounds tables over the position: a function of it has a row for every position of the context. It is
also the most values that any other expression is listed for."""

PATTERN = Limit(1_024, "tokens in a pattern")
"""Bounds the heads of a model, one for each token that a pattern reads, and with them its width."""

PATTERN_TEXT = Limit(200_000, "characters in a pattern")
"""Bounds the time to read a pattern, about 20 microseconds a character."""

VOCABULARY = Limit(65_536, "tokens of a program", bytes_each=10_000)
"""Bounds the encoding of each token, which is stored as about 32 exact numbers of 300 bytes. GPT-2 has
50,257 tokens."""

TOKENS = Limit(1_048_576, "tokens of a vocabulary")
"""Bounds the vocabulary of a model that was made elsewhere. The largest of published ones have a
quarter of that."""

RULES = Limit(131_072, "rules", bytes_each=15_000)
"""Bounds the neurons of a model: a rule takes one or more, each with its weights and their origins."""

RULES_TEXT = Limit(4_000_000, "characters of text")
"""Bounds the tree that the parser makes of a rule file, and how much of a file or a pipe is read."""

CONDITION_TEXT = Limit(65_536, "characters in a rule with a condition")
"""Bounds the time to read the condition of one rule: a `not` or `and` takes half a millisecond."""

TABLE_ROWS = Limit(200_000, "rows of a table")
"""Bounds the combinations of values for which a function of expressions is tabulated."""

NUMBER_BITS = Limit(1_100, "bits in a number")
"""Bounds exact arithmetic. Every float is a fraction of two numbers below it; every dtype of weights
ends far below it."""

TERMS = Limit(4_096, "terms in a sum")
"""Bounds the listed terms of a weighted sum."""

DEPTH = Limit(128, "blocks, one after the other")
"""Bounds chains of heads that read what earlier heads moved: each of them takes a block, and the
compiler follows the chain from the last to the first. GPT-3 has 96 blocks."""

CONDITIONS = Limit(4_096, "conditions in a selection")
"""Bounds selections that are made of others by `|` and `~`, whose disjoint cases multiply."""

RELATION_PAIRS = Limit(1_000_000, "pairs of a key and a query")
"""Bounds how often a function of a key and a query is called, to list the pairs that it selects."""

JOINT_VALUES = Limit(4_096, "joint values of keys")
"""Bounds the score terms of selections joined by `|`, one for each combination of what they read."""

DENOMINATOR = Limit(100_000, "as the denominator of a number")
"""Bounds the numbers of which means are taken: the denominator of their means is exponential in it."""

SUMMED_NUMBERS = Limit(64, "different numbers in a sum over a selection")
"""Bounds the heads of such a sum in RASP, which counts each number by itself."""

AUTOMATON_STATES = Limit(1_000, "states of a regular expression as an expression")
"""Bounds the automaton before states that do the same are made one."""

AUTOMATON_MAPS = Limit(128, "maps of states to states")
"""Bounds the table that composes what two stretches of a text do: it has a row for every pair."""

REGEX_TEXT = Limit(100_000, "characters in a regular expression")
"""Bounds how long Python's parser reads it: about 0.3 s for the longest."""

REGEX_DEPTH = Limit(100, "groups in groups")
"""Bounds the recursion of parsers, of which Python allows 1,000 calls."""

REGEX_CASES = Limit(1 << 21, "characters in ranges that ignore case")
"""Bounds how many characters `re` tests one by one, about a million per second."""

REGEX_NAMED = Limit(1_000, "characters of a range in an alphabet")
"""Bounds the columns of an automaton, which has one for each character that is named."""

REGEX_LETTERS = Limit(20_000_000, "letters of the classes of a regular expression")
"""Bounds the letters that are listed class by class."""

REGEX_STATES = Limit(10_000, "states of an automaton")
"""Bounds an automaton with its lookaheads."""

REGEX_STEPS = Limit(400_000, "steps to make an automaton")
"""Bounds the threads that are followed, one for each step: 2 to 4 s, and 300 MB."""

REGEX_ENTRIES = Limit(20_000_000, "entries of the table of an automaton")
"""Bounds a table of states by kinds of tokens: 160 MB."""

REGEX_COUNTS = Limit(4_000_000, "states times lengths")
"""Bounds the numbers of texts that are kept to count and draw them: about 400 MB."""

WRITTEN_TEXT = Limit(100_000, "characters of a condition in words")
"""Bounds the words for a condition, which repeat a shared part at each use."""

WIDTH = Limit(65_536, "dimensions")
"""Bounds the residual stream and its heads, whose dimensions all have names. The widest published
models have a quarter of that."""

BLOCKS = Limit(4_096, "blocks")
"""Bounds the tensors of a model, a dozen for each block. The deepest published models
have about a hundred."""

HEADS = Limit(65_536, "heads")
"""Bounds the heads of a block; there can be no more of them than dimensions."""

ADDED_TOKENS = Limit(1_000_000, "tokens to add")
"""Bounds how long a text is continued: each token costs a pass through the model."""

SAMPLE = Limit(100_000_000, "random contexts")
"""Bounds the sample of a check, whose lengths are drawn first: 16 bytes for each context."""

JSON_BYTES = Limit(100_000_000, "bytes of JSON")
"""Bounds the memory that an untrusted JSON file takes, about 20 bytes for each of its own; the
safetensors package has the same limit for headers."""

PAGE_WEIGHTS = Limit(1_000_000, "weights that are not 0 on a page")
"""Bounds the file of `handcraft page`, about 10 bytes for each, and the memory of the browser."""


def check_memory(needed: int, what: str, *, where: object = None, fix: Words | None = None) -> None:
    """Raise where something would take more memory than may be used.

    That is half of what the machine has, unless the environment variable `MEMORY` says otherwise.

    `needed` is in bytes, and `what` says what needs them, such as ``a model of 10 parameters``.
    """
    allowed = memory_allowed()
    if needed <= allowed:
        return
    stated = MEMORY in os.environ
    source = f"{MEMORY} allows" if stated else "half of the memory of this machine is"
    more = f"{MEMORY}={max(1, -(-needed // GIB)):.0f} in the environment allows it"
    raise LimitError(
        f"{what} takes about {gib(needed)} of memory, and {source} {gib(allowed)}",
        where=where,
        fix=phrase(fix, "; ", more) if fix else more,
    )


def memory_allowed() -> int:
    """How many bytes may be used.

    Raises:
        LimitError: the environment variable `MEMORY` is not a number of GiB.
    """
    stated = os.environ.get(MEMORY)
    if stated is None:
        return memory_of_machine() // 2
    try:
        number = float(stated)
    except ValueError:
        number = float("nan")
    if not isfinite(number) or number <= 0:
        raise LimitError(
            f"{MEMORY} is {stated[:40]!r}",
            where="the environment",
            fix=f"give a number of GiB above 0, as in {MEMORY}=8",
        )
    return int(number * GIB)


def gib(count: int) -> str:
    """A number of bytes in GiB, to three digits.

    >>> gib(3 << 29), gib(10**30), gib(5_000_000)
    ('1.5 GiB', '9.31e+20 GiB', '0.00466 GiB')
    """
    if count.bit_length() > 1_000:
        return f"{shown_number(count >> 30)} GiB"
    return f"{count / GIB:.3g} GiB"


def shown_number(number: int) -> str:
    """A whole number for a message: in full where it is short, else its size.

    >>> shown_number(1_000_000), shown_number(-(10**10_000))
    ('1,000,000', 'about -10^10000')
    """
    if abs(number) < 10**15:
        return f"{number:,}"
    sign = "-" if number < 0 else ""
    return f"about {sign}10^{round((abs(number).bit_length() - 0.5) * log10(2))}"
