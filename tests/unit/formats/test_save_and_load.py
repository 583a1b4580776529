"""What is saved comes back to the last bit, and the same program gives the same bytes."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from handcraft import Program, Prompts, compile_program, compile_sequences, predict
from handcraft.circuits import ideal_next
from handcraft.errors import CheckpointError, HandcraftWarning, PrecisionError
from handcraft.formats import FORMATS, is_checkpoint, load, read_checkpoint, save
from handcraft.formats.manifest.read_manifest import parse_manifest
from handcraft.formats.tensors.tensor_file import read_tensors
from handcraft.formats.writers import WRITERS
from handcraft.language import write_rules
from handcraft.origin import Place
from handcraft.testing import rule_programs
from handcraft.verify import verify

compile_block = partial(compile_program, architecture="block")

PROGRAMS = Path(__file__).parents[3] / "programs"


def test_a_loaded_model_equals_the_saved_one_to_the_last_bit(source, format, dtype, tmp_path):
    model = compile_block(source, dtype=dtype).model
    found = load(save(compile_block(source, dtype=dtype), tmp_path / "out", format=format))
    assert found == model
    assert list(found.tensors) == list(model.tensors)
    for name, tensor in model.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype == dtype
        assert found.tensors[name].shape == tensor.shape
        assert found.tensors[name].tobytes() == tensor.tobytes()


def test_loading_warns_of_nothing(tmp_path):
    """What is wrong with the rules was said when they were compiled."""
    rules = [predict("a").after("a"), predict("b").after("aa"), predict("b").otherwise()]
    with pytest.warns(HandcraftWarning, match="can never fire"):
        program = Program("ab", 3, rules)
    folder = save(compile_block(program), tmp_path / "out")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        load(folder)
    assert [str(warning.message) for warning in seen] == []


@settings(max_examples=15)
@given(
    st.text(st.characters(), min_size=1, max_size=5).filter(str.strip),
    st.sampled_from(["huggingface", "onnx", "gguf"]),
)
@example("\udcff", "huggingface")
def test_any_name_of_a_file_and_of_an_expression_can_be_saved(name, format):
    """Names that are no UTF-8 hold halves of characters."""
    prompts = Prompts("ab", context=2)
    flag = (prompts.token == "a").named(name)
    rule = dataclasses.replace(predict("b").when(flag), place=Place(name, 1, 1))
    compiled = compile_program(Program(prompts=prompts, rules=[rule, predict("a").otherwise()]))
    with tempfile.TemporaryDirectory() as folder:
        saved = save(compiled, Path(folder) / "out", format=format)
        assert name in parse_manifest(saved)["source"]["written"][0]


def test_a_loaded_model_answers_as_the_saved_one(source, format, tmp_path):
    compiled = compile_block(source)
    found = load(save(compiled, tmp_path / "out", format=format))
    random = np.random.default_rng(0)
    ids = random.integers(0, found.shape.n_vocab, (50, found.shape.n_positions))
    np.testing.assert_array_equal(found.forward(ids), compiled.model.forward(ids))


def test_numbers_that_no_program_gives_come_back_too(compiled, format, dtype, tmp_path):
    """Tiny, huge, negative zero: whatever the dtype holds."""
    info = np.finfo(dtype)
    odd = [info.tiny, info.smallest_subnormal, info.max, info.min, -0.0, 1 / 3]
    shape, architecture = compiled.model.shape, compiled.model.architecture
    tensors = {name: np.zeros(sizes, dtype) for name, sizes in shape.tensors(architecture).items()}
    for tensor in tensors.values():
        tensor.reshape(-1)[: len(odd)] = odd[: tensor.size]
    changed = dataclasses.replace(compiled, model=dataclasses.replace(compiled.model, tensors=tensors))
    WRITERS[format](changed, None, tmp_path)
    for name, tensor in read_tensors(tmp_path, shape, architecture).items():
        assert tensor.tobytes() == tensors[name].tobytes()


def test_how_a_tensor_lies_in_memory_does_not_matter(compiled, format, tmp_path):
    tensors = {name: np.asfortranarray(tensor) for name, tensor in compiled.model.tensors.items()}
    changed = dataclasses.replace(compiled, model=dataclasses.replace(compiled.model, tensors=tensors))
    assert load(save(changed, tmp_path / "out", format=format)) == compiled.model


def test_the_rules_come_back_with_the_model(with_neurons, format, tmp_path):
    found = read_checkpoint(save(with_neurons, tmp_path / "out", format=format))
    assert isinstance(found.source, Program)
    assert write_rules(found.source) == write_rules(with_neurons.source)


def test_the_circuits_come_back_with_the_model(laid_out_by_hand, format, tmp_path):
    found = read_checkpoint(save(laid_out_by_hand, tmp_path / "out", format=format))
    ids = np.random.default_rng(0).integers(0, 2, (20, 5))
    np.testing.assert_array_equal(
        ideal_next(found.source, ids), ideal_next(laid_out_by_hand.circuits, ids)
    )


@given(program=rule_programs(max_tokens=4, max_context=5, max_rules=5))
@settings(max_examples=25, deadline=None)
def test_any_rule_program_survives_the_way_to_a_file_and_back(program):
    compiled = compile_block(program)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # of rules that are hidden
        found = read_checkpoint(save(compiled, Path(folder) / "out"))
    assert found.model == compiled.model
    assert verify(found.model, found.source).passed


@pytest.mark.parametrize("format", ["huggingface", "safetensors", "npz"])
def test_a_gpt2_comes_back_to_the_last_bit(source, format, tmp_path):
    compiled = compile_program(source, architecture="gpt2", n_positions=source.context)
    found = read_checkpoint(save(compiled, tmp_path / "out", format=format))
    assert found.model == compiled.model
    assert load(tmp_path / "out") == compiled.model


def test_weights_that_answer_wrongly_are_not_written(compiled, tmp_path):
    name = "h.0.attn.c_proj.weight"
    tensors = {**compiled.model.tensors, name: -compiled.model.tensors[name]}
    wrong = dataclasses.replace(compiled, model=dataclasses.replace(compiled.model, tensors=tensors))
    with pytest.raises(PrecisionError):
        save(wrong, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_other_readers_find_the_tensors_by_their_gpt2_names(compiled, tmp_path):
    by_safetensors = load_file(save(compiled, tmp_path / "s") / "model.safetensors")
    with np.load(save(compiled, tmp_path / "n", format="npz") / "model.npz") as archive:
        by_numpy = {name: archive[name] for name in archive.files}
    assert sorted(by_safetensors) == sorted(by_numpy) == sorted(compiled.model.tensors)
    for name, tensor in compiled.model.tensors.items():
        np.testing.assert_array_equal(by_safetensors[name], tensor)
        np.testing.assert_array_equal(by_numpy[name], tensor)


def test_safetensors_say_that_they_are_for_pytorch(compiled, tmp_path):
    data = (save(compiled, tmp_path / "out") / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["__metadata__"]["format"] == "pt"


def test_a_folder_contains_only_the_tensors_and_what_is_said_of_them(compiled, tmp_path):
    names = {path.name for path in save(compiled, tmp_path / "s").iterdir()}
    assert names == {"certificate.json", "handcraft.json", "model.safetensors"}
    names = {path.name for path in save(compiled, tmp_path / "n", format="npz").iterdir()}
    assert names == {"handcraft.json", "model.npz"}


def test_saving_gives_back_the_folder_and_takes_a_string(compiled, tmp_path):
    assert save(compiled, str(tmp_path / "out")) == tmp_path / "out"
    assert load(str(tmp_path / "out")) == compiled.model


def test_missing_folders_on_the_way_are_made(compiled, tmp_path):
    assert load(save(compiled, tmp_path / "a" / "b" / "out")) == compiled.model


def test_the_files_can_be_read_by_others(compiled, tmp_path, format):
    folder = save(compiled, tmp_path / "out", format=format)
    assert folder.stat().st_mode & 0o777 == 0o755
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o444 == 0o444


def test_an_unknown_format_is_refused_before_anything_is_written(compiled, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        save(compiled, tmp_path / "out", format="pickle")
    assert caught.value.what == "there is no format 'pickle'"
    assert caught.value.fix == f"use one of: {', '.join(FORMATS)}"
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_recognized_by_its_manifest(compiled, tmp_path):
    assert not is_checkpoint(tmp_path / "missing")
    assert not is_checkpoint(tmp_path)
    assert is_checkpoint(save(compiled, tmp_path / "out"))


def test_compiling_again_in_one_process_gives_the_same_bytes(source, format, tmp_path, everything_in):
    save(compile_block(source), tmp_path / "one", format=format)
    save(compile_block(source), tmp_path / "two", format=format)
    assert everything_in(tmp_path / "one") == everything_in(tmp_path / "two")


def test_an_npz_carries_no_time(compiled, tmp_path):
    with zipfile.ZipFile(save(compiled, tmp_path / "out", format="npz") / "model.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_no_file_contains_the_place_where_it_was_made(tmp_path, everything_in):
    program = Program("ab", 3, [predict("b").after("a"), predict("a").otherwise()])
    save(compile_block(program), tmp_path / "out")
    here = str(Path(__file__).parent).encode()
    assert all(here not in data for data in everything_in(tmp_path / "out").values())


@pytest.mark.parametrize("of", ["token", "position"])
def test_values_that_take_no_head_and_no_neuron_are_saved(of, tmp_path):
    """Nothing is read behind a LayerNorm then, and the stream may be 0."""
    prompts = Prompts("abc", context=4)
    made = compile_sequences({"value": getattr(prompts, of)}, architecture="gpt2")
    folder = save(made, tmp_path / "values")
    assert load(folder) == made.model


def test_what_is_not_compiled_is_not_saved(tmp_path):
    program = Program("ab", 3, [predict("a").otherwise()])
    for wrong in (program, compile_program(program).model, str(tmp_path)):
        with pytest.raises(CheckpointError, match="is not a compiled program"):
            save(wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()
