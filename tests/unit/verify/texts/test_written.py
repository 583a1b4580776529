"""Allowed prompts that a program has written in: all of them, and none that it would not write."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from handcraft import Program, Prompts, Vocabulary, compile_program, predict, select, verify
from handcraft.architecture import BLOCK
from handcraft.errors import AssumptionError, CircuitError
from handcraft.model import Model
from handcraft.verify.meant import meant_in, oracle
from handcraft.verify.texts import written_part as written_module
from handcraft.verify.texts.allowed import drawn_texts, inputs_of
from handcraft.verify.texts.batch import Batch, batches_of
from handcraft.verify.texts.written_part import allowed_parts, following_in, written_from


def adding(digits, assumed=(-1, 0, 2, 3)):
    """Two numbers to base 3, the least significant digits first, of which the last one is 0.

    Like `programs/add.py`: what was written last tells the carry, so nothing is assumed of other texts.
    """
    width = digits + 1
    first = 2 * width + 2
    number = f"[012]{{{digits}}}0"
    prompts = Prompts("012+=", first + width, inputs=rf"={number}\+{number}=", writes=width)
    digit = prompts.token.map({"0": 0, "1": 1, "2": 2}, default=0)

    def back(places):
        there = prompts.position.map(lambda here: here - places if here >= first else 0)
        return select(prompts.position, there).latest(digit, default=0)

    before = back(2 * width + 2) + back(width + 1) - back(0)
    carry = before.assume(assumed) >= 2
    total = (back(2 * width + 1) + back(width) + carry) % 3
    return Program(prompts=prompts, rules=[predict(total.map(str)).otherwise()])


def answer(question):
    """The sum in plain Python."""
    a, b = (int(number[::-1], 3) for number in question.strip("=").split("+"))
    return "".join(str((a + b) // 3**place % 3) for place in range(question.index("+") - 1))


def allowed_sums(digits):
    """All allowed prompts of `adding`, in plain Python."""
    numbers = ["".join(each) + "0" for each in product("012", repeat=digits)]
    questions = [f"={a}+{b}=" for a in numbers for b in numbers]
    return [text + answer(text)[:length] for text in questions for length in range(digits + 1)]


def contexts_of(program, written):
    """The texts of all contexts that are tried, in the order in which they are."""
    tokens = program.vocabulary.tokens
    return [
        program.vocabulary.join(tokens[token] for token in text[:length])
        for each in written
        for text in each.texts.tolist()
        for length in range(each.shortest, len(text) + 1)
    ]


def every_prompt(program, following=None):
    inputs = iter(inputs_of(program.prompts))
    return written_from(program.prompts, inputs, following or following_in(program))


def test_all_allowed_prompts_are_tried_once_each():
    program = adding(1)
    assert sorted(contexts_of(program, every_prompt(program))) == sorted(allowed_sums(1))
    model = compile_program(program, architecture="block").model
    report = verify(model, program)
    assert (report.passed, report.is_exhaustive, report.only_allowed) == (True, True, True)
    assert report.tried == report.contexts == len(allowed_sums(1)) == 18


def test_a_model_writes_what_its_program_means():
    program = adding(1)
    model = compile_program(program, architecture="block").model
    assert contexts_of(program, every_prompt(program, following_in(model))) == contexts_of(
        program, every_prompt(program)
    )


def test_allowed_prompts_of_more_are_drawn_with_what_is_written_in_them():
    program = adding(8)
    inputs = drawn_texts(program.prompts, 300, seed=1)
    texts = contexts_of(program, written_from(program.prompts, inputs, following_in(program)))
    assert len(set(texts)) == len(texts)
    assert 260 < len(texts) <= 306  # 34 questions with 9 tokens each, but for those drawn twice
    for text in texts:
        start = text.rindex("=") + 1
        assert answer(text[:start]).startswith(text[start:])
    report = verify(compile_program(program, architecture="block").model, program, sample=300, seed=1)
    assert (report.passed, report.is_exhaustive, report.tried) == (True, False, len(texts))


def test_ideal_circuits_judge_the_same_prompts():
    program = adding(1)
    for optimize in (False, True):
        compiled = compile_program(program, optimize=optimize)
        report = verify(compiled.model, compiled.circuits, prompts=program.prompts)
        assert (report.passed, report.is_exhaustive, report.tried) == (True, True, 18)


def test_an_assumption_need_hold_only_of_what_the_program_writes():
    program = adding(1)
    with pytest.raises(AssumptionError):
        program.trace("=00+10=0")  # 0 + 1 is 1, or 2 with a carry
    assert verify(compile_program(program, architecture="block").model, program).passed


def test_an_assumption_that_what_is_written_breaks_is_named():
    program = adding(1, assumed=(0, 2, 3))  # not -1, which a carry of before leaves
    model = compile_program(program, architecture="block").model
    assert verify(
        model, program
    ).passed  # one digit each: no carry comes in where the assumption is read
    program = adding(2, assumed=(0, 2, 3))
    model = compile_program(program, architecture="block").model
    report = verify(model, program)
    assert not report.passed
    assert report.failures[0].broken is not None
    assert "is -1 at position" in report.failures[0].broken
    assert "0 2 3 is assumed" in report.failures[0].broken
    broken = {text for text in allowed_sums(2) if breaks(program, text)}
    first = {text for text in broken if text[:-1] not in broken}
    assert report.failed == len(first)
    assert {failure.context for failure in report.failures} <= first


def breaks(program, text):
    try:
        program.trace(text)
    except AssumptionError:
        return True
    return False


@pytest.fixture(scope="module")
def wrong():
    """A model of `adding` that answers one allowed prompt wrongly, in the middle of its answer."""
    program = adding(2)
    told = predict("2").after("=210+110=0")
    other = Program(prompts=program.prompts, rules=[told, *program.rules])
    assert answer("=210+110=") == "001"  # 5 + 4 is 9
    return program, compile_program(other, architecture="block")


def test_a_wrong_token_is_found_and_nothing_is_tried_behind_it(wrong):
    program, compiled = wrong
    for source in (program, compile_program(program, architecture="block").circuits):
        report = verify(compiled.model, source, prompts=program.prompts)
        assert report.failed == 1
        (failure,) = report.failures
        assert (failure.context, failure.expected, failure.answered) == ("=210+110=0", "0", "2")
        assert failure.broken is None
        assert report.tried == len(allowed_sums(2)) - 1


def test_circuits_are_not_run_after_a_wrong_token():
    """They may fail there: one length after the other is asked, and no text that has gone wrong."""
    texts = np.array([[0, 1, 1], [0, 2, 1], [0, 1, 2]])
    batch = Batch.of_prefixes(texts, 1, np.zeros((3, 3, 3)))

    def meaning(asked):
        if any(2 in row[: asked.texts.shape[1]] for row in asked.texts.tolist()):
            raise CircuitError("2 is never written")
        return np.ones(len(asked), dtype=np.int64)

    allowed, expected = meant_in(batch, meaning)
    assert [allowed.context(i) for i in range(len(allowed))] == [
        [0], [0, 1], [0, 1, 1],
        [0],
        [0], [0, 1],
    ]  # fmt: skip
    assert expected.tolist() == [1] * 6


def test_circuits_that_fail_on_an_input_fail():
    batch = Batch.of_prefixes(np.array([[0, 1]]), 1, np.zeros((1, 2, 2)))

    def meaning(asked):
        raise CircuitError("this is never right")

    with pytest.raises(CircuitError):
        meant_in(batch, meaning)


def test_a_program_is_evaluated_once_for_all_prefixes_of_a_text(monkeypatch):
    program, asked = adding(2), []
    ask = Program.answers_at
    monkeypatch.setattr(Program, "answers_at", lambda *texts: asked.append(texts) or ask(*texts))
    texts = np.array([program.vocabulary.ids(f"=210+110={answer('=210+110=')}")])[:, :-1]
    batch = Batch.of_prefixes(texts, 9, np.zeros((1, texts.shape[1], 5)))
    assert program.vocabulary.text(oracle(program)(batch)) == "001"
    assert len(asked) == 1


# --- where a text begins with several inputs, or has no room -----------------------------------

WRITING = {
    "it writes inputs": (Prompts("ab", 7, inputs="a+", writes=3), "a"),
    "it writes an input now and then": (Prompts("abc", 7, inputs="[ab]*b", writes=4), "next"),
    "any text is one": (Prompts("ab", 5, inputs="[ab]+", writes=3), "next"),
    "some inputs leave no room": (Prompts("ab", 5, inputs="b|a{4}|[ab]{3}", writes=3), "next"),
    "words": (Prompts(["a", "ab", "b"], 5, inputs="a( ab)*", writes=3), "next"),
    "it writes the first token": (Prompts("<ab", 6, inputs="<[ab]?", bos="<", writes=4), "next"),
}


def saying(prompts, said):
    """A program that says the same, or the next token of the vocabulary."""
    tokens = prompts.vocabulary.tokens
    following = prompts.token.map(dict(zip(tokens, [*tokens[1:], tokens[0]], strict=True)))
    return Program(prompts=prompts, rules=[predict(following if said == "next" else said).otherwise()])


def by_definition(program):
    """Every allowed prompt: an input that leaves room for its answer, and a part of that."""
    prompts = program.prompts
    tokens = prompts.vocabulary.tokens
    room = prompts.context - prompts.writes + 1
    found = set()
    for text in (text for length in range(1, room + 1) for text in product(tokens, repeat=length)):
        if not prompts.is_input(text):
            continue
        for _ in range(prompts.writes):
            if prompts.bos is not None and prompts.bos in text[1:]:
                break
            found.add(prompts.vocabulary.join(text))
            ids = prompts.vocabulary.ids(text)
            text = (*text, prompts.vocabulary.token(program.next_token(ids)))
    return found


@pytest.mark.parametrize("case", WRITING.values(), ids=WRITING.keys())
def test_a_text_that_can_be_written_in_several_ways_is_tried_once(case):
    program = saying(*case)
    texts = contexts_of(program, every_prompt(program))
    assert sorted(texts) == sorted(by_definition(program))
    report = verify(compile_program(program, architecture="block").model, program)
    assert (report.passed, report.is_exhaustive, report.tried) == (True, True, len(texts))


@pytest.mark.parametrize("kept", [1, 1 << 24])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", WRITING.values(), ids=WRITING.keys())
def test_each_token_of_what_a_model_writes_runs_once(case, seed, kept, monkeypatch):
    """And what is judged is what the model answers to the whole text, where some end early too."""
    prompts, random = case[0], np.random.default_rng(seed)
    model = compile_program(saying(*case), architecture="block").model
    noisy = {name: each + random.normal(size=each.shape) for name, each in model.tensors.items()}
    model = replace(model, tensors=noisy)  # every answer rests on all tokens before it
    monkeypatch.setattr(written_module, "CACHED_UP_TO", kept)
    run, counted = Model._run, []
    with monkeypatch.context() as patch:
        patch.setattr(Model, "_run", lambda m, *a, **b: counted.append(a[0].size) or run(m, *a, **b))
        parts = allowed_parts(model, iter(inputs_of(prompts)), at_every_position=False)
        batches = [*batches_of(model, parts, prompts)]
    assert sum(counted) == sum(batch.texts.size for batch in batches)
    for batch in batches:
        whole = model.answer(batch.texts)[batch.rows, batch.places]
        np.testing.assert_allclose(batch.logits, whole, rtol=1e-9, atol=1e-9)


def test_what_is_written_after_inputs_that_no_automaton_matches_is_tried_too():
    prompts = Prompts("123", 7, inputs=r"(([123])(?!.*\2)){1,3}=?", writes=3)
    program = saying(prompts, "next")
    report = verify(compile_program(program, architecture="block").model, program)
    assert report.passed
    assert report.tried == len(by_definition(program))


def test_padding_is_not_written():
    """A wrong model may prefer an id that no token has: the text ends before it, and is wrong there."""

    class Padded:
        vocabulary = Vocabulary("ab")
        architecture = BLOCK.without_mask()  # nothing is kept of what was answered

        def answer(self, texts):
            best = np.where(texts == 0, 1, 2)  # after a comes b, after b comes padding
            return np.eye(3)[best]

    prompts = Prompts("ab", 5, inputs="a", writes=4)
    written = written_from(prompts, iter(inputs_of(prompts)), following_in(Padded()))
    assert [(each.texts.tolist(), each.shortest) for each in written] == [([[0, 1]], 1)]
