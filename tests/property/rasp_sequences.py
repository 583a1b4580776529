"""Random sequences of RASP, and texts for them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from handcraft import rasp
from handcraft.rasp import (
    Aggregate,
    Comparison,
    Full,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    categorical,
    indices,
    length,
    tokens,
)

LABELS = "abc"
ORDERED = list(Comparison)
EQUALITY = [Comparison.EQ, Comparison.NEQ, Comparison.TRUE, Comparison.FALSE]


def first_or_none(x: Any, y: Any) -> Any:
    return x if x == y else None


def later(x: Any) -> Any:
    return {"a": "b", "b": "c"}.get(x)


def code(x: Any) -> Any:
    return {"a": -1, "b": 2}.get(x)


def half(x: Any) -> Any:
    return Fraction(x) / 2


def sign(x: Any) -> Any:
    return None if x == 0 else x > 0


def one_below(key: Any, query: Any) -> bool:
    return bool(key == query - 1)


def same_rest(key: Any, query: Any) -> bool:
    return bool((key - query) % 2 == 0)


@st.composite
def labels(draw: st.DrawFn, depth: int) -> rasp.SOp:
    if depth == 0:
        return tokens
    match draw(st.integers(0, 4)):
        case 0:
            return tokens
        case 1:
            return Map(later, draw(labels(depth - 1)))
        case 2:
            return SequenceMap(first_or_none, draw(labels(depth - 1)), draw(labels(depth - 1)))
        case 3:
            return draw(labels(depth - 1)).named("named")
        case _:
            default = draw(st.sampled_from([None, "a", "z"]))
            return Aggregate(draw(selectors(depth - 1)), draw(labels(depth - 1)), default)


@st.composite
def numbers(draw: st.DrawFn, depth: int) -> rasp.SOp:
    if depth == 0:
        return draw(st.sampled_from([indices, length, Full(2), Full(-1), Full(None)]))
    match draw(st.integers(0, 9)):
        case 0:
            return draw(st.sampled_from([indices, length]))
        case 1:
            return Map(code, draw(labels(depth - 1)))
        case 2:
            return Map(half, draw(numbers(depth - 1)))
        case 3:
            return SelectorWidth(draw(selectors(depth - 1)))
        case 4:
            one, other = draw(numbers(depth - 1)), draw(numbers(depth - 1))
            return draw(
                st.sampled_from([one + other, one - other, one * other, one % 3, 2 * one, one / 2])
            )
        case 5:
            return LinearSequenceMap(draw(numbers(depth - 1)), draw(flags(depth - 1)), 2, -0.5)
        case 6:
            default = draw(st.sampled_from([None, 0, 7, True]))
            return categorical(Aggregate(draw(selectors(depth - 1)), draw(numbers(depth - 1)), default))
        case _:
            what = draw(st.one_of(numbers(depth - 1), flags(depth - 1)))
            default = draw(st.sampled_from([None, 0, Fraction(1, 2), True]))
            how = draw(st.sampled_from(["mean", "mean", "sum"]))
            return Aggregate(draw(selectors(depth - 1)), what, default, how=how)


@st.composite
def flags(draw: st.DrawFn, depth: int) -> rasp.SOp:
    if depth == 0:
        return draw(st.sampled_from([tokens == "a", tokens != "z", indices > 0]))
    match draw(st.integers(0, 5)):
        case 0:
            return draw(labels(depth - 1)) == draw(labels(depth - 1))
        case 1:
            return Map(sign, draw(numbers(depth - 1)))
        case 2:
            one, other = draw(numbers(depth - 1)), draw(numbers(depth - 1))
            return draw(st.sampled_from([one < other, one >= other, one == other, one != 1, one >= 0]))
        case 3:
            one, other = draw(flags(depth - 1)), draw(flags(depth - 1))
            return draw(st.sampled_from([one & other, one | other, ~one]))
        case 4:
            default = draw(st.sampled_from([None, False, 1]))
            return categorical(Aggregate(draw(selectors(depth - 1)), draw(flags(depth - 1)), default))
        case _:
            return draw(labels(depth - 1)) == "b"


@st.composite
def selectors(draw: st.DrawFn, depth: int) -> rasp.Selector:
    if depth > 0:
        match draw(st.integers(0, 5)):
            case 0:
                return draw(selectors(depth - 1)) & draw(selectors(depth - 1))
            case 1:
                return draw(selectors(depth - 1)) | draw(selectors(depth - 1))
            case 2:
                return ~draw(selectors(depth - 1))
    match draw(st.integers(0, 4)):
        case 0:
            return Select(draw(labels(depth)), draw(labels(depth)), draw(st.sampled_from(ORDERED)))
        case 1:
            relation = draw(st.sampled_from([*ORDERED, one_below, same_rest]))
            return Select(draw(numbers(depth)), draw(numbers(depth)), relation)
        case 2:
            return Select(draw(flags(depth)), draw(flags(depth)), draw(st.sampled_from(ORDERED)))
        case 3:
            return Select(draw(flags(depth)), Full(True), draw(st.sampled_from(EQUALITY)))
        case _:
            relation = draw(st.sampled_from([Comparison.EQ, Comparison.LEQ, one_below]))
            return Select(indices, indices, relation)


sequences = st.one_of(labels(2), numbers(2), flags(2), labels(3), numbers(3), flags(3))
texts = st.lists(st.text(LABELS, min_size=1, max_size=4), min_size=1, max_size=12)
