"""The names of tokens in Hugging Face folders: those of tokenizer.json, or their ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, compile_program, complete, predict
from handcraft.formats import load, save
from handcraft.formats.huggingface.read_repository import read_huggingface
from handcraft.formats.huggingface.tokenizer import tokenizer_json
from handcraft.vocabulary import Vocabulary

from .gpt2_folder import (
    CHARACTERS,
    PAD,
    good_gpt2,
    write_config,
    write_tensors,
    write_tokenizer,
)


@pytest.fixture
def folder(tmp_path):
    return good_gpt2(tmp_path)


IDS = ["#0", "#1", "#2", "#3"]
WORDS = {"type": "WhitespaceSplit"}
WORDS_AND_SIGNS = {"type": "Whitespace"}

NAMED = {
    "words": ({"the": 0, "cat": 1, "sat": 2, "on": 3}, WORDS, "the sat on", (0, 2, 3)),
    "words in another order": ({"the": 2, "cat": 3, "sat": 1, "on": 0}, WORDS, "the sat on", (2, 1, 0)),
    "words for some ids": ({"on": 3, "the": 0}, WORDS, "the on", (0, 3)),
    "a word that looks like the name of an id": ({"#1": 0, "on": 3}, WORDS, "#1 on", (0, 3)),
    "words and signs": ({"a": 0, "bc": 1, "--": 2}, WORDS_AND_SIGNS, "bc -- a", (1, 2, 0)),
    "characters": ({"a": 0, "b": 1, "c": 2, "d": 3}, CHARACTERS, "dab", (3, 0, 1)),
    "characters for some ids": ({"a": 2, "b": 1}, CHARACTERS, "ab", (2, 1)),
    "characters with blanks": ({"a": 0, " ": 1, "\n": 2, "d": 3}, CHARACTERS, "d a\n", (3, 1, 0, 2)),
    "characters beside marks": ({"a": 0, "b": 1, "<unk>": 2, "<s>": 3}, CHARACTERS, "ba", (1, 0)),
}


@pytest.mark.parametrize(("vocab", "splitter", "text", "ids"), NAMED.values(), ids=NAMED)
def test_text_is_read_by_the_names_of_tokenizer_json(folder, vocab, splitter, text, ids):
    write_tokenizer(folder, vocab, splitter)
    model = read_huggingface(folder)
    assert model.prompt_ids(text) == ids
    assert model.vocabulary.text(ids) == text


NAMELESS = {
    "a word that its splitter would split": ({"a": 0, "a-b": 1, "cd": 2}, WORDS_AND_SIGNS, {"a", "cd"}),
    "a word with a blank": ({"a b": 0, "cat": 1, "": 2, "on": 3}, WORDS, {"cat", "on"}),
    "a mark among characters": ({"a": 0, "b": 1, "<unk>": 2}, CHARACTERS, {"a", "b"}),
}


@pytest.mark.parametrize(("vocab", "splitter", "named"), NAMELESS.values(), ids=NAMELESS)
def test_what_no_text_holds_has_no_name(folder, vocab, splitter, named):
    write_tokenizer(folder, vocab, splitter)
    assert set(read_huggingface(folder).vocabulary.tokens) == named


OTHERWISE = {
    "bytes": {"pre_tokenizer": {"type": "ByteLevel"}},
    "no splitting": {"pre_tokenizer": None},
    "several steps": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [WORDS]}},
    "characters that are thrown away": {"pre_tokenizer": {**CHARACTERS, "behavior": "Removed"}},
    "nonsense": {"pre_tokenizer": [["x"], 3]},
    "small letters": {"normalizer": {"type": "Lowercase"}},
    "tokens around the text": {"post_processor": {"type": "TemplateProcessing"}},
    "byte pairs": {"model": {"type": "BPE", "vocab": {"ab": 0}, "merges": []}},
    "parts of words": {"model": {"type": "WordPiece", "vocab": {"ab": 0}}},
    "no model": {"model": None},
    "a name for a model": {"model": "WordLevel"},
    "no vocabulary": {"model": {"type": "WordLevel", "vocab": {}}},
    "words of one letter, which would be read without blanks": {
        "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}}
    },
}


@pytest.mark.parametrize("more", OTHERWISE.values(), ids=OTHERWISE)
def test_where_text_becomes_tokens_in_another_way_the_ids_are_the_names(folder, more):
    write_tokenizer(folder, {"ab": 0}, **more)
    assert list(read_huggingface(folder).vocabulary.tokens) == IDS


def test_without_a_tokenizer_the_ids_are_the_names(folder):
    model = read_huggingface(folder)
    assert list(model.vocabulary.tokens) == IDS
    answer = complete(model, "#3 #0 #3", 20).split()
    assert len(answer) == 20
    assert set(answer) <= set(IDS)


def test_added_tokens_have_names_too(folder):
    write_tokenizer(folder, {"a": 0, "bc": 1}, WORDS, added_tokens=[PAD])
    assert read_huggingface(folder).vocabulary.tokens == ("a", "bc", "<pad>")


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"pad_token_id": 3}, False),
        ({"pad_token_id": 3, "eos_token_id": None, "bos_token_id": 2}, False),
        ({"pad_token_id": 3, "eos_token_id": 3}, True),
        ({"pad_token_id": 3, "eos_token_id": [1, 3]}, True),
        ({"pad_token_id": 3, "bos_token_id": 3}, True),
        ({"pad_token_id": 2}, True),
        ({"pad_token_id": None}, True),
        ({"pad_token_id": "3"}, True),
    ],
)
def test_a_token_that_only_pads_has_no_name(folder, facts, named):
    write_config(folder, **facts)
    write_tokenizer(folder, {"the": 0, "cat": 1, "<pad>": 3}, WORDS)
    assert ("<pad>" in read_huggingface(folder).vocabulary) == named


def test_an_answer_without_a_name_is_shown_as_its_number(folder):
    ones = np.ones(8, np.float32)
    always = {
        "transformer__wte__weight": np.outer([0, 0, 1, 0], ones).astype(np.float32),
        "transformer__ln_f__weight": 0 * ones,
        "transformer__ln_f__bias": ones,
    }
    write_tensors(folder, **always)
    write_tokenizer(folder, {"a": 0, "b": 1}, CHARACTERS)
    assert complete(read_huggingface(folder), "ab", 3) == "<2><2><2>"


@pytest.mark.parametrize("vocabulary", ["ab", "the cat"])
def test_what_handcraft_wrote_is_read_as_by_handcraft(vocabulary, tmp_path):
    first, second = Vocabulary(vocabulary).tokens
    program = Program(vocabulary, 4, [predict(first).after(second), predict(second).otherwise()])
    save(compile_program(program), tmp_path / "out", format="huggingface")
    assert read_huggingface(tmp_path / "out") == load(tmp_path / "out")


@given(st.sets(st.sampled_from(["<unk>", "<unk1>", "<unk2>", "the", "<pad>"]), min_size=1))
def test_an_unknown_word_never_becomes_a_word_of_the_program(words):
    vocabulary = Vocabulary(sorted(words))
    ids = dict(zip(vocabulary.tokens, vocabulary.numbers, strict=True))
    unknown = tokenizer_json(vocabulary, {**ids, "pad": len(ids)}, "pad")["model"]["unk_token"]
    assert unknown not in ids
