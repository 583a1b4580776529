"""What handcraft.json says of values: read back as it was written, and refused where it cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from handcraft import Prompts, compile_sequences, save, select
from handcraft.compiler.sequences.output import Output
from handcraft.errors import CheckpointError
from handcraft.formats import read_checkpoint
from handcraft.formats.outputs_record import outputs_to_record, read_outputs
from handcraft.language.sequences.domain import Range

PROMPTS = Prompts("abc", context=4)
TOKEN = PROMPTS.token
COMPILED = compile_sequences(
    {"number": select(TOKEN, TOKEN).count(), "flag": TOKEN == "a", "label": TOKEN.at(-1, default="a")}
)


def test_outputs_are_read_back_as_they_were_written():
    outputs = tuple(replace(output, place=None) for output in COMPILED.outputs)
    record = json.loads(json.dumps(outputs_to_record(outputs)))
    assert read_outputs({"outputs": record}, COMPILED.circuits) == outputs


def test_a_range_of_fractions_is_read_back_too():
    output = Output("x", Range(0, Fraction(7, 2), Fraction(1, 6), 3), (), off=0.01)
    record = json.loads(json.dumps(outputs_to_record([output])))
    assert read_outputs({"outputs": record}, COMPILED.circuits) == (output,)


@pytest.mark.parametrize(
    ("output", "key", "value"),
    [
        ("number", "name", 3),
        ("number", "name", "flag"),
        ("number", "kind", "text"),
        ("number", "kind", None),
        ("number", "values", []),
        ("number", "values", [1, 1]),
        ("number", "values", [2, 1]),
        ("number", "values", [1, "x"]),
        ("number", "values", [1, True]),
        ("number", "values", [1, 1.5]),
        ("number", "values", ["1/0"]),
        ("number", "values", {"a": 1}),
        ("number", "values", [*range(5000)]),
        ("number", "values", [10**400]),
        ("number", "values", "abc"),
        ("flag", "values", [True, False]),
        ("flag", "values", [True, True]),
        ("flag", "values", [0, 1]),
        ("label", "values", ["a", 1]),
        ("label", "values", [["a"]]),
        ("number", "constant", 0.5),
        ("number", "constant", "9" * 5000),
        ("number", "constant", None),
        ("number", "reads", [["nowhere", 0, 1]]),
        ("number", "reads", [[["a"], 0, 1]]),
        ("number", "reads", [["token", 3, 1]]),
        ("number", "reads", [["token", -1, 1]]),
        ("number", "reads", [["token", True, 1]]),
        ("number", "reads", [["token", 0, 1], ["token", 0, 1]]),
        ("number", "reads", [["token", 0]]),
        ("number", "reads", [["token", 0, "1/3", 4]]),
        ("number", "reads", 7),
        ("number", "off", -1),
        ("number", "off", "0"),
        ("number", "off", True),
        ("number", "off", 10**400),
        ("number", "place", "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, output, key, value):
    assert_refused(tmp_path, lambda record: _find(record, output).update({key: value}))


@pytest.mark.parametrize("damage", [{"unit": 0}, {"parts": 0}, {"low": 9, "high": 1}, {"kind": "flag"}])
def test_a_range_that_cannot_be_is_refused(tmp_path, damage):
    stated = {"kind": "number", "low": 0, "high": 9, "unit": "1/6", "parts": 3, **damage}

    def change(record):
        output = _find(record, "number")
        del output["values"]
        output.update(stated)

    assert_refused(tmp_path, change)


@pytest.mark.parametrize("key", ["name", "kind", "constant", "reads", "off", "place"])
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
