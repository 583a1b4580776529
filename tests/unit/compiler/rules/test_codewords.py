"""Tokens as signed bits: what is read and written, when it is chosen, and what is refused."""

from __future__ import annotations

import random
from itertools import product
from math import log

import numpy as np
import pytest

from handcraft import Compiled, Program, compile_program, predict, save
from handcraft.circuits import Encoding
from handcraft.compiler.rules import coded_rules, plan_rules
from handcraft.errors import CompileError, LayoutError, LimitError
from handcraft.language.patterns import coverage
from handcraft.testing import assert_agreement
from handcraft.verify import check_facts, logit_margins
from handcraft.weights import Sizes
from handcraft.weights.place_norms import NATS

LETTERS = "abcdefghijklmnopqrstuvwxyz"
RULES = [
    predict("c").after("start ab"),
    predict("d").after("ab"),
    predict("b").after("a.[^b]"),
    predict("e").after("[bc]"),
    predict("a").otherwise(),
]
ONE_RULE = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
FIVE = Program("abcde", 5, RULES)


def trigrams(rules: int, words: int, context: int = 6) -> Program:
    """Rules that predict a word after two words, all pairs different."""
    chosen = random.Random(0)
    names = [f"w{i}" for i in range(words)]
    pairs = chosen.sample(range(words**2), rules)
    made = [
        predict(chosen.choice(names[1:])).after(f"{names[p // words]} {names[p % words]}")
        for p in pairs
    ]
    return Program(names, context, [*made, predict(names[0]).otherwise()])


def encodings(compiled: Compiled) -> dict[str, Encoding]:
    tables = [table.subspace for table in compiled.circuits.embedding if table.of == "token"]
    return {subspace.name: subspace.encoding for subspace in tables}


def neurons(program: Program, **options) -> int:
    found = compile_program(program, tokens="binary", n_positions=program.context, **options)
    return sum(len(block.neurons) for block in found.circuits.blocks)


def test_every_rule_takes_one_neuron_and_every_class_as_many_as_its_cubes():
    assert neurons(trigrams(50, 20)) == 50
    assert neurons(Program("abcd", 3, [predict("b").after("[ab]"), predict("a").otherwise()])) == 1
    assert neurons(Program("abcd", 3, [predict("b").after("[bc]"), predict("a").otherwise()])) == 2


@pytest.mark.parametrize("program", [trigrams(60, 40), FIVE, Program("ab", 5, RULES[-1:])])
def test_of_all_encodings_of_tokens_the_smallest_model_is_taken(program):
    sizes = {
        tokens: compile_program(program, tokens=tokens).model.parameters
        for tokens in ("auto", "one-hot", "binary")
    }
    assert sizes["auto"] <= min(sizes.values())


def test_many_tokens_are_bits_and_few_are_not():
    many, few = compile_program(trigrams(60, 40)), compile_program(ONE_RULE)
    assert encodings(many)["token"] is Encoding.SIGNED_BITS
    assert Encoding.SIGNED_BITS not in encodings(few).values()


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_tokens_are_encoded_as_requested(architecture):
    feature = compile_program(FIVE, tokens="binary", architecture=architecture)
    assert encodings(feature)["token"] is Encoding.SIGNED_BITS
    with pytest.raises(LayoutError, match="residual stream needs"):
        compile_program(
            trigrams(60, 40), tokens="one-hot", architecture=architecture, sizes=Sizes(n_embd=36)
        )


def test_an_encoding_of_tokens_that_there_is_not_is_refused():
    with pytest.raises(CompileError, match="no encoding of tokens 'unary'") as caught:
        compile_program(FIVE, tokens="unary")
    assert "auto, one-hot, binary" in caught.value.fix


def test_a_rule_that_takes_too_many_neurons_is_refused(monkeypatch):
    monkeypatch.setattr(coded_rules, "MOST_NEURONS", 8)
    rules = [predict("b").after("[^a][^z][ace]"), predict("a").otherwise()]
    with pytest.raises(
        LimitError, match=r"predict b after \[\^a\]\[\^z\]\[ace\]` takes 30 neurons"
    ) as caught:
        compile_program(Program(LETTERS, 5, rules), tokens="binary", architecture="block")
    assert "one after the other in the vocabulary" in caught.value.fix


def test_a_stream_that_is_too_narrow_for_bits_too_is_refused():
    with pytest.raises(LayoutError, match="residual stream needs"):
        compile_program(trigrams(60, 40), sizes=Sizes(n_embd=24, n_head=3))


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(n_embd=96, n_head=3)], ids=["as it fits", "wider"])
def test_every_norm_divides_by_a_power_of_two(sizes):
    found = compile_program(FIVE, tokens="binary", n_positions=5, sizes=sizes)
    assert {norm.sum_of_squares for norm in found.plan.norms if norm.is_read} == {found.layout.n_embd}
    for name in ("h.0.ln_1.weight", "h.0.ln_2.weight"):
        assert np.abs(found.model.tensors[name] - 1).max() < 1e-5
    check_facts(found)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_right_token_leads_by_the_promised_nats_padding_included(dtype):
    for program in (FIVE, Program("a", 2, [predict("a").otherwise()])):
        found = compile_program(program, tokens="binary", dtype=dtype, n_positions=program.context)
        texts = np.array(list(product(range(len(program.vocabulary)), repeat=program.context)))
        logits = found.model.forward(texts)
        meant = [[program.next_token(row[: n + 1]) for n in range(len(row))] for row in texts.tolist()]
        margins = logit_margins(logits.reshape(-1, logits.shape[-1]), np.array(meant).reshape(-1))
        assert margins.min() >= NATS


def test_programs_without_otherwise_are_right():
    rules = [predict("b").after("[ab]"), predict("a").after("c[cd]"), predict("c").after("[cd]")]
    for architecture in ("block", "gpt2"):
        assert_agreement(
            compile_program(Program("abcd", 4, rules), tokens="binary", architecture=architecture)
        )


def test_a_rule_behind_an_unconditional_one_stays_hidden_where_coverage_is_undecided(monkeypatch):
    monkeypatch.setattr(coverage, "NODE_LIMIT", 1)  # as for a program that is too entangled
    rules = [
        predict("a").after("bb"),
        predict("c").after("."),
        predict("b").after("ab"),
        predict("b").otherwise(),
    ]
    program = Program("abc", 3, rules)
    assert not program.coverage.is_complete
    for architecture in ("block", "gpt2"):
        assert_agreement(compile_program(program, tokens="binary", architecture=architecture))


def test_every_rule_is_the_origin_of_what_serves_it():
    found = compile_program(FIVE, tokens="binary")
    served = {
        origin.what
        for tensor in found.placement.tensors.values()
        for origins in tensor.origins.values()
        for origin in origins
    }
    assert {str(rule) for rule in FIVE.rules} <= served


SCALED = Sizes(n_embd=72, n_head=6)
"""A width whose MLPs have 288 hidden units."""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_three_layers_of_units_hold_as_many_rules(dtype):
    program = trigrams(3 * 288, 60)
    found = compile_program(program, dtype=dtype, sizes=SCALED, n_positions=16)
    assert set(encodings(found).values()) == {Encoding.SIGNED_BITS}
    assert [len(layer.units) for layer in found.plan.layers] == [288, 288, 288]
    check_facts(found)
    pairs = np.array(list(product(range(60), repeat=2)))
    behind = np.random.default_rng(0).integers(0, 60, size=(len(pairs), 9))
    meant = np.array([program.next_token(pair) for pair in pairs.tolist()])
    for texts in (pairs, np.hstack([behind, pairs])):
        margins = logit_margins(found.model.forward(texts)[:, -1], meant)
        assert margins.min() >= NATS


def test_units_are_single_only_where_two_do_not_fit():
    few = compile_program(trigrams(144, 60), sizes=SCALED, n_positions=16)
    more = compile_program(trigrams(145, 60), sizes=SCALED, n_positions=16)
    assert [len(layer.units) for layer in few.plan.layers] == [288]
    assert [len(layer.units) for layer in more.plan.layers] == [145]


def test_deep_models_are_not_narrow(monkeypatch):
    program = trigrams(2000, 60)
    narrow = compile_program(program, n_positions=6)
    monkeypatch.setattr(plan_rules, "DEEP", 1)
    wide = compile_program(program, n_positions=6)
    assert len(wide.plan.layers) < len(narrow.plan.layers) <= 12
    assert narrow.layout.n_embd < 64 == wide.layout.n_embd
    check_facts(wide)


def test_a_thousand_tokens_fit_in_sixty_dimensions():
    rules = [predict("w7").after("w998 w999"), predict("w999").after("w1"), predict("w0").otherwise()]
    program = Program([f"w{i}" for i in range(1000)], 4, rules)
    found = compile_program(program, tokens="binary", n_positions=4)
    assert found.layout.n_embd < 80 < log(1000) * 12
    assert found.complete("w998 w999", 2) == "w7 w0"
    assert found.complete("w5 w1", 1) == "w999"


TWO_RULES = Program(LETTERS, 5, [predict("b").after("aaa"), predict("b").after("bbb"), RULES[-1]])


@pytest.mark.parametrize(
    ("program", "n_embd", "best"), [(ONE_RULE, 8, 0), (TWO_RULES, 18, 1)], ids=["one-hot", "bits"]
)
def test_of_two_widths_that_are_too_small_the_smaller_one_is_advised(program, n_embd, best):
    asked = {"n_positions": 5, "sizes": Sizes(n_embd=n_embd)}
    needed = []
    for tokens in ("one-hot", "binary", "auto"):
        with pytest.raises(LayoutError, match="the residual stream needs") as caught:
            compile_program(program, tokens=tokens, **asked)
        needed.append(int(caught.value.what.split()[4]))
    assert needed[2] <= needed[best] < needed[1 - best]


def test_for_rules_that_bits_cannot_distinguish_the_needed_width_is_advised(monkeypatch):
    monkeypatch.setattr(coded_rules, "MOST_NEURONS", 2)
    rules = [predict("b").after("[ace]a"), predict("b").after("bb"), predict("a").otherwise()]
    program = Program(LETTERS, 5, rules)
    with pytest.raises(LayoutError, match=r"needs \d+ dimensions, but n_embd=20"):
        compile_program(program, n_positions=5, sizes=Sizes(n_embd=20))
    assert_agreement(compile_program(program, n_positions=5))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("n_positions", [5, 16, 40, None])
def test_models_compiled_with_any_options_can_be_saved_in_every_dtype(tmp_path, dtype, n_positions):
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    compiled = compile_program(program, dtype=dtype, n_positions=n_positions)
    assert save(compiled, tmp_path / "aab").is_dir()


def test_the_smallest_model_is_one_whose_norms_divide_by_what_was_planned(tmp_path):
    rules = [predict("ab"[i % 2]).after("a" * i) for i in range(8, 0, -1)]
    program = Program("ab", 8, [*rules, predict("b").otherwise()])
    assert save(compile_program(program), tmp_path / "two").is_dir()
