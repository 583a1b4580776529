"""Whatever goes wrong while writing, the target is as it was, and nothing else is left behind."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest

import handcraft.formats.writers
from handcraft import Program, compile_program, predict
from handcraft.errors import CheckpointError
from handcraft.formats import check_target, load, save, write_file

compile_block = partial(compile_program, architecture="block")

TROUBLES = {
    "no space": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "interrupt": KeyboardInterrupt,
    "bug": lambda: RuntimeError("a bug"),
}


class Trouble:
    """Stands in for a function and raises at its n-th call, before or after doing its work."""

    def __init__(self, function, error, *, call=1, after=False):
        self.function, self.error = function, error
        self.call, self.after, self.calls = call, after, 0

    def __call__(self, *arguments, **named):
        self.calls += 1
        if self.calls != self.call:
            return self.function(*arguments, **named)
        if self.after:
            self.function(*arguments, **named)
        raise self.error

    def __get__(self, instance, owner=None):
        return lambda *arguments, **named: self(instance, *arguments, **named)


def nothing(folder: Path) -> None:
    """The target is missing."""


def an_empty_folder(folder: Path) -> None:
    folder.mkdir()


def an_earlier_output(folder: Path) -> None:
    save(compile_block(Program("xy", 2, [predict("y").otherwise()])), folder, format="npz")


TARGETS = [nothing, an_empty_folder, an_earlier_output]

# What save() calls on its way, in order: object, name, which call.
STAGES = {
    "the temporary folder": (tempfile, "mkdtemp", 1),
    "the tensors": (handcraft.formats.writers, "write_safetensors", 1),
    "the record": (Path, "write_text", 1),
    "its mode": (Path, "chmod", 1),
    "the place of the old one": (tempfile, "mkdtemp", 2),
    "the first rename": (Path, "rename", 1),
    "the second rename": (Path, "rename", 2),
}
MOVES = ("the place of the old one", "the first rename", "the second rename")


def cases(stages):
    """Each stage with the trouble before it and after it.

    A temporary folder whose name never came back cannot be cleared away, so there is no after.
    """
    return [
        (stage, after)
        for stage in stages
        for after in ((False,) if STAGES[stage][0] is tempfile else (False, True))
    ]


@pytest.fixture(params=TARGETS, ids=lambda prepare: prepare.__name__)
def target(request, tmp_path):
    folder = tmp_path / "work" / "out"
    folder.parent.mkdir()
    request.param(folder)
    return folder


@pytest.fixture(params=TROUBLES.values(), ids=TROUBLES.keys())
def error(request):
    return request.param()


@pytest.mark.parametrize(("stage", "after"), cases(stage for stage in STAGES if stage not in MOVES))
def test_trouble_while_writing_leaves_everything_as_it_was(
    compiled, target, error, stage, after, monkeypatch, everything_in
):
    owner, name, call = STAGES[stage]
    before = everything_in(target.parent)
    trouble = Trouble(getattr(owner, name), error, call=call, after=after)
    monkeypatch.setattr(owner, name, trouble)
    with pytest.raises((CheckpointError, type(error))):
        save(compiled, target)
    monkeypatch.undo()
    assert trouble.calls >= call
    assert everything_in(target.parent) == before


@pytest.mark.parametrize(("stage", "after"), cases(MOVES))
def test_trouble_while_swapping_leaves_the_old_one_or_the_new_one_whole(
    compiled, target, error, stage, after, monkeypatch, everything_in, tmp_path
):
    owner, name, call = STAGES[stage]
    before = everything_in(target.parent)
    save(compiled, tmp_path / "fresh" / "out")
    fresh = everything_in(tmp_path / "fresh")
    trouble = Trouble(getattr(owner, name), error, call=call, after=after)
    monkeypatch.setattr(owner, name, trouble)
    try:
        save(compiled, target)
    except (CheckpointError, type(error)):
        pass
    else:
        assert trouble.calls < call, "the trouble was swallowed"
    monkeypatch.undo()
    assert everything_in(target.parent) in (before, fresh)


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_stays_an_interrupt(compiled, tmp_path, stage, monkeypatch):
    an_earlier_output(tmp_path / "out")
    owner, name, call = STAGES[stage]
    trouble = Trouble(getattr(owner, name), KeyboardInterrupt(), call=call)
    monkeypatch.setattr(owner, name, trouble)
    with pytest.raises(KeyboardInterrupt):
        save(compiled, tmp_path / "out")


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_reported_in_three_parts(compiled, tmp_path, stage, monkeypatch):
    an_earlier_output(tmp_path / "out")
    owner, name, call = STAGES[stage]
    error = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(owner, name, Trouble(getattr(owner, name), error, call=call))
    with pytest.raises(CheckpointError) as caught:
        save(compiled, tmp_path / "out")
    assert caught.value.what == f"{tmp_path / 'out'} cannot be written: No space left on device"
    assert caught.value.where == str(tmp_path / "out")
    assert caught.value.fix == "choose a place with write permission and enough space"


def test_an_earlier_output_is_replaced_whole(compiled, tmp_path, everything_in):
    an_earlier_output(tmp_path / "out")
    save(compiled, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "certificate.json",
        "handcraft.json",
        "model.safetensors",
    }
    assert load(tmp_path / "out") == compiled.model
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(compiled, tmp_path):
    (tmp_path / "out").mkdir()
    assert load(save(compiled, tmp_path / "out")) == compiled.model
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_to_an_earlier_output_is_followed_or_refused_but_never_broken(
    compiled, tmp_path, everything_in
):
    an_earlier_output(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    before = everything_in(tmp_path)
    try:
        save(compiled, tmp_path / "link")
    except CheckpointError:
        assert everything_in(tmp_path) == before
    else:
        assert load(tmp_path / "link") == compiled.model
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


FOREIGN = {
    "a note": ["notes.txt"],
    "a hidden file": [".keep"],
    "an output and a note": ["handcraft.json", "model.safetensors", "notes.txt"],
    "tensors without a record": ["model.safetensors"],
    "an output and a folder": ["handcraft.json", "model.npz", "more/file"],
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_folder_with_something_else_is_refused_and_left_alone(
    compiled, tmp_path, files, everything_in
):
    folder = tmp_path / "out"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    before = everything_in(tmp_path)
    for refuse in (lambda: check_target(folder), lambda: save(compiled, folder)):
        with pytest.raises(CheckpointError) as caught:
            refuse()
        assert caught.value.what.startswith(f"{folder} contains something else: ")
        assert caught.value.where == str(folder)
        assert caught.value.fix == "name another folder, or empty this one"
    assert everything_in(tmp_path) == before


def test_what_is_in_the_way_is_named(compiled, tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("d", "a", "c", "b"):
        (tmp_path / "out" / name).touch()
    with pytest.raises(CheckpointError) as caught:
        save(compiled, tmp_path / "out")
    assert caught.value.what == f"{tmp_path / 'out'} contains something else: a, b, c"


def test_a_file_in_the_place_of_the_folder_is_refused(compiled, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(CheckpointError) as caught:
        save(compiled, tmp_path / "out")
    assert caught.value.what == f"{tmp_path / 'out'} is a file"
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("name", ["file/out", "file/a/out"])
def test_a_folder_below_a_file_cannot_be_written(compiled, tmp_path, name, everything_in):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(compiled, tmp_path / name)
    assert everything_in(tmp_path) == {"file": b"mine"}


def test_a_name_that_is_too_long_cannot_be_written(compiled, tmp_path, everything_in):
    with pytest.raises(CheckpointError):
        save(compiled, tmp_path / ("x" * 300))
    assert everything_in(tmp_path) == {}


def test_the_current_folder_can_be_filled_or_is_refused(compiled, tmp_path, monkeypatch, everything_in):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    try:
        save(compiled, ".")
    except CheckpointError:
        assert everything_in(tmp_path) == {"here": None}
    else:
        assert load(tmp_path / "here") == compiled.model


def test_an_unreadable_folder_is_reported_in_three_parts(compiled, tmp_path, monkeypatch):
    """Root reads everything, so the refusal is played."""
    an_earlier_output(tmp_path / "out")

    def refused(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(CheckpointError):
        save(compiled, tmp_path / "out")


FILE_STAGES = {
    "the temporary file": (tempfile, "mkstemp"),
    "opening it": (os, "fdopen"),
    "its mode": (Path, "chmod"),
    "putting it in place": (Path, "replace"),
}


@pytest.mark.parametrize("stage", FILE_STAGES)
@pytest.mark.parametrize("old", [None, b"old"], ids=["missing", "existing"])
def test_trouble_while_writing_a_file_leaves_it_as_it_was(
    tmp_path, stage, old, error, monkeypatch, everything_in
):
    path = tmp_path / "picture.svg"
    if old is not None:
        path.write_bytes(old)
    before = everything_in(tmp_path)
    owner, name = FILE_STAGES[stage]
    monkeypatch.setattr(owner, name, Trouble(getattr(owner, name), error))
    with pytest.raises((CheckpointError, type(error))):
        write_file(path, b"new")
    monkeypatch.undo()
    assert everything_in(tmp_path) == before


def test_a_file_is_written_with_its_folders_and_replaced(tmp_path, everything_in):
    write_file(tmp_path / "a" / "picture.svg", b"one")
    write_file(tmp_path / "a" / "picture.svg", b"two")
    assert everything_in(tmp_path) == {"a": None, os.path.join("a", "picture.svg"): b"two"}
    assert (tmp_path / "a" / "picture.svg").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["folder", "file/picture.svg", "x" * 300])
def test_a_place_that_cannot_be_a_file_is_reported_in_three_parts(tmp_path, name, everything_in):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    before = everything_in(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        write_file(tmp_path / name, b"new")
    assert caught.value.what.startswith(f"{tmp_path / name} cannot be written: ")
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.fix
    assert everything_in(tmp_path) == before


def test_clearing_away_cannot_be_what_fails(compiled, tmp_path, monkeypatch):
    """An old folder that cannot be removed does not turn a good output into an error."""
    an_earlier_output(tmp_path / "out")

    def stubborn(path, ignore_errors=False, **named):
        if not ignore_errors:
            raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(shutil, "rmtree", stubborn)
    assert load(save(compiled, tmp_path / "out")) == compiled.model
