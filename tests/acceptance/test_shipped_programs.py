"""Every file in programs/ is right on every context, says what it is, and is found by its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from handcraft import compile_program
from handcraft.cli.sources import load_source, shipped_programs, summary
from handcraft.formats import read_checkpoint, save
from handcraft.verify import verify

TARGETS = [("block", "float32"), ("block", "float64"), ("gpt2", "float32")]

FOLDER = Path(__file__).parents[2] / "programs"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".py", ".rules"))


def test_the_reference_programs_are_shipped():
    assert {"aab", "by_hand"} <= {path.stem for path in FILES}


def test_shipped_programs_are_the_files_in_the_folder():
    assert {name: path.name for name, path in shipped_programs().items()} == {
        path.stem: path.name for path in FILES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_says_in_one_line_what_it_is(path):
    assert summary(path).endswith((".", ":"))
    if path.suffix == ".py":
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize(("architecture", "dtype"), TARGETS)
def test_it_is_right_on_every_context(path, architecture, dtype):
    source = load_source(str(path))
    compiled = compile_program(source, architecture=architecture, dtype=dtype)
    report = verify(compiled.model, source)
    assert report.is_exhaustive
    assert report.tried == report.contexts > 0
    assert report.failures == ()
    assert report.passed
    assert report.margin > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("architecture", "format"), [("gpt2", "huggingface"), ("block", "safetensors"), ("block", "npz")]
)
def test_what_was_written_is_right_on_every_context(path, architecture, format, tmp_path):
    source = load_source(str(path))
    compiled = compile_program(source, architecture=architecture)
    found = read_checkpoint(save(compiled, tmp_path / "out", format=format))
    assert verify(found.model, found.source).passed
    assert verify(found.model, source).passed
