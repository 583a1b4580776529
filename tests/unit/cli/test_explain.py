"""`handcraft explain`: what one weight is for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handcraft import compile_program
from handcraft.cli.sources import load_source


@pytest.fixture
def weight():
    """A place in c_proj of the reference program that serves its first rule."""
    tensor = compile_program(load_source("aab")).model.tensors["h.0.attn.c_proj.weight"]
    row, column = np.argwhere(tensor)[0].tolist()
    return row, column, float(tensor[row, column])


def test_a_weight_of_a_program_names_its_rule_and_line(run, weight):
    row, column, value = weight
    ran = run("explain", "aab", "h.0.attn.c_proj.weight", row, column)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"weight: h.0.attn.c_proj.weight[{row}, {column}]"
    assert lines[1] == f"value: {value}"
    assert lines[2].startswith("stands for: ")
    assert lines[2].endswith("-> token b")
    assert lines[3] == "serves: predict b after aa (aab.py:9:9)"


def test_a_weight_of_a_folder_names_its_rule_and_line(run, weight):
    row, column, value = weight
    run("compile", "aab", "-o", "out")
    lines = run("explain", "out", "h.0.attn.c_proj.weight", row, column).out.splitlines()
    assert lines[1] == f"value: {value}"
    assert lines[-1] == "serves: predict b after aa (aab.py:9:9)"


def test_a_place_in_a_bias_is_one_number(run):
    tensor = compile_program(load_source("aab")).model.tensors["h.0.attn.c_proj.bias"]
    place = int(np.flatnonzero(tensor)[0])
    ran = run("explain", "aab", "h.0.attn.c_proj.bias", place)
    assert ran.status == 0
    assert "predict" in ran.out


def test_a_weight_of_0_serves_nothing(run):
    ran = run("explain", "aab", "wte.weight", 0, 0)
    assert ran.status == 0
    assert ran.out.splitlines()[-1] == "serves: nothing: it is 0"


def test_json_lists_what_is_served(run, weight):
    found = json.loads(run("explain", "aab", "h.0.attn.c_proj.weight", *weight[:2], "--json").out)
    assert found["value"] == weight[2]
    assert found["serves"] == ["predict b after aa (aab.py:9:9)"]


def test_json_lists_nothing_where_nothing_is_served(run):
    found = json.loads(run("explain", "aab", "wte.weight", 0, 0, "--json").out)
    assert found["serves"] == []


def test_circuits_by_hand_name_the_head(run):
    ran = run("explain", "by_hand", "h.0.attn.c_attn.weight", 0, 0)
    assert ran.status == 0
    assert "position 0" in ran.out
    assert "last two" in ran.out
