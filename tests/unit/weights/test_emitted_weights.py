"""Emitted weights: numbers that a dtype holds, and sharpness that makes attention hard."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Symbol

from handcraft import compile_program
from handcraft.architecture import BLOCK
from handcraft.circuits import (
    Block,
    Circuits,
    Head,
    Relation,
    bias,
    copy,
    embed_position,
    embed_token,
    equal,
    look_back,
    one_hot,
    signed_bits,
    window,
)
from handcraft.errors import CircuitError, HandcraftError, PrecisionError
from handcraft.origin import Origin
from handcraft.weights import Sizes, plan_model, sharpness_for
from handcraft.weights.emit import check_sharpness

PROGRAMS = Path(__file__).parents[3] / "programs"
TOKEN = one_hot("token", "ab")


def with_weight(number, dtype: str = "float32", **changes) -> float:
    """What a bias of `number` becomes."""
    adds = bias(TOKEN, {"b": number}, origins=[Origin("a test")])
    made = Circuits(
        "ab",
        2,
        embedding=[embed_token(TOKEN)],
        blocks=[Block(attention_bias=(adds,))],
        unembedding=TOKEN,
        **changes,
    )
    model = compile_program(made, dtype=dtype, architecture="block").model
    return float(model.tensors["h.0.attn.c_proj.bias"][1])


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        (2**24, "float32"),
        (-(2**24), "float32"),
        (2**24 + 2, "float32"),
        (2**100, "float32"),
        (2**24 + 1, "float64"),
        (2**53, "float64"),
        (Fraction(1, 2**100), "float32"),
        (Fraction(2**24 - 1, 2), "float32"),
    ],
)
def test_a_number_that_the_dtype_holds_is_emitted_as_it_is(number, dtype):
    assert Fraction(with_weight(number, dtype)) == number


def test_a_third_is_rounded_to_the_nearest():
    assert with_weight(Fraction(1, 3)) == np.float32(1) / np.float32(3)
    assert with_weight(Fraction(1, 3), "float64") == 1 / 3


@pytest.mark.parametrize(
    ("number", "dtype", "fix"),
    [
        (2**24 + 1, "float32", "compile with dtype='float64' (tried)"),
        (-(2**24) - 1, "float32", "compile with dtype='float64' (tried)"),
        (2**53 + 1, "float64", "use smaller numbers"),
        (10**400, "float32", "nothing that was tried helps: dtype float64"),
        (10**400, "float64", "use smaller numbers"),
    ],
)
def test_an_integer_that_the_dtype_does_not_hold_is_refused(number, dtype, fix):
    with pytest.raises(PrecisionError, match=f"{dtype} cannot represent {number}") as caught:
        with_weight(number, dtype)
    assert caught.value.where == "h.0.attn.c_proj.bias[1], which serves a test"
    assert "token b" in caught.value.what
    assert caught.value.fix == fix


@pytest.mark.parametrize("number", [2**200, 10**60, -(10**60), Fraction(10**60, 3)])
def test_a_number_past_the_largest_is_refused(number):
    with pytest.raises(PrecisionError, match="float32 cannot represent"):
        with_weight(number)


def test_a_symbol_is_emitted_as_its_value():
    symbol = Symbol("L", positive=True)
    assert with_weight(symbol / 2 + 1, values={"L": 8}) == 5


def test_a_symbol_without_a_value_is_refused():
    with pytest.raises(CircuitError, match="the symbol L has no value"):
        with_weight(Symbol("L", positive=True))


def attending(relation: Relation, *tables, sharpness=None, context: int = 6) -> Circuits:
    head = Head("looker", relation, (copy(TOKEN, TOKEN),), (copy(TOKEN, TOKEN),), sharpness)
    return Circuits(
        "ab",
        context,
        embedding=[*(embed_position(table) for table in tables), embed_token(TOKEN)],
        blocks=[Block(heads=(head,))],
        unembedding=TOKEN,
    )


POSITION = one_hot("position", range(6))
BITS = signed_bits("bits", range(6))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "made",
    [
        attending(look_back(POSITION, 1), POSITION),
        attending(window(POSITION, 2), POSITION),
        attending(equal(BITS, BITS, label="same"), BITS),
    ],
    ids=["look back", "window", "signed bits"],
)
def test_the_sharpness_is_the_smallest_power_of_two_whose_gap_underflows(made, dtype):
    plan = plan_model(made, BLOCK)
    sharpness = sharpness_for(plan, dtype)
    assert sharpness & (sharpness - 1) == 0
    gap = made.blocks[0].heads[0].attends.gap * BLOCK.score_scale(plan.layout.head_dim)
    real = np.dtype(dtype).type
    assert np.exp(real(-sharpness * gap)) == 0
    assert sharpness * gap / 2 < {"float32": 104, "float64": 746}[dtype]


def test_the_smallest_gap_decides():
    wide = attending(equal(BITS, BITS, label="same"), BITS, POSITION)
    heads = (*wide.blocks[0].heads, *attending(look_back(POSITION, 1), POSITION).blocks[0].heads)

    def sharpness(*heads: Head) -> int:
        made = Circuits(
            "ab", 6, embedding=wide.embedding, blocks=[Block(heads=heads)], unembedding=TOKEN
        )
        return sharpness_for(plan_model(made, BLOCK, Sizes(n_head=2, head_dim=16)), "float32")

    assert sharpness(*heads) == sharpness(heads[1]) == 2 * sharpness(heads[0])
    stated = replace(heads[1], sharpness=1000)
    assert sharpness(heads[0], stated) == sharpness(heads[0]), "only heads that leave it open count"


@pytest.mark.parametrize("gap", [0, -1])
def test_a_relation_without_a_gap_is_refused(gap):
    same = copy(POSITION, POSITION)
    with pytest.raises(HandcraftError, match=f"a gap of {gap}"):
        Relation("none", (same,), (same,), gap)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_too_small_a_sharpness_names_the_head_and_the_one_that_is_enough(dtype):
    def made(sharpness: int) -> Circuits:
        return attending(look_back(POSITION, 1), POSITION, sharpness=sharpness)

    with pytest.raises(PrecisionError, match="`looker` of block 0 has a score gap of") as caught:
        compile_program(made(4), dtype=dtype, architecture="block")
    assert dtype in caught.value.what
    assert __file__.rpartition("/")[2] in caught.value.where
    enough = int(re.search(r"a sharpness of (\d+) or more", caught.value.fix)[1])
    compile_program(made(enough), dtype=dtype, architecture="block")
    with pytest.raises(PrecisionError):
        compile_program(made(enough - 1), dtype=dtype, architecture="block")


@pytest.mark.parametrize("sharpness", [0, -3])
def test_the_sharpness_that_is_enough_is_named_for_a_head_without_any(sharpness):
    made = attending(window(POSITION, 2), POSITION, sharpness=sharpness)
    with pytest.raises(PrecisionError) as caught:
        compile_program(made, architecture="block")
    enough = int(re.search(r"a sharpness of (\d+) or more", caught.value.fix)[1])
    compile_program(attending(window(POSITION, 2), POSITION, sharpness=enough), architecture="block")


@given(st.fractions(1, 60, max_denominator=100))
def test_a_sharpness_is_enough_where_all_other_positions_weigh_less_than_rounding(sharpness):
    made = attending(look_back(POSITION, 1), POSITION, sharpness=sharpness)
    plan = plan_model(made, BLOCK)
    gap = float(sharpness * made.blocks[0].heads[0].attends.gap)
    others = made.context * np.exp(-gap * BLOCK.score_scale(plan.layout.head_dim))
    if others <= np.finfo("float32").eps / 4:
        check_sharpness(plan, "float32")
    else:
        with pytest.raises(PrecisionError):
            check_sharpness(plan, "float32")


def test_a_sharpness_that_is_enough_leaves_no_trace_of_the_other_positions():
    made = attending(window(POSITION, 2), POSITION, sharpness=1)
    with pytest.raises(PrecisionError) as caught:
        compile_program(made, architecture="block")
    enough = int(re.search(r"(\d+) or more", caught.value.fix)[1])
    made = attending(window(POSITION, 2), POSITION, sharpness=enough)
    trace = compile_program(made, architecture="block").trace("abbaab")
    assert (trace["h.0.attn.pattern"][0, 5, 4:] == 0.5).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sharpness_that_is_enough_attends_to_one_position_exactly(dtype):
    position = one_hot("position", range(64))

    def looking(sharpness: int) -> Circuits:
        relation = look_back(position, 1)
        return attending(relation, position, sharpness=sharpness, context=64)

    with pytest.raises(PrecisionError) as caught:
        compile_program(looking(1), dtype=dtype, architecture="block")
    enough = int(re.search(r"(\d+) or more", caught.value.fix)[1])
    trace = compile_program(looking(enough), dtype=dtype, architecture="block").trace("a" * 64)
    assert trace["h.0.attn.pattern"][0, 63, 62] == 1


def test_the_value_of_a_symbolic_sharpness_is_judged():
    source = (PROGRAMS / "by_hand.py").read_text("utf-8")
    names: dict = {}
    exec(compile(source.replace('"L": 1024', '"L": 40'), "by_hand.py", "exec"), names)
    with pytest.raises(PrecisionError, match="`last two` of block 0"):
        compile_program(names["circuits"], architecture="block")


def test_the_example_by_hand_is_sharp_enough():
    made = runpy.run_path(str(PROGRAMS / "by_hand.py"))["circuits"]
    model = compile_program(made, architecture="block").model
    assert model.forward([made.vocabulary.ids("aabaa")])[0].tolist() == [
        [1, 1024],
        [1, 1024],
        [1024, 1],
        [1025, 0],
        [1, 1024],
    ]
