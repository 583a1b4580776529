"""What a dtype cannot tell apart is refused, by the name of the expression; all else is exact."""

from __future__ import annotations

from itertools import product

import pytest
from short_texts import assert_compiled

from handcraft import Prompts, select, weighted, where, window
from handcraft.compiler import compile_sequences
from handcraft.errors import PrecisionError

EXPRESSIONS = {
    "count": lambda t, i: select(t, t).count(),
    "count that may be 0": lambda t, i: select(t, t.at(-1, default="a")).count(),
    "count of a": lambda t, i: select(t, "a").count(),
    "look back": lambda t, i: t.at(-1, default="a"),
    "latest": lambda t, i: select(t, t).latest(i),
    "mean": lambda t, i: select(t, t).mean(i) >= 1,
    "means of means": lambda t, i: select(t, t).mean(select(t, t).mean(i)) >= 1,
}


def expression(name: str, context: int):
    prompts = Prompts("abc", context=context)
    return EXPRESSIONS[name](prompts.token, prompts.position)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name != "means of means"])
def test_short_contexts_are_exact_in_every_dtype(name, dtype):
    assert_compiled({name: expression(name, 4)}, "block", dtype)


TIES = ("count", "count that may be 0")
"""What is told by whether position 0, forgiven, shares evenly."""
REFUSED = {*product(TIES, ("float16", "bfloat16")), ("count that may be 0", "float64")}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name != "means of means"])
def test_short_contexts_after_layernorm_are_exact_or_refused(name, dtype):
    if (name, dtype) in REFUSED:
        with pytest.raises(PrecisionError, match="LayerNorm can shift their scores"):
            compile_sequences({name: expression(name, 4)}, architecture="gpt2", dtype=dtype)
    else:
        assert_compiled({name: expression(name, 4)}, "gpt2", dtype)


@pytest.mark.parametrize("name", TIES)
def test_a_tie_that_depends_on_a_gain_of_8_bits_is_refused(name):
    with pytest.raises(PrecisionError, match="LayerNorm can shift their scores") as caught:
        compile_sequences({name: expression(name, 4)}, architecture="gpt2", dtype="bfloat16")
    assert caught.value.fix.startswith("compile with dtype='float32'")


@pytest.mark.parametrize("kept", ["ba bb bc ca", "ba ca cb cc", "aa ba ca cb cc", "aa ab ac bc ca cb"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sources_get_equal_weights_whatever_layernorm_scales(kept, dtype):
    """A query that was brought is 0 where its condition does not ask, and not 1 less 1."""
    prompts = Prompts("abc", context=3)
    key, query = prompts.token.at_position(1, default="b"), prompts.token.at(0, default="a")
    chosen = select(key, query, lambda k, q: k + q in kept.split())
    assert_compiled({"mean": chosen.mean(prompts.position, default=-1)}, "gpt2", dtype)


def test_sums_over_a_one_hot_value_are_refused_where_they_are_too_large():
    """The position is read in so many ways that it is held one-hot, and 20 times over in one sum."""
    prompts = Prompts("abc", context=4)
    token, position = prompts.token, prompts.position
    count = select(token.map({"a": "a", "b": "a", "c": "a"}), token).count()
    both = weighted(position, {0: 1, -1: 1})
    outputs = {
        "late": (position >= 2).map({False: "a", True: "b"}),
        "number": where(position >= 3, count.at(-2, default=0), both),
    }
    assert_compiled(outputs)
    with pytest.raises(PrecisionError, match="in sums of up to 79"):
        compile_sequences(outputs, dtype="bfloat16")


TOO_LONG = {
    ("count", "bfloat16"): 16,
    ("count", "float16"): 64,
    ("count that may be 0", "bfloat16"): 12,
    ("count that may be 0", "float16"): 32,
    ("count of a", "bfloat16"): 16,
    ("count of a", "float16"): 64,
    ("latest", "bfloat16"): 100,
    ("latest", "float16"): 600,
    ("mean", "bfloat16"): 24,
    ("mean", "float16"): 64,
    ("means of means", "bfloat16"): 6,
    ("means of means", "float16"): 12,
    ("means of means", "float32"): 16,
    ("means of means", "float64"): 16,
}
"""Contexts that are too long for an expression in a dtype."""


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize(
    ("name", "dtype", "context"), [(*known, context) for known, context in TOO_LONG.items()]
)
def test_longer_contexts_are_refused_and_the_expression_is_named(name, dtype, context, architecture):
    refused = expression(name, context)
    with pytest.raises(PrecisionError) as caught:
        compile_sequences({"x": refused}, architecture=architecture, dtype=dtype)
    said = str(caught.value)
    named = "`refused`" in said or "token" in said or "position" in said
    assert named, "the variable, or a part of its expression"
    assert "fix:" in said


@pytest.mark.parametrize(("dtype", "context"), [("bfloat16", 16), ("float16", 64)])
def test_the_message_names_the_dtype_and_what_would_do(dtype, context):
    counted = expression("count", context)
    with pytest.raises(PrecisionError) as caught:
        compile_sequences({"x": counted}, dtype=dtype)
    error = caught.value
    assert str(counted) in error.what
    assert dtype in error.what
    assert "test_refused_precision.py" in str(error.where)
    assert error.fix.startswith("compile with dtype='float32'; or context=")


def test_float32_is_not_advised_instead_of_float32():
    with pytest.raises(PrecisionError) as caught:
        compile_sequences({"x": expression("means of means", 16)})
    assert "float32" not in caught.value.fix


@pytest.mark.parametrize(("dtype", "context"), [("bfloat16", 16), ("float16", 64)])
def test_what_a_small_dtype_refuses_float32_takes(dtype, context):
    counted = expression("count", context)
    made = compile_sequences({"x": counted})
    text = ("abcacb" * 11)[:context]
    assert made.apply([text])["x"] == [counted.trace(text)]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_looking_back_is_exact_over_any_length(dtype):
    back = expression("look back", 300)
    text = ("abcacb" * 50)[:300]
    assert compile_sequences({"x": back}, dtype=dtype).apply([text])["x"] == [back.trace(text)]


def test_fewer_assumed_values_may_be_distinguished_where_all_could_not():
    prompts = Prompts("ab", context=16)
    mean = window(16).mean(prompts.token == "a")
    table = {value: value * 16 % 3 for value in mean.domain.values}
    with pytest.raises(PrecisionError):
        compile_sequences({"x": mean.map(table)}, dtype="bfloat16")
    made = compile_sequences({"x": mean.assume([0, 1]).map(table)}, dtype="bfloat16")
    assert made.apply(["a" * 16, "b" * 5])["x"] == [(1,) * 16, (0,) * 5]
