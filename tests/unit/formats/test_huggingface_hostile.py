"""Hostile Hugging Face folders: nothing is run, nothing outside is read, no memory is wasted."""

from __future__ import annotations

import json
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft.errors import CheckpointError, HandcraftError
from handcraft.formats.huggingface.read_repository import read_huggingface

from .gpt2_folder import (
    CHARACTERS,
    CONFIG,
    FIRST,
    PAD,
    SHAPE,
    WEIGHTS,
    config,
    good_gpt2,
    header,
    link,
    shards,
    tensor,
    tensors,
    text,
    tokenizer,
    write_config,
    write_tokenizer,
)


@pytest.fixture
def folder(tmp_path):
    return good_gpt2(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "model.pt", "model.pth", "epoch=3.ckpt", "gpt2.pkl", "weights.pickle"],
)
def test_a_pickle_is_refused_with_the_reason(folder, name):
    (folder / WEIGHTS).rename(folder / name)
    with pytest.raises(CheckpointError) as caught:
        read_huggingface(folder)
    assert caught.value.what == (
        f"{name!r} is a pickle, and reading a pickle runs whatever code is in it"
    )
    assert "save_pretrained" in caught.value.fix


def test_a_pickle_is_refused_even_where_the_config_is_missing(folder):
    (folder / WEIGHTS).rename(folder / "model.pt")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_huggingface(folder)


def test_a_pickle_beside_safetensors_is_not_looked_at(folder):
    whole = read_huggingface(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert read_huggingface(folder) == whole


def test_weights_of_another_kind_are_named(folder):
    (folder / WEIGHTS).rename(folder / "tf_model.h5")
    with pytest.raises(CheckpointError, match=r"has no model.safetensors .* 'tf_model.h5'"):
        read_huggingface(folder)


def test_code_that_a_config_names_is_never_run(folder):
    whole = read_huggingface(folder)
    trap = "open(__file__ + '.sprung', 'w')"
    for name in ("modeling.py", "configuration_gpt2.py", "tokenizer.py", "__init__.py"):
        (folder / name).write_text(trap)
    write_config(
        folder,
        auto_map={"AutoModelForCausalLM": "modeling.Trap", "AutoConfig": "configuration_gpt2.Trap"},
        trust_remote_code=True,
        custom_pipelines={"text-generation": {"impl": "modeling.Trap"}},
        architectures=["modeling.Trap"],
    )
    assert read_huggingface(folder) == whole
    assert not list(folder.glob("*.sprung"))
    assert not list(folder.glob("__pycache__"))


@pytest.mark.parametrize(
    "spoil",
    [
        config(vocab_size=2**31 - 1, n_embd=2**31 - 1, n_head=1),
        config(n_layer=2**31 - 1),
        config(n_inner=2**31 - 1),
        header({"wte.weight": tensor([2**40, 2**20], 0, 4)}, b"1234"),
        header({"wte.weight": tensor([2**62], 0, 2**62, "F64")}, b"1234"),
        header({}, length=2**50),
        tokenizer({"a": 2**40}),
    ],
)
def test_a_size_that_is_only_declared_takes_no_memory(folder, spoil):
    spoil(folder)
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        read_huggingface(folder)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000


LONG = "\x1b[2J" + "x" * 100_000


@pytest.mark.parametrize(
    "spoil",
    [
        config(model_type=LONG),
        config(activation_function=LONG),
        config(n_embd=LONG),
        config(n_embd=int("9" * 4000)),
        config(activation_function=[[LONG] * 5] * 5),
        tensors(**{LONG: np.ones(3, np.float32)}),
        header({LONG: 3}),
        header({"a": {"dtype": LONG}}),
        shards(weight_map={LONG: FIRST}),
        shards(weight_map={"a": LONG}),
        tokenizer({LONG: 9}),
        tokenizer({"a": LONG}),
        text(
            "config.json", json.dumps(CONFIG)[:-1] + f', "{"x" * 100_000}": 1, "{"x" * 100_000}": 2}}'
        ),
    ],
)
def test_a_message_stays_short_and_harmless(folder, spoil):
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        read_huggingface(folder)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_pipe_is_not_waited_for(folder):
    (folder / "tokenizer.json").unlink(missing_ok=True)
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"tokenizer.json is not a regular file"):
        read_huggingface(folder)


def test_links_in_a_circle_are_refused(folder):
    link(folder, WEIGHTS, "loop")
    (folder / "loop").symlink_to(WEIGHTS)
    with pytest.raises(CheckpointError, match=WEIGHTS):
        read_huggingface(folder)


def test_a_link_within_the_folder_is_followed(folder):
    whole = read_huggingface(folder)
    (folder / WEIGHTS).rename(folder / "weights.safetensors")
    link(folder, WEIGHTS, "weights.safetensors")
    assert read_huggingface(folder) == whole


def to_cache(folder, *, blobs="blobs"):
    """Where the Hugging Face hub would put the folder: links to blobs two floors up."""
    home = folder.parent / "models--openai-community--gpt2"
    snapshot = home / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (folder.parent / blobs).mkdir(exist_ok=True)
    (home / "blobs").symlink_to(folder.parent / blobs) if blobs != "blobs" else (home / "blobs").mkdir()
    for file in list(folder.iterdir()):
        file.rename(home / "blobs" / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    return snapshot


def test_the_links_of_the_hugging_face_cache_are_followed(folder):
    whole = read_huggingface(folder)
    assert read_huggingface(to_cache(folder)) == whole


def test_a_cache_whose_blobs_lie_elsewhere_is_not(folder):
    with pytest.raises(CheckpointError, match="leaves the folder"):
        read_huggingface(to_cache(folder, blobs="elsewhere"))


@settings(max_examples=sweep(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_damaged_anywhere_is_an_error_and_never_a_crash(folder, data):
    write_tokenizer(folder, {"a": 0, "b": 1}, CHARACTERS, added_tokens=[PAD])
    file = folder / data.draw(st.sampled_from([WEIGHTS, "config.json", "tokenizer.json"]))
    good = file.read_bytes()
    place = data.draw(st.integers(0, min(len(good), 2500)))
    kept = data.draw(st.sampled_from([place, place + 1]))
    put = data.draw(st.binary(max_size=2))
    file.write_bytes(good[:place] + put + good[kept:])
    try:
        model = read_huggingface(folder)
    except HandcraftError:
        pass
    else:
        assert 1 <= len(model.vocabulary) <= 4
        assert {name: t.shape for name, t in model.tensors.items()} == SHAPE.tensors(model.architecture)
    finally:
        file.write_bytes(good)
