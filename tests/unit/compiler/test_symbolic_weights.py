"""Symbolic weights: entries by name, logits as expressions, against the numbers that are run."""

from __future__ import annotations

import runpy
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given, settings

from handcraft import Program, compile_program, predict
from handcraft.circuits import (
    Block,
    Circuits,
    Head,
    copy,
    embed_position,
    embed_token,
    look_back,
    one_hot,
)
from handcraft.circuits.number import evaluate
from handcraft.errors import ModelError
from handcraft.testing import rule_programs
from handcraft.weights import emit

PROGRAMS = Path(__file__).parents[3] / "programs"
L = sympy.Symbol("L", positive=True)
AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


@pytest.fixture(scope="module")
def by_hand():
    source = runpy.run_path(str(PROGRAMS / "by_hand.py"))["circuits"]
    return compile_program(source, architecture="block")


@pytest.fixture(scope="module")
def aab():
    return compile_program(AAB, architecture="block", positions="one-hot", tokens="one-hot")


def test_c_attn_of_the_example_by_hand_is_known_entry_by_entry(by_hand):
    query = {
        (f"position {here}", f"query position {there}"): L
        for here in range(5)
        for there in (here - 1, here)
        if there >= 0
    }
    key = {(f"position {i}", f"key position {i}"): 1 for i in range(5)}
    value = {("token a", "value scratch"): 1, ("token b", "value scratch"): -1}
    assert by_hand.symbolic().c_attn().entries() == {**query, **key, **value}


def test_c_proj_of_the_example_by_hand_is_known_entry_by_entry(by_hand):
    symbolic = by_hand.symbolic()
    assert symbolic.c_proj().entries() == {
        ("value scratch", "token a"): -L,
        ("value scratch", "token b"): L,
    }
    assert symbolic.tensor("h.0.attn.c_proj.bias").entries() == {("token a", "bias"): L}


def test_the_embeddings_of_the_example_by_hand_are_known_entry_by_entry(by_hand):
    symbolic = by_hand.symbolic()
    assert symbolic.tensor("wte.weight").entries() == {(f"token {t}", f"token {t}"): 1 for t in "ab"}
    assert symbolic.tensor("wpe.weight").entries() == {
        (f"position {i}", f"position {i}"): 1 for i in range(5)
    }


def test_every_tensor_has_as_many_names_as_rows_and_columns(aab):
    for name, tensor in aab.model.tensors.items():
        named = aab.symbolic().tensor(name)
        shape = tensor.shape if tensor.ndim == 2 else (*tensor.shape, 1)
        assert (len(named.rows), len(named.columns)) == named.matrix.shape == shape


def test_c_attn_of_aab_reads_as_it_did(aab, golden):
    golden(str(aab.symbolic().c_attn()), "aab_c_attn.txt")


def test_a_tensor_of_zeros_says_so(aab):
    assert str(aab.symbolic().tensor("h.0.attn.c_attn.bias")) == "all 0"


def test_a_tensor_that_there_is_not_is_refused_with_those_there_are(aab):
    with pytest.raises(ModelError, match=r"no tensor 'h\.1\.attn\.c_attn\.weight'") as caught:
        aab.symbolic().c_attn(1)
    assert "h.0.attn.c_attn.weight" in caught.value.fix


def test_a_notebook_shows_the_matrix(by_hand):
    assert "L" in by_hand.symbolic().c_proj()._repr_latex_()


@settings(max_examples=30)
@given(rule_programs(max_context=5))
def test_the_symbolic_weights_are_the_emitted_weights_at_the_emitted_sharpness(program):
    compiled = compile_program(program, architecture="block")
    symbolic = compiled.symbolic()
    for name, tensor in compiled.model.tensors.items():
        placed = symbolic.placement.tensors[name].values
        assert len(placed) == np.count_nonzero(tensor)
        for index, number in placed.items():
            assert tensor[index] == evaluate(number, symbolic.values)


def test_the_hard_logits_of_the_example_are_those_computed_by_hand(by_hand):
    symbolic = by_hand.symbolic()
    found = [symbolic.logits("aabaa"[:n], attention="hard") for n in range(1, 6)]
    expected = [(1, L), (1, L), (L, 1), (L + 1, 0), (1, L)]
    assert found == [{"a": a, "b": b} for a, b in expected]


def test_the_soft_logits_of_two_tokens_are_those_computed_by_hand(by_hand):
    """After ab the scores are L/sqrt(8) for both: the mean is 0 exactly, however soft."""
    assert by_hand.symbolic().logits("ab") == {"a": L, "b": 1}


def test_the_soft_logits_of_three_tokens_are_those_computed_by_hand(by_hand):
    """After aab the first score is 0 and the two others L/sqrt(8): their a and b cancel."""
    mean = 1 / (1 + 2 * sympy.exp(L / sympy.sqrt(8)))
    found = by_hand.symbolic().logits("aab")
    assert sympy.simplify(found["a"] - (L - L * mean)) == 0
    assert sympy.simplify(found["b"] - (1 + L * mean)) == 0


@pytest.mark.parametrize("context", ["".join(c) for n in (1, 2, 3) for c in product("ab", repeat=n)])
def test_soft_logits_are_what_the_forward_pass_computes_where_attention_is_truly_soft(by_hand, context):
    model = replace(by_hand.model, tensors=emit(by_hand.placement, {"L": 2}, "float64"))
    numbers = model.forward([model.vocabulary.ids(context)])[0, -1]
    found = by_hand.symbolic().logits(context)
    assert [float(found[t].subs(L, 2)) for t in "ab"] == pytest.approx(numbers.tolist(), rel=1e-12)


@pytest.mark.parametrize("context", ["a", "aa", "ba", "aab"])
def test_soft_logits_of_rules_are_the_numbers_run_once_the_sharpness_is_emitted(context):
    compiled = compile_program(AAB, architecture="block", dtype="float64")
    symbolic = compiled.symbolic()
    numbers = compiled.model.forward([AAB.vocabulary.ids(context)])[0, -1]
    values = {symbolic.sharpness: symbolic.values[symbolic.sharpness.name]}
    found = [float(logit.subs(values).evalf(30)) for logit in symbolic.logits(context).values()]
    assert found == numbers.tolist()


def test_soft_logits_go_through_neurons():
    rules = [predict("b").after("aa"), predict("b").after("bb"), predict("a").otherwise()]
    compiled = compile_program(Program("ab", 2, rules), architecture="block", dtype="float64")
    assert compiled.model.shape.n_inner == (2,)
    symbolic = compiled.symbolic()
    for context in ("a", "ab", "bb"):
        numbers = compiled.model.forward([compiled.model.vocabulary.ids(context)])[0, -1]
        soft = symbolic.logits(context)
        values = {symbolic.sharpness: symbolic.values[symbolic.sharpness.name]}
        assert [float(n.subs(values).evalf(30)) for n in soft.values()] == numbers.tolist()


@pytest.mark.parametrize("context", ["a", "ab", "aab", "baa"])
def test_the_hard_logits_are_the_limit_of_the_soft_ones(by_hand, context):
    symbolic = by_hand.symbolic()
    soft, hard = symbolic.logits(context), symbolic.logits(context, attention="hard")
    for token in "ab":
        assert abs((soft[token] - hard[token]).subs(L, 10**4).evalf(50)) < 10**-40


def test_soft_logits_with_layer_norm_are_refused_and_hard_ones_are_not():
    symbolic = compile_program(AAB, architecture="gpt2", n_positions=5).symbolic()
    with pytest.raises(ModelError, match="softmax and a norm"):
        symbolic.logits("aa")
    hard = symbolic.logits("aa", attention="hard")
    assert hard["b"] > hard["a"]


def test_hard_logits_of_rules_are_plain_integers(aab):
    found = aab.symbolic().logits("baa", attention="hard")
    numbers = aab.model.forward([AAB.vocabulary.ids("baa")])[0, -1]
    assert [int(n) for n in found.values()] == numbers.tolist()
    assert all(n.is_Integer for n in found.values())


@pytest.mark.parametrize("context", ["", "aaaaaa"])
def test_a_context_that_does_not_fit_is_refused(aab, context):
    with pytest.raises(ModelError, match=f"a context of {len(context)} tokens"):
        aab.symbolic().logits(context)


def test_an_attention_that_there_is_not_is_refused(aab):
    with pytest.raises(ModelError, match="no 'firm' attention"):
        aab.symbolic().logits("a", attention="firm")


def test_the_symbol_of_an_open_sharpness_is_not_one_that_the_circuits_use():
    token, position = one_hot("token", "ab"), one_hot("position", range(3))
    other = one_hot("other", "ab")
    heads = (
        Head("open", look_back(position, 1), (copy(token, other),), (copy(other, other),)),
        Head("own", look_back(position, 1), (copy(token, other),), (copy(other, other),), sharpness=L),
    )
    source = Circuits(
        "ab",
        3,
        embedding=[embed_position(position), embed_token(token)],
        blocks=[Block(heads=heads)],
        unembedding=token,
        values={"L": 4096},
    )
    symbolic = compile_program(source, architecture="block").symbolic()
    assert symbolic.sharpness.name != "L"
    assert symbolic.values["L"] == 4096
    used = {symbol for n in symbolic.c_attn().entries().values() for symbol in n.free_symbols}
    assert used == {L, symbolic.sharpness}
