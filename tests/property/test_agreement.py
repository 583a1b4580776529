"""Oracle, ideal circuits and weights agree, on random programs; and a planted fault is caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import find as find_smallest
from hypothesis import given, settings
from sweeps import sweep

from handcraft import Compiled, Program, compile_program, predict
from handcraft.compiler.rules import rule_logits
from handcraft.testing import assert_agreement, contexts, rule_programs

ARCHITECTURES = ("block", "gpt2")
PROGRAMS = rule_programs(
    min_tokens=2, max_tokens=6, min_context=3, max_context=8, max_rules=6, max_pattern=4
)
CROWDED = rule_programs(max_tokens=3, min_context=4, max_context=6, max_rules=12, max_pattern=4)
SMALL = rule_programs(min_tokens=1, max_tokens=3, min_context=1, max_context=2, max_rules=6)

FEWER = {"every_up_to": 5_000, "sample": 5_000}


def compiled(program: Program, architecture: str, **options) -> Compiled:
    """The program with as many positions as it asks for, and no more."""
    return compile_program(program, architecture=architecture, n_positions=program.context, **options)


@settings(max_examples=sweep(200))
@given(PROGRAMS)
def test_random_programs_agree_in_the_bare_block(program):
    assert_agreement(compiled(program, "block", positions="one-hot"))


@settings(max_examples=sweep(100))
@given(PROGRAMS)
def test_random_programs_agree_in_gpt2(program):
    assert_agreement(compiled(program, "gpt2", positions="one-hot"), **FEWER)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@settings(max_examples=sweep(60))
@given(program=PROGRAMS)
def test_random_programs_agree_in_a_llama(dtype, program):
    assert_agreement(compiled(program, "llama", dtype=dtype), **FEWER)


@pytest.mark.parametrize("tokens", ["one-hot", "binary"])
@settings(max_examples=sweep(40))
@given(program=CROWDED)
def test_crowded_programs_agree_in_a_llama(tokens, program):
    assert_agreement(compiled(program, "llama", tokens=tokens), **FEWER)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("positions", ["binary", "sinusoidal"])
@settings(max_examples=sweep(30))
@given(program=PROGRAMS)
def test_random_programs_agree_with_coded_positions(architecture, positions, program):
    assert_agreement(compiled(program, architecture, positions=positions), **FEWER)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=sweep(50))
@given(program=PROGRAMS)
def test_random_programs_agree_where_every_rule_with_a_rival_has_a_veto(architecture, program):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rule_logits, "HIGHEST", 1)
        assert_agreement(compiled(program, architecture, tokens="one-hot"), **FEWER)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=sweep(50))
@given(program=CROWDED)
def test_programs_of_many_rules_over_few_tokens_agree(architecture, program):
    assert_agreement(compiled(program, architecture))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=sweep(100))
@given(program=SMALL)
def test_programs_of_one_or_two_positions_agree(architecture, program):
    assert_agreement(compiled(program, architecture))


@settings(max_examples=10)
@given(PROGRAMS)
def test_random_programs_agree_when_compiled_by_default(program):
    assert_agreement(program, **FEWER)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@settings(max_examples=20)
@given(program=PROGRAMS)
def test_random_programs_agree_in_other_dtypes(dtype, program):
    assert_agreement(compiled(program, "gpt2", dtype=dtype), **FEWER)


AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def planted(source: Compiled, tensor: str, index: tuple[int, ...], number: float) -> Compiled:
    """The same model with one weight that is wrong."""
    tensors = {name: array.copy() for name, array in source.model.tensors.items()}
    assert tensors[tensor][index] != number
    tensors[tensor][index] = number
    return replace(source, model=replace(source.model, tensors=tensors))


def nonzero(source: Compiled, tensor: str) -> list[tuple[int, ...]]:
    return [tuple(index) for index in np.argwhere(source.model.tensors[tensor]).tolist()]


def answer(source: Compiled, context: tuple[str, ...]) -> str:
    ids = source.model.vocabulary.ids(context)
    return source.model.vocabulary.tokens[int(source.model.forward([ids])[0, -1].argmax())]


def test_a_planted_wrong_weight_is_caught_and_shown_on_its_shortest_context():
    right = compiled(AAB, "block")
    (row, column), *_ = nonzero(right, "h.0.mlp.c_proj.weight")
    wrong = planted(right, "h.0.mlp.c_proj.weight", (row, column), 0.0)
    assert_agreement(right)
    with pytest.raises(AssertionError, match="they disagree after 'aa':") as caught:
        assert_agreement(wrong)
    assert "the rules mean      b" in str(caught.value)
    assert "the ideal circuits  b" in str(caught.value)
    assert "the forward pass    a" in str(caught.value)


def test_a_planted_wrong_weight_shrinks_to_a_small_context():
    right = compiled(AAB, "block")
    (row, column), *_ = nonzero(right, "h.0.mlp.c_proj.weight")
    wrong = planted(right, "h.0.mlp.c_proj.weight", (row, column), 0.0)
    smallest = find_smallest(
        contexts(AAB), lambda context: answer(wrong, context) != AAB.meaning(context)
    )
    assert smallest == ("a", "a")


EDGES = [  # the first position has nothing else to attend to, and nothing looks back at the last
    "position 0 -> query match 1",
]


@pytest.mark.parametrize(
    ("positions", "tensor", "harmless"),
    [
        ("one-hot", "wte.weight", []),
        ("one-hot", "h.0.attn.c_attn.weight", EDGES),
        ("one-hot", "h.0.attn.c_proj.weight", []),
        ("one-hot", "h.0.mlp.c_fc.weight", []),
        ("one-hot", "h.0.mlp.c_proj.weight", []),
        ("auto", "wte.weight", []),
        ("auto", "h.0.attn.c_attn.weight", []),
        ("auto", "h.0.attn.c_proj.weight", []),
        ("auto", "h.0.mlp.c_fc.weight", []),
        ("auto", "h.0.mlp.c_proj.weight", []),
    ],
)
def test_every_weight_that_matters_is_caught_when_its_sign_is_wrong(positions, tensor, harmless):
    right = compile_program(AAB, architecture="block", positions=positions)
    assert nonzero(right, tensor)
    uncaught = []
    for index in nonzero(right, tensor):
        wrong = planted(right, tensor, index, -float(right.model.tensors[tensor][index]))
        try:
            assert_agreement(wrong)
        except AssertionError:
            continue
        uncaught.append(right.placement.tensors[tensor].describe(index))
    assert uncaught == harmless


@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_a_compiler_that_forgets_the_first_rule_is_caught_on_a_small_program():
    caught: list[Program] = []

    @settings(max_examples=sweep(100), database=None, derandomize=True)
    @given(PROGRAMS)
    def forgetful(program):
        kept = program.rules[1:] or program.rules
        forgotten = Program(program.vocabulary, program.context, kept)
        made = replace(compiled(forgotten, "block"), source=program)
        try:
            assert_agreement(made, every_up_to=1_000, sample=1_000)
        except AssertionError:
            caught.append(program)
            raise

    with pytest.raises(AssertionError, match=r"they disagree after '\w'"):
        forgetful()
    smallest = caught[-1]
    assert (len(smallest.rules), len(smallest.vocabulary), smallest.reach) == (2, 2, 1)


def test_wrong_circuits_are_distinguished_from_wrong_weights():
    other = Program("ab", 5, [predict("b").after("ab"), predict("a").otherwise()])
    with pytest.raises(AssertionError) as caught:
        assert_agreement(replace(compiled(AAB, "block"), source=other))
    assert "the rules mean      a" in str(caught.value)
    assert "the ideal circuits  b" in str(caught.value)
    assert "the forward pass    b" in str(caught.value)


def test_a_model_that_answers_the_padding_token_is_caught():
    right = compiled(AAB, "gpt2")
    gains = np.zeros_like(right.model.tensors["ln_f.weight"])
    tensors = {**right.model.tensors, "ln_f.weight": gains}
    tensors["ln_f.bias"] = -right.model.tensors["wte.weight"][:2].sum(axis=0)
    wrong = replace(right, model=replace(right.model, tensors=tensors))
    with pytest.raises(AssertionError, match="they disagree after 'a'"):
        assert_agreement(wrong)
