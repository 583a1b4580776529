"""Folders made to fill the memory or to never end: each is refused in three parts, at once."""

from __future__ import annotations

import json
import os
import socket
import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest

from handcraft.cli.main import main
from handcraft.errors import CheckpointError, LimitError
from handcraft.formats import load, read_checkpoint, save
from handcraft.formats.foreign_files import PARSED, parse_object
from handcraft.limits import BLOCKS, JSON_BYTES, MEMORY

MOST = 30_000_000
"""The most memory that refusing a folder may take, in bytes."""


@pytest.fixture(params=["safetensors", "npz"])
def folder(request, compiled, tmp_path):
    return save(compiled, tmp_path / "f", format=request.param)


@pytest.fixture
def npz(compiled, tmp_path):
    return save(compiled, tmp_path / "n", format="npz")


def edited(folder, change):
    path = folder / "handcraft.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    return folder


def refused(folder, read=load, error=CheckpointError, most=MOST):
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            read(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most
    assert caught.value.where
    assert caught.value.fix
    assert len(str(caught.value)) < 1_500
    return caught.value.what


def origins(folder):
    return read_checkpoint(folder).origins


# --- files that are none ------------------------------------------------------------------------


def as_pipe(path):
    os.mkfifo(path)


def as_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def as_device(path):
    path.symlink_to("/dev/zero")


def as_circle(path):
    path.symlink_to(path)


def as_folder(path):
    path.mkdir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("file", ["handcraft.json", "tensors"])
@pytest.mark.parametrize("put", [as_pipe, as_socket, as_device, as_circle, as_folder])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(folder, file, put, monkeypatch):
    path = folder / file
    if file == "tensors":
        path = next(p for p in folder.iterdir() if p.stem == "model")
    path.unlink()
    monkeypatch.chdir(folder)
    put(path)
    refused(folder)


def test_a_program_that_never_ends_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "p.rules").symlink_to("/dev/zero")
    monkeypatch.setattr("sys.argv", ["handcraft", "run", str(tmp_path / "p.rules"), "a"])
    with pytest.raises(SystemExit):
        main()
    assert "p.rules is not a regular file" in capsys.readouterr().err


# --- handcraft.json -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids", [["0", "1"], ["01", "1"], [0.7, 1], [0.0, 1.0], [False, True], [[0], [1]]]
)
def test_token_ids_are_whole_numbers(folder, ids):
    what = refused(edited(folder, lambda record: record.update(token_ids=ids)))
    assert "expected a whole number, not " in what


@pytest.mark.parametrize("length", [10**9, 10**18, 31, 0, -1, True, "1", 1.0])
def test_a_run_of_weights_ends_within_its_tensor(folder, length):
    def change(record):
        record["weights"]["h.0.attn.c_attn.weight"][0][-2] = length

    refused(edited(folder, change), origins)


def test_runs_of_weights_are_in_order_and_apart(folder):
    def change(record):
        runs = record["weights"]["h.0.attn.c_attn.weight"]
        runs.insert(1, runs[0])

    refused(edited(folder, change), origins)


@pytest.mark.parametrize("place", ["no such tensor", "wte.weight"])
def test_a_run_of_weights_is_of_a_tensor_and_inside_it(folder, place):
    run = [10**9, 0, 1, [0]]
    refused(edited(folder, lambda record: record["weights"].update({place: [run]})), origins)


def test_every_origin_of_a_good_folder_is_read(folder, compiled):
    found = origins(folder)
    for name, tensor in compiled.placement.tensors.items():
        assert found[name].keys() == tensor.origins.keys()


@pytest.mark.parametrize("inner", [[10**12], [10**30], [0] * (BLOCKS.most + 1), [True], ["4"], [-1]])
def test_hidden_units_beyond_all_measure_are_refused(folder, inner):
    refused(edited(folder, lambda record: record["shape"].update(n_inner=inner)))


@pytest.mark.parametrize("size", ["n_vocab", "n_positions", "n_embd"])
@pytest.mark.parametrize("number", [10**6, 10**12, 10**30, 1e9, "5", True, None])
def test_sizes_that_the_tensors_do_not_have_take_no_memory(folder, size, number):
    refused(edited(folder, lambda record: record["shape"].update({size: number, "n_head": 1})))


RECORDS = {
    "a name twice": '{"handcraft": 1, "handcraft": 1}',
    "a number that is none": '{"handcraft": NaN}',
    "an endless number": '{"handcraft": Infinity}',
    "very many digits": f'{{"handcraft": {"9" * 10**6}}}',
    "very many digits in quotes": f'{{"handcraft": "{"9" * 10**6}"}}',
    "very deep": "[" * 10**6,
    "very deep objects": '{"a":' * 10**5,
    "a long name twice": f'{{"{"x" * 10**5}": 1, "{"x" * 10**5}": 2}}',
    "control characters": '{"\\u001b[2J": 1, "\\u001b[2J": 2}',
}


@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS.keys())
def test_json_that_no_writer_makes_is_refused(folder, text):
    (folder / "handcraft.json").write_text(text)
    assert "\x1b" not in refused(folder)


@pytest.mark.parametrize("key", ["layout", "origins", "subspaces", "token_ids", "vocabulary"])
def test_very_many_wrong_items_are_refused_at_the_first(folder, key):
    edited(folder, lambda record: record.update({key: [{}] * 50_000}))
    tracemalloc.start()
    parse_object((folder / "handcraft.json").read_bytes())
    _, parsed = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "[0]" in refused(folder, most=parsed + 1_000_000)


def test_a_manifest_too_long_for_the_memory_is_not_read(folder, monkeypatch):
    monkeypatch.setenv(MEMORY, "0.0000001")
    assert "handcraft.json of" in refused(folder, error=LimitError)


def test_a_json_file_of_any_other_kind_has_a_limit(compiled, tmp_path):
    folder = tmp_path / "h"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"")
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with (folder / "config.json").open("wb") as file:
        file.truncate(JSON_BYTES.most + 1)
    assert f"the limit is {JSON_BYTES.most}" in refused(folder)


def test_json_takes_no_more_memory_than_is_estimated():
    for item in ("[],", "{},", '"",', "1.5,", "null,", '{"a":0},', "123456789012,"):
        data = ('{"a":[' + item * 20_000)[:-1].encode() + b"]}"
        tracemalloc.start()
        parse_object(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < PARSED * len(data) * 1.5


# --- npz ----------------------------------------------------------------------------------------


def npy_of(array):
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_member(folder, name, data, **options):
    """The archive with one member in place of another."""
    path = folder / "model.npz"
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members[name] = data
    with zipfile.ZipFile(path, "w", **options) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder


def test_a_small_file_that_unpacks_to_a_huge_one_is_not_unpacked(npz):
    huge = npy_of(np.zeros((2, 50_000_000 // 8), dtype="float32"))
    bomb = with_member(npz, "wte.weight.npy", huge, compression=zipfile.ZIP_DEFLATED)
    del huge
    assert (bomb / "model.npz").stat().st_size < 1_000_000
    assert "wte.weight is [2, 6250000]" in refused(bomb)


def test_a_bomb_that_agrees_with_its_manifest_is_compared_with_the_memory(npz, monkeypatch):
    monkeypatch.setenv(MEMORY, "0.000001")
    monkeypatch.setattr("handcraft.formats.manifest.read_manifest.PARSED", 0)
    assert "parameters takes" in refused(npz, error=LimitError)


def test_a_header_is_compared_with_the_zip_directory(npz):
    short = npy_of(np.zeros((2, 10), dtype="float32"))[:-8]
    assert "but the zip gives it" in refused(with_member(npz, "wte.weight.npy", short))


def test_a_name_twice_is_refused(npz):
    with (
        zipfile.ZipFile(npz / "model.npz", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("wte.weight.npy", npy_of(np.zeros((2, 10), dtype="float32")))
    assert "twice" in refused(npz)


@pytest.mark.parametrize("name", ["no array", "../../wte.weight", "wte.weight.npy.npy"])
def test_a_member_that_is_no_tensor_is_refused(npz, name):
    refused(with_member(npz, name, b"data"))


def test_objects_are_never_unpickled(npz):
    file = BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    assert "pickle" in refused(with_member(npz, "wte.weight.npy", file.getvalue()))


def test_an_array_in_the_order_of_fortran_is_read(npz, compiled):
    array = compiled.model.tensors["wte.weight"]
    turned = with_member(npz, "wte.weight.npy", npy_of(np.asfortranarray(array)))
    assert np.array_equal(load(turned).tensors["wte.weight"], array)
