"""A model without a causal mask is kept by some formats, and refused by those whose readers mask."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import handcraft.formats.write_folder
from handcraft import compile_program
from handcraft.architecture import GPT2
from handcraft.errors import CheckpointError
from handcraft.formats import load, read_checkpoint, save
from handcraft.formats.huggingface.write_repository import check_class

READERS = {"huggingface": "GPT2LMHeadModel", "raschka": "Raschka's GPTModel", "gguf": "llama.cpp"}


def unmasked(compiled):
    """The model of rules that look back by exact distances: no mask is needed for its answers."""
    architecture = compiled.model.architecture.without_mask()
    return replace(compiled, model=replace(compiled.model, architecture=architecture))


@pytest.fixture(params=["block", "gpt2"])
def compiled(request, with_neurons):
    program = with_neurons.source
    sizes = {"n_positions": program.context, "architecture": request.param}
    return unmasked(compile_program(program, **sizes))


def change_record(folder, change):
    path = folder / "handcraft.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def test_it_comes_back_without_mask(compiled, format, tmp_path):
    folder = save(compiled, tmp_path / "out", format=format)
    assert load(folder) == read_checkpoint(folder).model == compiled.model
    assert not load(folder).architecture.causal
    ids = np.random.default_rng(0).integers(0, 3, (20, 4))
    np.testing.assert_array_equal(load(folder).forward(ids), compiled.model.forward(ids))


def test_a_model_with_mask_comes_back_with_it(with_neurons, format, tmp_path):
    assert load(save(with_neurons, tmp_path / "out", format=format)).architecture.causal


def test_without_a_format_it_becomes_safetensors(compiled, tmp_path, everything_in):
    save(compiled, tmp_path / "out")
    names = {"certificate.json", "handcraft.json", "model.safetensors"}
    assert set(everything_in(tmp_path / "out")) == names


def test_the_manifest_states_that_there_is_no_mask(compiled, format, tmp_path):
    path = save(compiled, tmp_path / "out", format=format) / "handcraft.json"
    assert json.loads(path.read_text(encoding="utf-8"))["architecture"]["causal"] is False


@pytest.mark.parametrize("odd", [None, 0, 1, "false", []])
def test_a_mask_that_is_neither_there_nor_not_is_refused(compiled, format, tmp_path, odd):
    folder = save(compiled, tmp_path / "out", format=format)
    change_record(folder, lambda record: record["architecture"].update(causal=odd))
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    wrong = f"architecture.causal: expected true or false, not {odd!r}"
    assert caught.value.what == f"handcraft.json is malformed: {wrong}"


@pytest.mark.parametrize("earlier", [False, True], ids=["no folder", "an earlier output"])
@pytest.mark.parametrize("reader", READERS)
def test_what_masks_refuses_it_before_anything_is_run_or_written(
    compiled, with_neurons, reader, earlier, tmp_path, everything_in, monkeypatch
):
    if earlier:
        save(with_neurons, tmp_path / "out")
    before = everything_in(tmp_path)
    monkeypatch.setattr(handcraft.formats.write_folder, "check_answers", None)  # must not be called
    with pytest.raises(CheckpointError) as caught:
        save(compiled, tmp_path / "out", format=reader)
    assert str(caught.value) == (
        f"CheckpointError: the model attends to later positions, and {READERS[reader]} always masks "
        "them\n"
        f"  where: the format {reader}\n"
        "  fix:   write format='safetensors', 'npz' or 'onnx'"
    )
    assert everything_in(tmp_path) == before


def test_the_writer_for_transformers_refuses_it_on_its_own():
    with pytest.raises(CheckpointError) as caught:
        check_class(GPT2.without_mask())
    assert str(caught.value) == (
        "CheckpointError: the model attends to later positions, and GPT2LMHeadModel masks them\n"
        "  fix:   write format='onnx', 'safetensors' or 'npz'"
    )
