"""Values of any size: compiling refuses, or `.apply` gives the values that are meant, never rounded.

`HANDCRAFT_EXAMPLES` says how many programs are tried in both architectures and all dtypes together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import product
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, event, given, note, reject, settings
from hypothesis import strategies as st

from handcraft import Expression, Prompts, lookup, select, weighted, where, window
from handcraft.compiler import compile_sequences
from handcraft.errors import HandcraftError, PrecisionError

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "200")) // 5

TARGETS = [*product(["block", "gpt2"], ["bfloat16", "float16", "float32", "float64"])]

POWERS = [Fraction(10) ** power for power in range(-6, 8)]


def numbers() -> st.SearchStrategy[Fraction]:
    """Numbers of one to three digits, and thirds, from a millionth to a thousand million."""
    digits = st.integers(-999, 999).map(Fraction) | st.integers(-3, 3).map(lambda n: Fraction(n, 3))
    return st.builds(lambda number, power: number * power, digits, st.sampled_from(POWERS))


Ways: TypeAlias = dict[str, Callable[[], Expression]]


def steps(number: Expression, other: Expression, constant: Fraction) -> Ways:
    """What can be made of a number."""
    prompts, token = number.prompts, number.prompts.token
    return {
        "plus": lambda: number + other,
        "times": lambda: number * constant,
        "minus": lambda: constant - number,
        "before": lambda: number.at(-1, default=constant),
        "mean": lambda: prompts.everything.mean(number),
        "window": lambda: window(2).mean(number),
        "weighted": lambda: weighted(number, {0: 1, -1: constant}),
        "chosen": lambda: select(token, "b").mean(number, default=constant),
        "latest": lambda: select(token, "b").latest(number, default=constant),
        "where": lambda: where(token == "a", number, other),
        "table": lambda: lookup(lambda x, y: x + (y == "a"), number, token),
        "compare": lambda: where(number >= constant, number, constant),
        "count": lambda: select(token, token).count() * constant,
    }


@st.composite
def programs(draw: st.DrawFn) -> Expression:
    """A number for each token, and what is made of it."""
    prompts = Prompts("abc", context=draw(st.sampled_from([2, 3, 4])), causal=draw(st.booleans()))
    token, position = prompts.token, prompts.position
    number = token.map({each: draw(numbers()) for each in "abc"})
    for _ in range(draw(st.integers(0, 2))):
        near = token.map({"a": 0, "b": 1, "c": draw(numbers())})
        ways = steps(number, draw(st.sampled_from([number, position, near])), draw(numbers()))
        with suppress(HandcraftError):  # too many values for a table
            number = ways[draw(st.sampled_from(sorted(ways)))]()
    ends = [number, number, number, number >= draw(numbers())]
    with suppress(HandcraftError):
        ends.append(number == number.at(-1, default=0))
    return draw(st.sampled_from(ends))


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), st.sampled_from(TARGETS))
def test_values_of_any_size_are_exact_or_refused(expression: Expression, target: tuple[str, str]):
    architecture, dtype = target
    prompts = expression.prompts
    note(f"{expression} in {architecture}, {dtype}, context {prompts.context}")
    try:
        made = compile_sequences({"x": expression}, architecture=architecture, dtype=dtype)
    except HandcraftError as error:
        event(f"{architecture} {dtype}: {type(error).__name__}")
        reject()
    event(f"{architecture} {dtype}: compiled")
    lengths = range(1, prompts.context + 1)
    texts = ["".join(text) for length in lengths for text in product("abc", repeat=length)]
    for text, found in zip(texts, made.apply(texts)["x"], strict=True):
        meant = expression.trace(text)
        assert found == meant, text
        assert [*map(type, found)] == [*map(type, meant)], text


@pytest.mark.parametrize(
    ("architecture", "dtype", "size", "exact"),
    [
        ("gpt2", "bfloat16", 1000, 0),
        ("gpt2", "float16", 10**4, 0),
        ("gpt2", "float32", 10**5, 1),
        ("gpt2", "float64", 10**5, 1),
        ("block", "float32", 10**6, 2),
    ],
)
def test_a_large_value_beside_small_ones_is_exact_or_refused(architecture, dtype, size, exact):
    """Each of these once gave (size, 0, 0) for (size, -1, 1), or numbers further off than that."""
    prompts = Prompts("abc", context=3)
    value = prompts.token.map({"a": size, "b": -1, "c": 1})
    tried = [value, value + value.at(-1, default=0), prompts.everything.mean(value)]
    for expression in tried[:exact]:
        made = compile_sequences({"x": expression}, architecture=architecture, dtype=dtype)
        for text in map("".join, product("abc", repeat=3)):
            assert made.apply([text])["x"] == [expression.trace(text)]
    for expression in tried[exact:]:
        with pytest.raises(PrecisionError):
            compile_sequences({"x": expression}, architecture=architecture, dtype=dtype)
