"""Files that other tools read are held against handcraft.json, key by key."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handcraft import Program, compile_program, predict, save
from handcraft.formats import verify_folder
from handcraft.formats.checkpoint import read_checkpoint
from handcraft.formats.huggingface.config_keys import CONFIG_KEYS, KEYS
from handcraft.formats.huggingface.disagreements import disagreements
from handcraft.vocabulary import Vocabulary

from .mutated_keys import is_named, mutations, parent_of, paths

FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")

MAY_BE_LEFT_OUT = {
    "config.json": {
        "activation_function": "gelu_new",
        "layer_norm_epsilon": "1e-5",
        "scale_attn_weights": "true",
        "scale_attn_by_inverse_layer_idx": "false",
        "tie_word_embeddings": "true",
        "n_inner": "4 * n_embd",
        "dtype": "that of the tensors",
    },
    "generation_config.json": {"bos_token_id": "null", "eos_token_id": "null"},
    "tokenizer.json": {},
    "tokenizer_config.json": {"add_prefix_space": "false"},
}
"""Keys that may be left out, and what they are then: the same."""


@pytest.fixture(scope="module", params=["ab", "the cat"])
def written(request, tmp_path_factory):
    first, second = Vocabulary(request.param).tokens
    rules = [predict(second).after(" ".join([f"[{first}]"] * 3)), predict(first).otherwise()]
    compiled = compile_program(Program(request.param, 3, rules), n_positions=6, positions="one-hot")
    return save(compiled, tmp_path_factory.mktemp("written") / "out")


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "out")


@pytest.mark.parametrize("name", FILES)
def test_any_other_value_of_any_key_is_named_unless_it_changes_nothing(folder, name):
    checkpoint, path = read_checkpoint(folder), folder / name
    record = json.loads(path.read_text())
    keys = CONFIG_KEYS["gpt2"] if name == "config.json" else KEYS[name]
    passed, count = [], 0
    for key, value, changed in mutations(record):
        path.write_text(json.dumps(changed))
        count += 1
        found, inert = disagreements(checkpoint), keys.inert.get(key[0])
        if value == "left out":
            is_harmless = inert is not None or key[0] in MAY_BE_LEFT_OUT[name]
        else:
            is_harmless = inert is not None and inert.allows(value)
        if is_harmless:
            assert found == ()
        elif not is_named(found, name, key):
            passed.append((key, value))
    assert passed == ([(("n_inner",), None)] if name == "config.json" else [])
    assert count > 10


def test_an_untouched_folder_agrees(folder):
    assert disagreements(read_checkpoint(folder)) == ()
    assert verify_folder(folder).passed


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b"\xff", b'{"a": 1, "a": 1}'], ids=repr)
def test_a_missing_or_damaged_file_is_a_failure(folder, name, data):
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    report = verify_folder(folder)
    assert not report.passed
    assert name in {found.file for found in report.disagreements}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(FILES))
def test_anything_in_any_place_is_judged_without_another_error(folder, data, name):
    path = folder / name
    whole = path.read_bytes()
    record = json.loads(whole)
    key = data.draw(st.sampled_from(list(paths(record))))
    scalar = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
    )
    value = data.draw(
        st.recursive(
            scalar,
            lambda s: st.lists(s, max_size=2) | st.dictionaries(st.text(), s, max_size=2),
            max_leaves=4,
        )
    )
    old = parent_of(record, key)[key[-1]]
    parent_of(record, key)[key[-1]] = value
    path.write_text(json.dumps(record))
    try:
        report = verify_folder(folder)
    finally:
        path.write_bytes(whole)
    is_equal = value == old and type(value) is type(old)
    assert report.passed is not is_named(report.disagreements, name, key)
    assert report.passed or not is_equal


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.json", "n_head", 1),
        ("config.json", "layer_norm_epsilon", 500),
        ("config.json", "scale_attn_weights", False),
        ("config.json", "activation_function", "relu"),
        ("config.json", "eos_token_id", 0),
        ("config.json", "hidden_size", 8),
        ("config.json", "torch_dtype", "float16"),
        ("config.json", "auto_map", {"AutoModelForCausalLM": "modeling.Other"}),
        ("generation_config.json", "eos_token_id", [0, 1]),
        ("generation_config.json", "repetition_penalty", 1.3),
        ("generation_config.json", "suppress_tokens", [0]),
        ("generation_config.json", "max_length", 5),
        ("tokenizer.json", "truncation", {"max_length": 2, "strategy": "LongestFirst", "stride": 0}),
        ("tokenizer_config.json", "padding_side", "right"),
    ],
)
def test_a_key_that_a_stranger_reads_otherwise_fails(folder, name, key, value):
    record = json.loads((folder / name).read_text())
    record[key] = value
    (folder / name).write_text(json.dumps(record))
    report = verify_folder(folder)
    assert not report.passed
    assert [(found.file, found.key) for found in report.disagreements] == [(name, key)]
    assert key in str(report.disagreements[0])


def test_swapped_ids_fail_and_are_judged_as_they_are_read(folder):
    record = json.loads((folder / "tokenizer.json").read_text())
    vocab = record["model"]["vocab"]
    first, second = [*vocab][:2]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    (folder / "tokenizer.json").write_text(json.dumps(record))
    report = verify_folder(folder)
    assert {found.key for found in report.disagreements} == {
        f"model.vocab.{t}" for t in (first, second)
    }
    assert report.tried > 0
    assert report.failed > 0


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "model.gguf",
        "adapter_config.json",
        "special_tokens_map.json",
    ],
)
@pytest.mark.parametrize("data", [b"{}", b"not JSON"])
def test_a_file_that_some_tool_would_read_instead_is_a_failure(folder, name, data):
    (folder / name).write_bytes(data)
    report = verify_folder(folder)
    assert [found.file for found in report.disagreements] == [name]
    assert not report.passed


def test_a_picture_beside_the_model_is_none(folder):
    (folder / "diagram.png").write_bytes(b"")
    assert verify_folder(folder).passed


def test_weights_that_say_no_format_fail(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"format":"pt"', b'"format":"np"'))
    assert [found.key for found in verify_folder(folder).disagreements] == ["__metadata__.format"]


@pytest.mark.parametrize("format", ["safetensors", "npz"])
def test_the_facts_that_handcraft_json_states_for_others_are_judged(compiled_block, tmp_path, format):
    folder = save(compiled_block, tmp_path / "out", format=format)
    path = folder / "handcraft.json"
    record = json.loads(path.read_text())
    assert verify_folder(folder).passed
    for key, value in {
        "activation": "gelu_tanh",
        "norm": "layer",
        "tied": False,
        "score_scale": 2.0,
    }.items():
        path.write_text(json.dumps({**record, "architecture": {**record["architecture"], key: value}}))
        assert [found.key for found in verify_folder(folder).disagreements] == [f"architecture.{key}"]


@pytest.fixture(scope="module")
def compiled_block():
    program = Program("ab", 3, [predict("b").after("a"), predict("a").otherwise()])
    return compile_program(program, architecture="block")
