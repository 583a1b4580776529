"""A folder is refused whose tokenizer gives a token another id than the certificate does."""

from __future__ import annotations

import json

import pytest

from handcraft import Program, compile_program, predict
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


@pytest.fixture
def folder(tmp_path):
    compile_program(AAB).save(tmp_path / "aab")
    return tmp_path / "aab"


def change(folder, change_it):
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    change_it(data)
    path.write_text(json.dumps(data), "utf-8")


CHANGES = {
    "two ids swapped": lambda data: data["model"]["vocab"].update(a=1, b=0),
    "a token less": lambda data: data["model"]["vocab"].pop("b"),
    "true in place of 1": lambda data: data["model"]["vocab"].update(b=True),
    "a text in place of a number": lambda data: data["model"]["vocab"].update(b="1"),
    "a token added with another id": lambda data: data["added_tokens"].append(
        {"content": "a", "id": 2}
    ),
    "no table": lambda data: data["model"].update(vocab=[["a", 0.0], ["b", 0.0]]),
    "no model": lambda data: data.pop("model"),
    "an added token that is a list": lambda data: data["added_tokens"].append({"content": ["a"]}),
    "an added token that is no object": lambda data: data["added_tokens"].append("a"),
    "added tokens that are no list": lambda data: data.update(added_tokens={"a": 1}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_ids_are_refused(what, folder):
    change(folder, CHANGES[what])
    with pytest.raises(CheckError, match=r"id|table|array|content"):
        read_claim(folder)


TEXT = {"Sequence": {"id": "A", "type_id": 0}}
ADDED = {"SpecialToken": {"id": "a", "type_id": 0}}
OF_A = {"a": {"id": "a", "ids": [0], "tokens": ["a"]}}
PROCESSORS = {
    "in front": {"type": "TemplateProcessing", "single": [ADDED, TEXT], "special_tokens": OF_A},
    "behind": {"type": "TemplateProcessing", "single": [TEXT, ADDED], "special_tokens": OF_A},
    "as in BERT": {"type": "BertProcessing", "sep": ["a", 0], "cls": ["b", 1]},
    "in a sequence": {"type": "Sequence", "processors": []},
}


@pytest.mark.parametrize("where", PROCESSORS)
def test_a_tokenizer_that_adds_tokens_is_refused(where, folder):
    change(folder, lambda data: data.update(post_processor=PROCESSORS[where]))
    with pytest.raises(CheckError, match=r"front of a text is 0|end of a text|not known"):
        read_claim(folder)


@pytest.mark.parametrize(
    "processor", [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single": [TEXT]}]
)
def test_a_tokenizer_that_adds_nothing_is_read(processor, folder):
    change(folder, lambda data: data.update(post_processor=processor))
    assert read_claim(folder).token_ids.tolist() == [0, 1]


OTHER_TEXTS = {
    "normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"},
    "truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
    "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_id": 0, "pad_token": "a"},
}


@pytest.mark.parametrize("name", OTHER_TEXTS)
def test_a_tokenizer_that_changes_texts_is_refused(name, folder):
    change(folder, lambda data: data.update({name: OTHER_TEXTS[name]}))
    with pytest.raises(CheckError, match=f"{name} may change a text"):
        read_claim(folder)


def test_signs_in_place_of_spaces_are_known(folder):
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    both = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, space]}
    for normalizer in (space, both, None):
        change(folder, lambda data, n=normalizer: data.update(normalizer=n))
        assert read_claim(folder).token_ids.tolist() == [0, 1]


def test_ids_of_other_tokens_do_not_matter(folder):
    change(folder, lambda data: data["model"]["vocab"].update(unused=7))
    assert read_claim(folder).meaning.vocabulary == ("a", "b")


def test_a_key_that_occurs_twice_is_refused(folder):
    text = (folder / "tokenizer.json").read_text("utf-8")
    (folder / "tokenizer.json").write_text(text.replace('"b": 1', '"b": 1, "b": 0', 1), "utf-8")
    with pytest.raises(CheckError, match="occurs twice"):
        read_claim(folder)


def test_a_folder_needs_no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    assert read_claim(folder).token_ids.tolist() == [0, 1]
