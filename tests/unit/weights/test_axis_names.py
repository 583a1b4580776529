"""What the rows and columns of every tensor stand for, in models as planned and in larger ones."""

from __future__ import annotations

import pytest

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.formats import fill
from handcraft.weights import Sizes, axis_names


@pytest.fixture(scope="module")
def program():
    return Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])


def expressions():
    prompts = Prompts("ab", context=4)
    most = select(prompts.token, "a").count() >= 2
    return Program(prompts=prompts, rules=[predict("b").when(most), predict("a").otherwise()])


@pytest.mark.parametrize(
    ("architecture", "make"),
    [
        ("gpt2", "program"),
        ("gpt2", "expressions"),
        ("block", "program"),
        ("block", "expressions"),
        ("llama", "program"),
    ],
)
def test_every_row_and_column_that_holds_something_has_a_name(program, architecture, make):
    source = program if make == "program" else expressions()
    compiled = compile_program(source, architecture=architecture)
    names = axis_names(compiled.plan)
    model = compiled.model
    for tensor, placed in compiled.placement.tensors.items():
        for index in placed.values:
            for axis, i in enumerate(index):
                told = names.describe(tensor, axis, i, model.shape, model.vocabulary)
                assert told
                assert "unused" not in told, (tensor, index, told)
                assert architecture != "llama" or told == placed.axes[axis][i]
    balance = compiled.plan.layout.balance
    assert balance is None or names.stream[balance] == "balance"


@pytest.mark.parametrize(
    ("tensor", "axis", "i", "name"),
    [
        ("wte.weight", 0, 64, "token 'a'"),
        ("wte.weight", 0, 0, "token 'b'"),
        ("wte.weight", 0, 1, "no token"),
        ("wpe.weight", 0, 1023, "position 1023"),
        ("h.0.attn.c_attn.weight", 1, 768, "key of the head `token.at(-1)`: match 1"),
        ("h.11.attn.c_attn.bias", 0, 2303, "value of an unused head"),
        ("h.0.attn.c_proj.weight", 0, 63, "value of the head `token.at(-1)`: unused"),
        ("h.11.mlp.c_fc.bias", 0, 9, "hidden unit, unused"),
        ("h.11.mlp.c_proj.weight", 0, 9, "hidden unit, unused"),
    ],
)
def test_in_a_published_shape_what_the_program_does_not_fill_is_unused(program, tensor, axis, i, name):
    compiled = compile_program(program, like="gpt2-small", positions="binary", tokens="one-hot")
    model = fill(compiled, "gpt2-small", {"a": 64})
    names = axis_names(compiled.plan)
    assert names.describe(tensor, axis, i, model.shape, model.vocabulary) == name


@pytest.mark.parametrize(
    ("tensor", "axis", "i", "name"),
    [
        ("embed_tokens.weight", 0, 1, "token 'b'"),
        ("embed_tokens.weight", 0, 3, "begin token '<s>'"),
        (
            "layers.0.self_attn.q_proj.weight",
            0,
            0,
            "query of the head `token.at(-2)`: frequency 0, cos",
        ),
        (
            "layers.0.self_attn.k_proj.weight",
            0,
            1,
            "key of the head `token.at(-2)`, `token.at(-1)`: frequency 1, cos",
        ),
        ("layers.0.mlp.gate_proj.weight", 0, 0, "hidden unit: predict a after c[a b c][a b c], 1"),
        ("layers.0.mlp.down_proj.weight", 1, -1, "hidden unit: writes constants"),
        ("layers.0.input_layernorm.weight", 0, 0, "token a"),
        ("norm.weight", 0, 1, "token b"),
    ],
)
def test_a_key_of_a_llama_has_the_names_of_all_heads_that_share_it(tensor, axis, i, name):
    rules = [
        predict("a").after("c[a b c][a b c]"),
        predict("c").after("ba"),
        predict("b").after("a"),
        predict("a").otherwise(),
    ]
    sizes = Sizes(head_dim=8, n_kv_head=1)
    compiled = compile_program(
        Program("abc", 5, rules), architecture="llama", tokens="one-hot", sizes=sizes
    )
    model, names = compiled.model, axis_names(compiled.plan)
    i = i % model.tensors[tensor].shape[axis]
    assert names.describe(tensor, axis, i, model.shape, model.vocabulary) == name
