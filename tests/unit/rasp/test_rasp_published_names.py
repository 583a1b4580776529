"""The public surface that RASP programs are written with: types in signatures, and every construct.

The programs are ours; they use what the published programs use, and are tried on every text.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import pytest

from handcraft import rasp

NAMES = [
    "Aggregate", "Comparison", "Encoding", "Full", "IndicesType", "LengthType", "LinearSequenceMap",
    "Map", "NumericValue", "Predicate", "RASPExpr", "SOp", "Select", "Selector", "SelectorAnd",
    "SelectorOr", "SelectorValue", "SelectorWidth", "SequenceMap", "TokensType", "Value",
    "categorical", "evaluate", "get_encoding", "indices", "is_categorical", "is_numerical",
    "length", "numerical", "selector_and", "selector_not", "selector_or", "sop_not", "tokens",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_published_name_is_there(name):
    assert getattr(rasp, name) is not None
    assert name in rasp.__all__


def width() -> rasp.SOp:
    every = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE).named("every")
    return rasp.SelectorWidth(every).named("width")


def mirrored(sop: rasp.SOp) -> rasp.SOp:
    """What stands as far from the end."""
    other = ((width() - rasp.indices).named("from_end") - 1).named("other")
    return rasp.Aggregate(rasp.Select(rasp.indices, other, rasp.Comparison.EQ), sop).named("mirrored")


def share_so_far(flags: rasp.SOp) -> rasp.SOp:
    """How often it was true up to here."""
    so_far = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ)
    return rasp.numerical(rasp.Aggregate(so_far, rasp.numerical(flags), default=0)).named("share")


def lead(one: rasp.Value, other: rasp.Value) -> rasp.SOp:
    """By how much one token was there more often than another."""
    ours, theirs = share_so_far(rasp.tokens == one), share_so_far(rasp.tokens == other)
    return rasp.numerical(rasp.LinearSequenceMap(ours, theirs, 1, -1)).named("lead")


def never_behind(one: rasp.Value, other: rasp.Value) -> rasp.SOp:
    """Whether one was never there less often than another, and in the end as often."""
    behind = rasp.numerical(rasp.Map(lambda x: x, lead(one, other) < 0)).named("behind")
    every = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.TRUE).named("every")
    was_behind = rasp.numerical(rasp.Aggregate(every, behind, default=0)).named("was_behind")
    last = rasp.Select(rasp.indices, width() - 1, rasp.Comparison.EQ).named("last")
    even = rasp.Aggregate(last, lead(one, other) == 0).named("even")
    return (even & (~was_behind).named("never")).named("never_behind")


def ranked(values: rasp.SOp, keys: rasp.SOp, longest: int) -> rasp.SOp:
    """Values in the order of their keys, those of one key as they stand."""
    apart = rasp.SequenceMap(lambda key, i: key + i / longest, keys, rasp.indices)
    rank = rasp.SelectorWidth(rasp.Select(apart, apart, rasp.Comparison.LT).named("before")).named(
        "rank"
    )
    return rasp.Aggregate(rasp.Select(rank, rasp.indices, rasp.Comparison.EQ), values).named("ranked")


def same() -> rasp.SOp:
    return rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ)).named("same")


def behind(offset: int, /, sop: rasp.SOp) -> rasp.SOp:
    there = rasp.Select(rasp.indices, rasp.indices, lambda key, query: query == key + offset)
    return rasp.Aggregate(there, sop, default=None).named(f"behind({offset})")


def spelled(word: Sequence[rasp.Value]) -> rasp.SOp:
    """Whether a word ends here."""
    found: rasp.SOp = rasp.tokens == word[-1]
    for distance, value in enumerate(reversed(word[:-1]), 1):
        found = found & behind(distance, rasp.tokens == value)
    return found.named(f"spelled({word})")


def rare(most: int) -> rasp.SOp:
    """How many tokens are there so often at most."""
    return rasp.SelectorWidth(rasp.Select(same(), same(), lambda key, query: key <= most)).named("rare")


def share(text: str, token: str, end: int) -> Fraction:
    return Fraction(text[:end].count(token), end)


def is_never_behind(text: str) -> bool:
    leads = [text[:end].count("a") - text[:end].count("b") for end in range(1, len(text) + 1)]
    return min(leads) >= 0 and leads[-1] == 0


PROGRAMS = {
    "width": (width(), lambda text: [len(text)] * len(text)),
    "mirrored": (mirrored(rasp.tokens), lambda text: list(text[::-1])),
    "share so far": (
        share_so_far(rasp.tokens == "a"),
        lambda text: [share(text, "a", end) for end in range(1, len(text) + 1)],
    ),
    "lead": (
        lead("a", "b"),
        lambda text: [share(text, "a", end) - share(text, "b", end) for end in range(1, len(text) + 1)],
    ),
    "never behind": (never_behind("a", "b"), lambda text: [is_never_behind(text)] * len(text)),
    "same": (same(), lambda text: [text.count(token) for token in text]),
    "ranked by how often": (
        ranked(rasp.tokens, -1 * same(), 5),
        lambda text: sorted(text, key=lambda token: -text.count(token)),
    ),
    "behind": (behind(2, rasp.tokens), lambda text: [None, None, *text][: len(text)]),
    "spelled": (
        spelled("ab"),
        lambda text: [None if i == 0 else text[i - 1 : i + 1] == "ab" for i in range(len(text))],
    ),
    "rare": (rare(2), lambda text: [sum(text.count(token) <= 2 for token in text)] * len(text)),
    "opposites": (
        rasp.sop_not(rasp.SelectorWidth(
            rasp.selector_or(
                rasp.selector_and(
                    rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ),
                    rasp.selector_not(rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.EQ)),
                ),
                rasp.Select(rasp.tokens, rasp.Full("c"), rasp.Comparison.GT),
                simplify=False,
            )
        ) > 0),
        lambda text: [text.count(token) == 1 for token in text],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("program", "meant"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_is_right_on_every_text_evaluated_and_compiled(program, meant):
    texts = ["".join(text) for n in range(1, 5) for text in product("abc", repeat=n)]
    right = [list(meant(text)) for text in texts]
    assert [rasp.evaluate(program, text) for text in texts] == right
    model = rasp.compile(program, vocabulary="abc", max_length=4)
    assert [list(row) for row in model.apply([list(text) for text in texts])] == right


def test_an_encoding_is_what_was_said_last():
    assert rasp.is_categorical(rasp.tokens)
    assert rasp.get_encoding(rasp.numerical(rasp.indices)) is rasp.Encoding.NUMERICAL
    assert not rasp.is_numerical(rasp.categorical(rasp.numerical(rasp.indices)))
    assert isinstance(rasp.tokens, rasp.TokensType)
    assert isinstance(rasp.indices, rasp.RASPExpr)
