"""What handcraft.json says of values: read back as it was written, and refused where it cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from handcraft import Prompts, compile_sequences, save, select
from handcraft.compiler.values.output import Output
from handcraft.errors import CheckpointError
from handcraft.formats import read_checkpoint
from handcraft.formats.manifest.convert import Tables
from handcraft.language.graph.domain import Range

PROMPTS = Prompts("abc", context=4)
TOKEN = PROMPTS.token
COMPILED = compile_sequences(
    {"number": select(TOKEN, TOKEN).count(), "flag": TOKEN == "a", "label": TOKEN.at(-1, default="a")}
)


def there_and_back(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
    written = Tables()
    data = {"outputs": written.write(outputs), **written.write_tables()}
    read = Tables()
    read.read_tables(json.loads(json.dumps(data)))
    return read.read(json.loads(json.dumps(data["outputs"])), tuple[Output, ...])


def test_outputs_are_read_back_as_they_were_written():
    outputs = tuple(replace(output, place=None) for output in COMPILED.outputs)
    assert there_and_back(outputs) == outputs


def test_a_range_of_fractions_is_read_back_too():
    output = Output("x", Range(0, Fraction(7, 2), Fraction(1, 6), 3), (), error_bound=0.01)
    assert there_and_back((output,)) == (output,)


@pytest.mark.parametrize(
    ("output", "key", "value"),
    [
        ("number", "name", 3),
        ("number", "name", "flag"),
        ("number", "domain.kind", "text"),
        ("number", "domain.kind", None),
        ("number", "domain.values", []),
        ("number", "domain.values", [1, 1]),
        ("number", "domain.values", [2, 1]),
        ("number", "domain.values", [1, "x"]),
        ("number", "domain.values", [1, True]),
        ("number", "domain.values", [1, 1.5]),
        ("number", "domain.values", ["1/0"]),
        ("number", "domain.values", {"a": 1}),
        ("number", "domain.values", [*range(9000)]),
        ("number", "domain.values", [10**400]),
        ("number", "domain.values", "abc"),
        ("flag", "domain.values", [True, False]),
        ("flag", "domain.values", [True, True]),
        ("flag", "domain.values", [0, 1]),
        ("label", "domain.values", ["a", 1]),
        ("label", "domain.values", [["a"]]),
        ("number", "constant", 0.5),
        ("number", "constant", "9" * 5000),
        ("number", "constant", None),
        ("number", "reads", [{"subspace": "nowhere", "entries": [[0, 1]]}]),
        ("number", "reads", [{"subspace": ["a"], "entries": [[0, 1]]}]),
        ("number", "reads", [{"subspace": "token", "entries": [[3, 1]]}]),
        ("number", "reads", [{"subspace": "token", "entries": [[-1, 1]]}]),
        ("number", "reads", [{"subspace": "token", "entries": [[True, 1]]}]),
        ("number", "reads", [{"subspace": "token", "entries": [[0, 1], ["token", 0, 1]]}]),
        ("number", "reads", [{"subspace": "token", "entries": [[0]]}]),
        ("number", "reads", [{"subspace": "token", "entries": [[0, "1/3", 4]]}]),
        ("number", "reads", 7),
        ("number", "error_bound", -1),
        ("number", "error_bound", "0"),
        ("number", "error_bound", True),
        ("number", "error_bound", 10**400),
        ("number", "place", "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, output, key, value):
    *within, last = key.split(".")

    def change(record):
        stated = _find(record, output)
        for name in within:
            stated = stated[name]
        stated[last] = value

    assert_refused(tmp_path, change)


@pytest.mark.parametrize("damage", [{"unit": 0}, {"parts": 0}, {"low": 9, "high": 1}, {"low": None}])
def test_a_range_that_cannot_be_is_refused(tmp_path, damage):
    stated = {"low": 0, "high": 9, "unit": "1/6", "parts": 3, **damage}

    def change(record):
        _find(record, "number")["domain"] = stated

    assert_refused(tmp_path, change)


@pytest.mark.parametrize("key", ["name", "domain", "reads"])
def test_what_is_missing_is_refused(tmp_path, key):
    assert_refused(tmp_path, lambda record: _find(record, "number").pop(key))


@pytest.mark.parametrize("outputs", [{}, "x", None, 3, [3], [None], [[]]])
def test_outputs_of_another_form_are_refused(tmp_path, outputs):
    assert_refused(tmp_path, lambda record: record.update({"outputs": outputs}))


@pytest.mark.parametrize("first", [-1, 10**6, "0", None])
def test_a_place_outside_of_the_residual_stream_is_refused(tmp_path, first):
    def damage(record):
        for row in record["layout"]:
            row["first"] = first

    assert_refused(tmp_path, damage)


def assert_refused(tmp_path, damage) -> None:
    """Loading a folder must fail with the error of a folder, once `damage` has changed its record."""
    save(COMPILED, tmp_path / "out")
    path = tmp_path / "out" / "handcraft.json"
    record = json.loads(path.read_text())
    damage(record)
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "out")
    assert len(caught.value.what) < 500


def _find(record, name):
    return next(each for each in record["outputs"] if each["name"] == name)
