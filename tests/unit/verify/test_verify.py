"""What verifying finds: right answers, wrong ones, and the smallest margin."""

from __future__ import annotations

import importlib
import json
import re
import warnings
from fractions import Fraction
from functools import partial
from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from sweeps import sweep
from sympy import Symbol

from handcraft import Program, compile_program, predict
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
    Neuron,
    bias,
    embed_position,
    embed_token,
    one_hot,
    project,
    scalar,
    value_map,
    window,
)
from handcraft.errors import ModelError
from handcraft.progress import listening
from handcraft.testing import rule_programs
from handcraft.verify import count_contexts, logit_margins, meant, verify
from handcraft.verify.meant import oracle
from handcraft.verify.tally import SHOWN
from handcraft.verify.texts.batch import Batch

compile_block = partial(compile_program, architecture="block")

verify_module = importlib.import_module("handcraft.verify.verify_model")


def all_contexts(program):
    size = range(len(program.vocabulary))
    return [ids for n in range(1, program.context + 1) for ids in product(size, repeat=n)]


def by_brute_force(model, program):
    """For every context: what it should be, and the margin of that, one forward pass each."""
    found = {}
    for ids in all_contexts(program):
        logits = model.forward([ids])[0, -1]
        right = program.next_token(ids)
        found[ids] = right, float(logits[right] - np.delete(logits, right).max())
    return found


def test_a_compiled_program_passes_on_every_context(model, program):
    report = verify(model, program)
    assert report.passed
    assert report.is_exhaustive
    assert report.seed is None
    assert report.contexts == report.tried == 3 + 9 + 27 + 81
    assert report.failed == 0
    assert report.failures == ()


def test_the_smallest_margin_is_that_of_brute_force(model, program):
    report = verify(model, program)
    margins = {ids: margin for ids, (_, margin) in by_brute_force(model, program).items()}
    assert report.margin == min(margins.values()) > 0
    assert margins[program.vocabulary.ids(report.margin_context)] == report.margin


def places(model):
    """A few nonzero weights of every tensor."""
    for name, tensor in model.tensors.items():
        for index in np.argwhere(tensor)[::5].tolist():
            yield name, tuple(index)


def test_every_planted_weight_is_judged_as_brute_force_judges_it(model, program, with_wrong_weight):
    found_some = False
    for name, index in places(model):
        wrong = with_wrong_weight(model, name, index, -float(model.tensors[name][index]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            truth = by_brute_force(wrong, program)
            report = verify(wrong, program)
        failing = [ids for ids, (_, margin) in truth.items() if not margin > 0]
        assert report.failed == len(failing), (name, index)
        assert report.passed == (not failing)
        assert report.margin == pytest.approx(min(margin for _, margin in truth.values()))
        assert {failure.context for failure in report.failures} <= {
            program.vocabulary.text(ids) for ids in failing
        }
        found_some |= bool(failing)
    assert found_some


@pytest.fixture
def broken(model, with_wrong_weight):
    """Predicts a never."""
    index = next(iter(np.argwhere(model.tensors["h.0.mlp.c_proj.bias"]).tolist()))
    return with_wrong_weight(model, "h.0.mlp.c_proj.bias", tuple(index), -1e6)


def test_a_failure_says_what_was_meant_and_what_was_answered(broken, program):
    report = verify(broken, program)
    assert not report.passed
    failure = report.failures[0]
    ids = program.vocabulary.ids(failure.context)
    logits = broken.forward([ids])[0, -1]
    assert failure.expected == program.meaning(failure.context) == "a"
    assert failure.answered == program.vocabulary.tokens[int(logits.argmax())] != "a"
    assert failure.margin == pytest.approx(float(logits[0] - logits[1:].max()))


def test_the_first_failures_are_kept_and_all_are_counted(broken, program):
    report = verify(broken, program)
    meant = [program.next_token(ids) for ids in all_contexts(program)]
    assert report.failed == meant.count(0) > SHOWN
    assert len(report.failures) == SHOWN
    assert len({failure.context for failure in report.failures}) == SHOWN


def test_the_first_failure_is_a_shortest_one(broken, program):
    shortest = min(
        len(ids) for ids, (_, margin) in by_brute_force(broken, program).items() if not margin > 0
    )
    assert len(verify(broken, program).failures[0].context) == shortest


def test_a_tie_is_a_failure(random_model, program):
    model = random_model(3, 4)
    for tensor in model.tensors.values():
        tensor[...] = 0
    report = verify(model, program)
    assert report.failed == report.tried
    assert report.margin == 0


def test_numbers_that_overflow_are_failures_and_not_passes(model, program, with_wrong_weight):
    wrong = with_wrong_weight(model, "wte.weight", (0, 0), 3e38)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        report = verify(wrong, program)
    assert not report.passed
    assert report.failed >= 1


def test_another_program_is_not_what_the_model_does(model, program):
    other = Program("abc", 4, [predict("b").after("cc"), *program.rules])
    report = verify(model, other)
    differing = [i for i in all_contexts(program) if program.next_token(i) != other.next_token(i)]
    assert report.failed == len(differing) > 0


def test_a_single_token_has_no_margin():
    program = Program("a", 3, [predict("a").otherwise()])
    report = verify(compile_block(program).model, program)
    assert report.passed
    assert report.margin == inf
    assert report.to_json()["smallest_margin"] is None
    assert report.margin_context


def test_progress_counts_up_to_all_contexts(model, program):
    told = []
    with listening(lambda _, tried, planned: told.append((tried, planned))):
        verify(model, program)
    assert {planned for _, planned in told} == {120}
    tried = [tried for tried, _ in told]
    assert tried == sorted(set(tried))
    assert tried[-1] == 120


# --- samples -----------------------------------------------------------------------------------


sampled = partial(verify, every_up_to=119)


def test_one_context_more_than_the_limit_makes_a_sample(model, program):
    assert verify(model, program, every_up_to=120, sample=5).is_exhaustive
    assert not verify(model, program, every_up_to=119, sample=5).is_exhaustive


def test_up_to_10_million_contexts_are_all_tried():
    assert verify_module.EXHAUSTIVE_UP_TO == 10_000_000


def test_a_sample_is_stated(model, program):
    report = sampled(model, program, sample=37, seed=5)
    assert report.passed
    assert (report.contexts, report.tried, report.seed) == (120, 37, 5)
    assert report.to_json()["exhaustive"] is False


def test_the_same_seed_gives_the_same_report(broken, program):
    assert sampled(broken, program, sample=37, seed=5) == sampled(broken, program, sample=37, seed=5)
    one, other = (sampled(broken, program, sample=37, seed=seed) for seed in (5, 6))
    assert one != other


def test_a_sample_finds_a_planted_weight(broken, program):
    report = sampled(broken, program, sample=100)
    assert not report.passed
    for failure in report.failures:
        assert failure.expected == program.meaning(failure.context) == "a"


def test_progress_counts_up_to_the_sample(model, program):
    told = []
    with listening(lambda _, tried, planned: told.append((tried, planned))):
        sampled(model, program, sample=37)
    assert told[-1] == (37, 37)


def test_positions_past_the_program_are_tried_too(program):
    model = compile_program(program, architecture="gpt2", n_positions=30).model
    report = verify(model, program)
    assert report.passed
    assert (report.contexts, report.tried, report.longest) == (120, 120, 4)
    assert report.longer == 27 * 27 * (30 - 4)  # windows of 6 tokens, since they are few
    assert (report.windows, report.windows_tried, report.window) == (27, 27, 3)


def test_a_weight_that_is_wrong_past_the_program_is_found(program, with_wrong_weight):
    model = compile_program(program, architecture="gpt2", n_positions=30).model
    place = tuple(np.argwhere(model.tensors["wpe.weight"][29])[0].tolist())
    wrong = with_wrong_weight(model, "wpe.weight", (29, *place), 1e4)
    report = verify(wrong, program)
    assert not report.passed
    assert all(len(failure.context) == 30 for failure in report.failures)


def test_a_program_of_long_contexts_is_sampled_by_itself():
    program = Program("abcde", 30, [predict("b").after("aa"), predict("a").otherwise()])
    report = verify(compile_block(program).model, program, sample=40)
    assert report.contexts == count_contexts(5, 30)
    assert report.tried == 40
    assert report.passed


# --- the oracle --------------------------------------------------------------------------------


def batch_of(contexts):
    texts = np.asarray(contexts)
    return Batch.of_texts(texts, np.zeros((len(texts), 1)))


@given(program=rule_programs(max_tokens=4, max_context=5))
@settings(max_examples=sweep(150), deadline=None)
def test_the_oracle_remembers_suffixes_without_changing_the_meaning(program):
    ask = oracle(program)
    for length in range(1, program.context + 1):
        contexts = np.array(list(product(range(len(program.vocabulary)), repeat=length)))
        expected = [program.next_token(tuple(context)) for context in contexts.tolist()]
        assert ask(batch_of(contexts)).tolist() == expected


def test_an_anchored_pattern_is_distinguished_from_the_same_tokens_later():
    program = Program("ab", 4, [predict("b").after("start aa"), predict("a").otherwise()])
    ask = oracle(program)
    assert ask(batch_of([[0, 0]])).tolist() == [1]
    assert ask(batch_of([[0, 0, 0], [1, 0, 0]])).tolist() == [0, 0]


def test_the_oracle_changes_no_context():
    program = Program("ab", 4, [predict("b").after("aa"), predict("a").otherwise()])
    contexts = np.array([[1, 0, 0, 1], [1, 1, 0, 0]])
    oracle(program)(batch_of(contexts))
    np.testing.assert_array_equal(contexts, [[1, 0, 0, 1], [1, 1, 0, 0]])


# --- circuits ----------------------------------------------------------------------------------


def counting(*, threshold=False, values=None):
    """How many a's are among the last two: circuits whose meaning only their interpreter knows."""
    scale = Symbol("s", positive=True)
    position, token, count = one_hot("position", range(3)), one_hot("token", "ab"), scalar("count")
    head = Head(
        "last two",
        attends=window(position, 2),
        moves=(value_map(token, {"a": 1, "b": -1}, into=count),),
        writes=(project(count, into=token, numbers={"b": 300 * scale}),),
    )
    neuron = Neuron(
        "is b",
        reads=(Coefficients(token, ((1, 1),)),),
        at_least=1,
        writes=(Coefficients(token, ((0, 600),)),),
    )
    return Circuits(
        "ab",
        3,
        embedding=[embed_position(position), embed_token(token)],
        scratch=[count],
        blocks=[
            Block(
                heads=(head,),
                attention_bias=(bias(token, {"a": Fraction(1, 2)}),),
                neurons=(neuron,) if threshold else (),
            )
        ],
        unembedding=token,
        values={"s": 1} if values is None else values,
    )


@pytest.mark.parametrize("numbers", [1, meant.NUMBERS])
def test_circuits_are_judged_by_their_ideal_interpreter(numbers, monkeypatch):
    monkeypatch.setattr(meant, "NUMBERS", numbers)  # with 1, text by text
    circuits = counting()
    report = verify(compile_block(circuits).model, circuits)
    assert report.tried == 2 + 4 + 8
    assert report.passed


def test_a_planted_weight_is_found_in_circuits_too(with_wrong_weight):
    circuits = counting()
    model = compile_block(circuits).model
    row, column = np.argwhere(model.tensors["h.0.attn.c_proj.weight"])[0].tolist()
    wrong = with_wrong_weight(model, "h.0.attn.c_proj.weight", (row, column), -300.0)
    report = verify(wrong, circuits)
    assert not report.passed
    assert report.failures[0].expected in ("a", "b")


def test_circuits_that_tie_answer_nothing():
    position, token = one_hot("position", range(2)), one_hot("token", "ab")
    circuits = Circuits(
        "ab",
        2,
        embedding=[embed_position(position), embed_token(token)],
        blocks=[Block(attention_bias=(bias(token, {"b": 1}),))],  # after a, both logits are 1
        unembedding=token,
    )
    report = verify(compile_block(circuits).model, circuits)
    assert report.failed == 3  # a, aa, ba
    assert {failure.context for failure in report.failures} == {"a", "aa", "ba"}
    assert {failure.expected for failure in report.failures} == {None}
    assert report.margin == -inf
    assert report.to_json()["smallest_margin"] is None


def test_a_neuron_may_read_what_a_symbol_was_written_into():
    circuits = counting(threshold=True)
    report = verify(compile_block(circuits).model, circuits)
    assert report.tried == 14


# --- reports -----------------------------------------------------------------------------------


def test_a_report_is_plain_data(broken, program):
    report = verify(broken, program)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["passed"] is False
    assert data["contexts"] == data["tried"] == 120
    assert data["exhaustive"] is True
    assert data["seed"] is None
    assert data["failed"] == report.failed
    assert data["smallest_margin"] == report.margin
    assert data["smallest_margin_context"] == report.margin_context
    assert len(data["failures"]) == len(report.failures)
    assert set(data["failures"][0]) == {
        "context",
        "position",
        "expected",
        "answered",
        "margin",
        "broken",
        "error",
    }


def test_margins_are_right_minus_best_wrong():
    logits = np.array([[1.0, 5.0, 3.0], [1.0, 5.0, 3.0], [2.0, 2.0, 0.0], [7.0, 8.0, 9.0]])
    margins = logit_margins(logits, np.array([1, 2, 0, -1]))
    np.testing.assert_array_equal(margins, [2.0, -2.0, 0.0, -inf])


def test_margins_change_no_logit():
    logits = np.array([[1.0, 5.0]])
    logit_margins(logits, np.array([0]))
    np.testing.assert_array_equal(logits, [[1.0, 5.0]])


def test_words_are_reported_with_blanks():
    program = Program("the cat sat", 2, [predict("sat").after("the cat"), predict("the").otherwise()])
    report = verify(compile_block(program).model, program)
    assert set(report.margin_context.split(" ")) <= {"the", "cat", "sat"}


def test_an_invalid_model_and_a_meaningless_program_are_reported(program):
    compiled = compile_program(program)
    for model, source, advice in (
        (compiled, program, "compiled.verify()"),
        (program, compiled.model, "the model comes first"),
        (compiled.model, compiled, "give the program or its circuits"),
    ):
        with pytest.raises(ModelError, match=re.escape(advice)):
            verify(model, source)
