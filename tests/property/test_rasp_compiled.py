"""The programs of the RASP literature as weights: what the model computes is what they say."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from rasp_cases import CASES, meant, name, program, random_texts
from rasp_sequences import LABELS, sequences, texts
from sweeps import sweep

from handcraft import rasp
from handcraft.errors import DomainError, PrecisionError
from handcraft.rasp import library, tokens

each_case = pytest.mark.parametrize("number", range(len(CASES)), ids=name)
each_architecture = pytest.mark.parametrize("architecture", ["block", "gpt2"])


@lru_cache
def compiled(number: int, architecture: str) -> rasp.CompiledSequence:
    case = CASES[number]
    return rasp.compile(
        program(case),
        case["vocabulary"],
        case["max_length"],
        case["causal"],
        architecture=architecture,
    )


@each_architecture
@each_case
def test_a_compiled_program_computes_what_the_words_say(number, architecture):
    case, model = CASES[number], compiled(number, architecture)
    texts = random_texts(case, 200)
    assert model.apply(texts) == [meant(case, text) for text in texts]
    expected = rasp.evaluate(program(case), case["input"], causal=case["causal"])
    assert model.apply(case["input"]) == expected


@pytest.mark.parametrize("causal", [False, True])
def test_every_text_of_a_small_program(causal):
    shift = library.make_shift_by(1, tokens)
    model = rasp.compile(shift, "abc", 5, causal)
    texts = [list(text) for size in range(1, 6) for text in product("abc", repeat=size)]
    assert model.apply(texts) == [rasp.evaluate(shift, text, causal=causal) for text in texts]


def test_inputs_come_alone_or_together_or_padded():
    model = rasp.compile(library.make_shift_by(1, tokens), [1, 2, 3], max_length=4)
    assert model.apply([3, 1, 2]) == [None, 3, 1]
    assert model.apply((3, 1, 2)) == [None, 3, 1]
    assert model.apply([3, 1, None, None]) == [None, 3, None, None]
    assert model.apply([[3, 1, 2], [2], [1, 2]]) == [[None, 3, 1], [None], [None, 1]]
    assert model.apply([[3, 1, 2], [2, None, None]]) == [[None, 3, 1], [None, None, None]]
    assert model.apply(np.array([3, 1, 2])) == [None, 3, 1]
    assert model.apply(np.array([[3, 1], [2, 2]])) == [[None, 3], [None, 2]]
    words = rasp.compile(library.make_shift_by(1, tokens), ["a", "bc"], max_length=4)
    assert words.apply(["bc", "a"]) == [None, "bc"]


def test_a_report_says_what_the_model_is_made_of():
    model = rasp.compile(library.make_hist(), "abc", max_length=4)
    assert model.report() == model.compiled.report()
    assert model.report().parameters == model.compiled.model.parameters


@given(sequences, texts, st.booleans(), st.sampled_from(["block", "gpt2"]))
@settings(max_examples=sweep(100))
def test_random_programs_compute_what_their_expressions_mean(sequence, texts, causal, architecture):
    try:
        model = rasp.compile(sequence, LABELS, 4, causal, architecture=architecture)
    except (DomainError, PrecisionError):
        reject()
    inputs = [list(text) for text in texts if has_meaning(sequence, text, causal)]
    assert [model.apply(each) for each in inputs] == [model.built.trace(each) for each in inputs]


def has_meaning(sequence, text, causal):
    """Whether no labels that differ are put together."""
    try:
        rasp.evaluate(sequence, text, causal=causal)
    except DomainError:
        return False
    return True
