"""Compiling: every stage is kept, every weight has its origin, and the bits are always the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from handcraft import Program, compile_program, parse_rules, predict
from handcraft.circuits import Circuits
from handcraft.circuits.number import evaluate
from handcraft.errors import ArchitectureError, CompileError, PrecisionError
from handcraft.testing import assert_agreement, rule_programs

PROGRAMS = Path(__file__).parents[3] / "programs"
AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def digest(compiled) -> str:
    found = hashlib.sha256()
    for name, tensor in compiled.model.tensors.items():
        found.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    return found.hexdigest()


ARCHITECTURES = ("block", "gpt2")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@given(program=rule_programs())
def test_the_same_program_gives_the_same_bits(architecture, program):
    one, other = (
        compile_program(program, architecture=architecture, n_positions=program.context)
        for _ in range(2)
    )
    assert digest(one) == digest(other)


def test_every_stage_is_kept():
    compiled = compile_program(AAB)
    assert compiled.source is AAB
    assert isinstance(compiled.circuits, Circuits)
    assert compiled.layout.subspaces == compiled.circuits.stream
    assert compiled.plan.circuits is compiled.circuits
    assert list(compiled.placement.tensors) == list(compiled.model.tensors)
    assert compiled.model.vocabulary.tokens[:2] == AAB.vocabulary.tokens


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=50)
@given(program=rule_programs())
def test_every_nonzero_weight_has_an_origin_and_every_origin_a_nonzero_weight(architecture, program):
    compiled = compile_program(program, architecture=architecture, n_positions=program.context)
    for name, tensor in compiled.model.tensors.items():
        placed = compiled.placement.tensors[name]
        nonzero = {tuple(index) for index in np.argwhere(tensor).tolist()}
        assert nonzero == set(placed.values) == set(placed.origins)
        for index in nonzero:
            assert compiled.origins(name, *index)
            assert tensor[index] == np.float32(float(evaluate(placed.values[index], {})))


def test_a_weight_that_is_0_serves_nothing():
    compiled = compile_program(AAB, architecture="block", positions="one-hot")
    zeros = np.argwhere(compiled.model.tensors["h.0.attn.c_attn.weight"] == 0)
    assert compiled.origins("h.0.attn.c_attn.weight", *zeros[0].tolist()) == ()


def test_the_weights_of_a_rule_name_the_rule_with_its_place():
    compiled = compile_program(AAB, architecture="block", positions="one-hot")
    tensor = compiled.placement.tensors["h.0.mlp.c_proj.weight"]
    assert {origin for of in tensor.origins.values() for origin in of} == {AAB.rules[0].origin}
    assert AAB.rules[0].origin.place.file == __file__


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_weights_have_the_requested_dtype(dtype):
    for architecture in ARCHITECTURES:
        compiled = compile_program(AAB, dtype=dtype, architecture=architecture, n_positions=5)
        assert {tensor.dtype.name for tensor in compiled.model.tensors.values()} == {dtype}
        assert_agreement(compiled)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("context", [5, 40])
def test_attention_is_exactly_hard(dtype, context, architecture):
    program = Program("ab", context, AAB.rules)
    compiled = compile_program(program, dtype=dtype, architecture=architecture, n_positions=context)
    pattern = compiled.trace("ab" * (context // 2))["h.0.attn.pattern"]
    assert set(np.unique(pattern)) == {0, 1}


def test_a_dtype_that_there_is_not_is_refused():
    with pytest.raises(PrecisionError, match="cannot be of the type 'int8'"):
        compile_program(AAB, dtype="int8")


def test_an_architecture_that_there_is_not_is_refused():
    with pytest.raises(ArchitectureError, match="there is no architecture 'gpt9'"):
        compile_program(AAB, architecture="gpt9")


def test_text_and_python_give_the_same_bits():
    text = "vocabulary a b\ncontext 5\npredict b after aa\npredict a otherwise\n"
    assert digest(compile_program(parse_rules(text))) == digest(compile_program(AAB))


def test_a_compiled_program_completes():
    compiled = compile_program(AAB)
    assert compiled.complete("aab", 10) == "aabaabaaba"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_may_have_more_positions_than_the_program_needs(architecture):
    compiled = compile_program(AAB, architecture=architecture, n_positions=12)
    assert compiled.model.shape.n_positions == 12
    text = "abaabbaaabab"
    answers = compiled.model.forward([AAB.vocabulary.ids(text)])[0].argmax(axis=-1)
    meant = ["b" if text[:n].endswith("aa") else "a" for n in range(1, 13)]
    assert ["ab"[i] for i in answers] == meant


def test_fewer_positions_than_the_context_are_refused():
    with pytest.raises(CompileError, match="the context is 5 tokens, but n_positions=4") as caught:
        compile_program(AAB, n_positions=4)
    assert "n_positions=5" in caught.value.fix


def test_a_gpt2_has_1024_positions_by_default():
    assert compile_program(AAB, architecture="gpt2").model.shape.n_positions == 1024


def test_rules_that_cover_their_own_context_only_keep_it():
    rules = [predict("a").after("start ."), predict("b").after("start ..")]
    assert compile_program(Program("ab", 2, rules), architecture="gpt2").model.shape.n_positions == 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("text", ["aaa", "bbaaa", "aaaa", "aaab"])
@pytest.mark.filterwarnings("ignore:the text has:handcraft.HandcraftWarning")
def test_a_prompt_longer_than_the_context_is_answered_as_the_program_means(architecture, text):
    program = Program("ab", 3, [predict("b").after("start aaa"), predict("a").otherwise()])
    compiled = compile_program(program, architecture=architecture)
    assert compiled.complete(text, 1) == program.meaning(text)
