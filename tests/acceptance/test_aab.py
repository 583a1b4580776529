"""The reference program, judged by its own meaning said again in plain Python."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from handcraft import Program, compile_program, predict
from handcraft.circuits import ideal_next
from handcraft.cli.input.sources import find
from handcraft.formats import load, save

CONTEXTS = ["".join(letters) for n in range(1, 6) for letters in product("ab", repeat=n)]


def meant(context: str) -> str:
    return "b" if context.endswith("aa") else "a"


TARGETS = [("block", "float32"), ("block", "float64"), ("gpt2", "float32")]


@pytest.fixture(scope="module", params=TARGETS, ids=" ".join)
def compiled(request):
    architecture, dtype = request.param
    return compile_program(find("aab").source, architecture=architecture, dtype=dtype)


def answer(model, context: str) -> str:
    """The token of the one highest logit; a tie is no answer."""
    logits = model.forward([model.vocabulary.ids(context)])[0, -1]
    best = np.flatnonzero(logits == logits.max())
    return model.vocabulary.token(int(best[0])) if len(best) == 1 else "a tie"


def test_there_are_62_contexts():
    assert len(set(CONTEXTS)) == 2 + 4 + 8 + 16 + 32 == 62


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_rules_mean_b_exactly_after_aa(context):
    assert find("aab").source.meaning(context) == meant(context)


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_weights_answer_b_exactly_after_aa(compiled, context):
    assert answer(compiled.model, context) == meant(context)


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_ideal_circuits_answer_b_exactly_after_aa(compiled, context):
    ids = compiled.circuits.vocabulary.ids(context)
    assert "ab"[ideal_next(compiled.circuits, [ids])[0, -1]] == meant(context)


@pytest.mark.parametrize("format", ["safetensors", "npz"])
def test_the_loaded_files_answer_b_exactly_after_aa(compiled, format, tmp_path):
    model = load(save(compiled, tmp_path / "aab", format=format))
    assert [answer(model, context) for context in CONTEXTS] == [meant(context) for context in CONTEXTS]


def test_27_of_27_tokens_of_the_aab_text_are_right(compiled):
    text = "aab" * 10
    right = [answer(compiled.model, text[:i][-5:]) == text[i] for i in range(2, 29)]
    assert len(right) == 27
    assert sum(right) == 27


def test_aab_goes_on_as_aabaabaaba(compiled):
    assert compiled.complete("aab") == "aabaabaaba"


def test_every_margin_of_the_bare_block_leaves_a_wrong_token_no_probability_in_float32():
    compiled = compile_program(find("aab").source, architecture="block")
    for context in CONTEXTS:
        logits = compiled.model.forward([compiled.model.vocabulary.ids(context)])[0, -1]
        *_, second, best = sorted(logits.tolist())
        assert np.exp(np.float32(second - best)) == 0


WORDS = "the cat dog sat ran"
WORD_CONTEXTS = [words for n in range(1, 4) for words in product(WORDS.split(), repeat=n)]


@pytest.fixture(scope="module")
def word_program():
    return Program(WORDS, 3, [predict("sat").after("the cat"), predict("the").otherwise()])


def test_sat_comes_after_the_cat_and_nowhere_else(word_program):
    model = compile_program(word_program, architecture="block").model
    for words in WORD_CONTEXTS:
        expected = "sat" if words[-2:] == ("the", "cat") else "the"
        assert word_program.meaning(words) == expected
        assert answer(model, " ".join(words)) == expected


def test_the_cat_sat_is_completed_with_blanks_between_words(word_program):
    assert compile_program(word_program).complete("the cat", 3) == "sat the the"
