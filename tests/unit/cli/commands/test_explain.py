"""`handcraft explain`: what one weight is for."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from handcraft import compile_program
from handcraft.cli.input.sources import find


@pytest.fixture
def weight():
    """A place in c_proj of the reference program that serves its first rule."""
    tensor = compile_program(find("aab").source).model.tensors["h.0.mlp.c_proj.weight"]
    row, column = np.argwhere(tensor)[0].tolist()
    return row, column, float(tensor[row, column])


def test_a_weight_of_a_program_names_its_rule_and_line(run, weight):
    row, column, value = weight
    ran = run("explain", "aab", "h.0.mlp.c_proj.weight", row, column)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"weight: h.0.mlp.c_proj.weight[{row}, {column}]"
    assert lines[1] == f"value: {value}"
    assert lines[2] == f"row: {row}, hidden unit: predict b after aa, 1"
    assert lines[3] == f"column: {column}, token b"
    assert lines[4] == "serves: predict b after aa (aab.py:9:9)"


def test_a_weight_of_a_folder_names_its_rule_and_line(run, weight):
    row, column, value = weight
    run("compile", "aab", "-o", "out")
    lines = run("explain", "out", "h.0.mlp.c_proj.weight", row, column).out.splitlines()
    assert lines[1] == f"value: {value}"
    assert lines[-1] == "serves: predict b after aa (aab.py:9:9)"


def test_a_place_in_a_bias_is_one_number(run):
    tensor = compile_program(find("aab").source).model.tensors["h.0.mlp.c_proj.bias"]
    place = int(np.flatnonzero(tensor)[0])
    ran = run("explain", "aab", "h.0.mlp.c_proj.bias", place)
    assert ran.status == 0
    assert f"\nplace: {place}, " in ran.out
    assert "predict" in ran.out


def test_a_weight_of_0_serves_nothing(run):
    ran = run("explain", "aab", "wte.weight", 0, 1)
    assert ran.status == 0
    assert ran.out.splitlines()[-1] == "serves: nothing: it is 0"


def test_json_lists_what_is_served(run, weight):
    found = json.loads(run("explain", "aab", "h.0.mlp.c_proj.weight", *weight[:2], "--json").out)
    assert found["value"] == weight[2]
    assert found["serves"] == ["predict b after aa (aab.py:9:9)"]


def test_json_lists_nothing_where_nothing_is_served(run):
    found = json.loads(run("explain", "aab", "wte.weight", 0, 1, "--json").out)
    assert found["serves"] == []


def test_circuits_by_hand_name_the_head(run):
    ran = run("explain", "by_hand", "h.0.attn.c_attn.weight", 0, 0)
    assert ran.status == 0
    assert "position 0" in ran.out
    assert "last two" in ran.out


# --- names of rows and columns -----------------------------------------------------------------


def test_a_folder_has_the_names_that_its_program_has(run):
    assert run("compile", "parity", "-o", "out").status == 0
    model = compile_program(find("parity").source).model
    for tensor, values in model.tensors.items():
        index = np.argwhere(values)[:1].tolist() or [[0] * values.ndim]
        words = ("explain", tensor, *index[0])
        assert run(words[0], "out", *words[1:]).out == run(words[0], "parity", *words[1:]).out


# --- whole tensors, and rules ------------------------------------------------------------------


def test_without_a_tensor_all_are_listed(run):
    model = compile_program(find("aab").source).model
    rows = json.loads(run("explain", "aab", "--json").out)
    assert [row["tensor"] for row in rows] == list(model.tensors)
    assert {row["tensor"]: row["nonzero"] for row in rows} == {
        name: int((values != 0).sum()) for name, values in model.tensors.items()
    }
    assert run("explain", "aab").out.startswith("wte.weight ")


def test_a_small_tensor_is_a_table_with_names(run):
    ran = run("explain", "aab", "wte.weight")
    assert ran.out.splitlines()[0] == "wte.weight [3, 29]; rows and columns of zeros are left out"
    assert "  column 0: token a\n" in ran.out
    assert ran.out.endswith(".   1   .  -1  row 1: token 'b'\n")


def test_a_bias_is_a_table_of_one_row(run):
    lines = run("explain", "aab", "h.0.mlp.c_proj.bias").out.splitlines()
    assert lines[1] == "  column 0: token a"
    assert len(lines[-1].split()) == len(lines[-2].split())


def test_a_large_tensor_is_cut_and_nonzero_lists_all(run):
    ran = run("explain", "aab", "wpe.weight")
    assert len(ran.out.splitlines()) == 41
    assert ran.err == "note: 13,263 more are not 0; --nonzero lists all\n"
    tensor = compile_program(find("aab").source).model.tensors["h.0.attn.c_attn.weight"]
    lines = run("explain", "aab", "h.0.attn.c_attn.weight", "--nonzero").out.splitlines()
    assert len(lines) == 1 + np.count_nonzero(tensor)
    assert all("serves " in line and " -> " in line for line in lines[1:])


@pytest.mark.parametrize("program", ["aab", "out"])
@pytest.mark.parametrize("rule", ["1", "predict b after aa", "b after"])
def test_a_rule_lists_exactly_the_weights_that_serve_it(run, program, rule):
    assert run("compile", "aab", "-o", "out").status == 0
    compiled = compile_program(find("aab").source)
    serving = {
        f"{name}{list(index)}"
        for name, placed in compiled.placement.tensors.items()
        for index, origins in placed.origins.items()
        if "predict b after aa" in [origin.what for origin in origins]
    }
    found = json.loads(run("explain", program, "--rule", rule, "--json").out)
    assert found["rule"] == "predict b after aa"
    assert {weight["weight"] for weight in found["weights"]} == serving
    lines = run("explain", program, "h.0.mlp.c_proj.weight", "--rule", rule).out.splitlines()
    assert len(lines) - 2 == sum(w.startswith("h.0.mlp.c_proj.weight") for w in serving)


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        ("9", "give a number from 1 to 2"),
        ("predict b after ab", "did you mean 'predict b after aa'?"),
        ("predict", "name one of: 'predict b after aa', 'predict a otherwise'"),
        ("zzz", "there are: 'predict b after aa', 'predict a otherwise'"),
    ],
)
def test_a_rule_that_is_not_there_is_refused_with_those_that_are(run, rule, fix):
    ran = run("explain", "aab", "--rule", rule)
    assert (ran.status, ran.out) == (2, "")
    assert fix in ran.err


def test_a_folder_is_explained_as_its_program(run):
    assert run("compile", "histogram", "-o", "made").status == 0
    here, there = (run("explain", name, "--prompt", "abcab=") for name in ("histogram", "made"))
    assert there.out == here.out
    assert re.search(r"fires +1\. predict", there.out)
    here, there = (
        run("explain", name, "--prompt", "abcab=", "--format", "markdown")
        for name in ("histogram", "made")
    )
    assert there.out == here.out


def test_circuits_are_explained_by_what_they_should_mean(run):
    assert run("compile", "by_hand", "-o", "made").status == 0
    here, there = (run("explain", name, "--prompt", "aab") for name in ("by_hand", "made"))
    assert "the program means: a, as the model answers" in here.out
    assert there.out == here.out
