"""Allowed prompts: all of them where they can be listed, else some that are drawn at random."""

from __future__ import annotations

from importlib import import_module
from itertools import product

import numpy as np
import pytest
from hypothesis import strategies
from sweeps import sweep

from handcraft import Program, Prompts, Vocabulary, compile_program, predict, verify
from handcraft.errors import ProgramError, VocabularyError
from handcraft.progress import listening
from handcraft.verify.texts import allowed
from handcraft.verify.texts.allowed import drawn_prefixes, drawn_texts, inputs_of
from handcraft.verify.texts.batch import batches_of

# `handcraft.verify` also exports a function of that name, so the module is asked for by its own.
verify_module = import_module("handcraft.verify.verify_model")


def program_of(prompts):
    return Program(prompts=prompts, rules=[predict(prompts.vocabulary.tokens[0]).otherwise()])


def texts_of(batches, prompts):
    """Texts, given as places in the vocabulary: [text, position] for each length."""
    tokens = prompts.vocabulary.tokens
    return [tuple(tokens[place] for place in row) for rows in batches for row in rows.tolist()]


def allowed_texts(prompts):
    lengths = range(1, prompts.context + 1)
    texts = [t for n in lengths for t in product(prompts.vocabulary.tokens, repeat=n)]
    return {text for text in texts if prompts.allows(text)}


LISTED = {
    "a regular expression": Prompts("ab=", context=5, inputs="[ab]+=[ab]?"),
    "a first token": Prompts("ab<", context=4, bos="<"),
    "both": Prompts("ab<", context=4, inputs="<?[ab<]*", bos="<"),
    "both, with words": Prompts(["<s>", "a", "b"], context=4, inputs="<s>( [ab])*", bos="<s>"),
    "a first token that is a word": Prompts(["<s>", "a", "b"], context=3, bos="<s>"),
    "a first token alone": Prompts("<", context=3, bos="<"),
    "a first token that fills the context": Prompts("ab<", context=1, bos="<"),
    "words": Prompts("the cat sat", context=3, inputs="the( cat| sat)*"),
    "a lookahead": Prompts("abc", context=4, inputs="(?!b)[ab]+"),
    "a letter again": Prompts("abc", context=4, inputs=r"(a|b)c*\1"),
    "no letter twice": Prompts("abc", context=4, inputs=r"(?:(.)(?!.*\1))+"),
    "ends of lines": Prompts(["a", "\n"], context=3, bos="a"),
    "words that nobody knows": Prompts("0 1 2 3", context=3, inputs=r"\d\d?( \d)*"),
}


@pytest.mark.parametrize("prompts", LISTED.values(), ids=LISTED.keys())
def test_all_allowed_prompts_are_listed_once_each(prompts):
    found = texts_of(inputs_of(prompts), prompts)
    assert len(found) == len(set(found))
    assert set(found) == allowed_texts(prompts)


@pytest.mark.parametrize("prompts", LISTED.values(), ids=LISTED.keys())
def test_allowed_prompts_that_are_drawn_are_allowed_and_differ(prompts):
    found = texts_of(drawn_texts(prompts, 300, seed=0), prompts)
    assert len(found) == len(set(found)) > 0
    assert set(found) <= allowed_texts(prompts)


def test_about_as_many_are_drawn_of_each_length():
    prompts = Prompts("0123456789+=", 10, inputs="[0-9]{4,9}=")
    sizes = {rows.shape[1]: len(rows) for rows in drawn_texts(prompts, 600, seed=0)}
    assert set(sizes) == {5, 6, 7, 8, 9, 10}
    assert all(95 <= size <= 100 for size in sizes.values())


def test_a_seed_decides_what_is_drawn():
    prompts = Prompts("ab", 30, inputs="[ab]{30}")
    (one,), (again,), (other,) = (drawn_texts(prompts, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_ids_of_the_vocabulary_are_no_places():
    prompts = Prompts(Vocabulary("ab", ids=[7, 5]), context=2, inputs="ab?")
    assert texts_of(inputs_of(prompts), prompts) == [("a",), ("a", "b")]


def test_for_a_strategy_nothing_is_listed():
    assert inputs_of(Prompts("ab", 3, inputs=strategies.text("ab"))) is None


def test_what_cannot_be_listed_is_drawn_by_hypothesis(monkeypatch):
    most = sweep(allowed.BY_HYPOTHESIS)
    monkeypatch.setattr(allowed, "BY_HYPOTHESIS", most)
    prompts = Prompts("abc", 20, inputs=strategies.text("ab", min_size=1))
    found = texts_of(drawn_texts(prompts, 10 * most, seed=0), prompts)
    assert 100 < len(found) <= most
    assert all(prompts.allows(text) and "c" not in text for text in found)


def test_an_expression_that_forgets_its_first_token_is_drawn_from_all_the_same():
    prompts = Prompts("<abcdefghij", 30, inputs=".{30}", bos="<")
    found = texts_of(drawn_texts(prompts, 2_000, seed=0), prompts)
    assert found
    assert all(prompts.allows(text) for text in found)


def test_few_allowed_prompts_are_all_tried_among_however_many_contexts():
    program = program_of(Prompts("0123456789+=", 30, inputs=r"\d\+\d="))
    report = verify(compile_program(program, architecture="block").model, program)
    assert (report.tried, report.contexts, report.is_exhaustive) == (100, 100, True)


def test_many_allowed_prompts_are_sampled():
    program = program_of(Prompts("01", 30, inputs="[01]{20,}"))
    model = compile_program(program, architecture="block").model
    report = verify(model, program, sample=500, seed=3)
    assert not report.is_exhaustive
    assert (report.seed, report.only_allowed) == (3, True)
    assert 480 <= report.tried <= 500


def test_as_many_prompts_as_requested_are_all_tried(monkeypatch):
    monkeypatch.setattr(verify_module, "ALLOWED_UP_TO", 10)
    program = program_of(Prompts("01", 30, inputs="[01]{5}"))
    model = compile_program(program, architecture="block").model
    assert not verify(model, program, sample=31).is_exhaustive
    assert verify(model, program, sample=32).is_exhaustive
    assert not verify(model, program, sample=32, every_up_to=31).is_exhaustive


def test_progress_counts_up_to_the_allowed_prompts():
    program = program_of(Prompts("01", 30, inputs="[01]{5}"))
    told = []
    model = compile_program(program, architecture="block").model
    with listening(lambda _, tried, planned: told.append((tried, planned))):
        verify(model, program)
    assert told[-1] == (32, 32)


def test_a_wrong_answer_to_one_allowed_prompt_is_found():
    prompts = Prompts("ab=", 30, inputs="[ab]{8}=")
    told = predict("a").when(prompts.token.at_position(3, default="a") == "a")
    program = Program(prompts=prompts, rules=[told, predict("b").otherwise()])
    wrong = Program(prompts=prompts, rules=[predict("a").after("abbbbaba="), *program.rules])
    report = verify(compile_program(wrong, architecture="block").model, program)
    assert (report.tried, report.failed) == (256, 1)
    assert report.failures[0].context == "abbbbaba="


def test_without_a_mask_allowed_prompts_are_answered_at_their_ends():
    prompts = Prompts("ab", 30, inputs="[ab]{6}", causal=False)
    first = prompts.token.at(-5, default="a")
    program = Program(prompts=prompts, rules=[predict(first).otherwise()])
    report = verify(compile_program(program, architecture="block").model, program)
    assert (report.passed, report.tried) == (True, 64)


def test_where_no_text_is_allowed_that_is_an_error():
    for inputs in ("c+", "[ab]{40}", ""):
        program = program_of(Prompts("ab", 30, inputs=inputs))
        with pytest.raises(ProgramError, match="no text of up to 30 tokens is an allowed prompt"):
            verify(compile_program(program, architecture="block").model, program)


def test_unknown_words_that_an_expression_matches_are_no_prompts():
    prompts = Prompts([str(n) for n in range(60)], context=5, inputs=r"\d\d?( \d\d?)*")
    program = Program(prompts=prompts, rules=[predict("1").otherwise()])
    report = verify(compile_program(program).model, program)
    assert report.passed
    assert report.tried > 100


def test_a_strategy_that_makes_unknown_words_is_an_error():
    prompts = Prompts("ab", context=40, inputs=strategies.just(["c"]))
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    with pytest.raises(VocabularyError, match="'c' is not in the vocabulary"):
        verify(compile_program(program).model, program)


@pytest.mark.parametrize("prompts", [
    Prompts("<ab=", 7, inputs="<[ab]{1,3}=[ab]*"),
    Prompts("<ab=", 7, inputs="<(ab)+", bos="<"),
    Prompts("<ab=", 7, bos="<"),
], ids=["inputs", "both", "bos"])  # fmt: skip
def test_prefixes_that_are_allowed_are_drawn_once_with_their_texts(prompts):
    program = Program(prompts=prompts, rules=[predict(prompts.token).otherwise()])
    model = compile_program(program).model
    for batch in batches_of(model, drawn_prefixes(prompts, 300, seed=0)):
        contexts = [tuple(batch.context(i)) for i in range(len(batch))]
        assert len(set(contexts)) == len(contexts)
        texts = {tuple(text[:length]) for text in batch.texts.tolist() for length in range(1, 8)}
        allowed = {t for t in texts if prompts.allows([prompts.vocabulary.tokens[i] for i in t])}
        assert set(contexts) == allowed
        logits = [model.forward([context])[0, -1] for context in contexts]
        np.testing.assert_allclose(batch.logits, logits, rtol=1e-3, atol=1e-3)
