"""docs/causal_model.py, which needs nothing of this package, says what the mechanisms say."""

from __future__ import annotations

import runpy
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from gallery import facts
from hypothesis import given, settings
from sweeps import sweep
from truth_programs import adder, echo, twice

from handcraft import compile_program
from handcraft.errors import CompileError, GroundTruthError
from handcraft.ground_truth import Wanted, of_compiled
from handcraft.ground_truth.causal.mechanisms import NOTHING, Mechanisms, Setting
from handcraft.ground_truth.causal.part import PART
from handcraft.testing import sequence_programs
from handcraft_check.program.interpret import Column

READER = runpy.run_path(str(Path(__file__).parents[3] / "docs" / "causal_model.py"))


def written(program, folder, examples=32):
    """The causal model of a program as the reader loads it."""
    made = PART.make(of_compiled(compile_program(program)), Wanted(examples))
    path = folder / "causal_model.json"
    path.write_bytes(made.files["causal_model.json"])
    return READER["load"](path)


def agrees(program, model, rows, set_node=None):
    """Whether reader and mechanisms say the same on some texts, with values of others set."""
    mechanisms, tokens = Mechanisms.of(program), program.vocabulary.tokens
    known = mechanisms.run(rows)
    setting, place = None, rows.shape[1] // 2
    if set_node is not None:
        column, others = known.columns[set_node], np.roll(rows, 1, axis=0)
        values = mechanisms.run(others).columns[set_node]
        where = np.zeros(rows.shape, dtype=bool)
        where[:, place] = True
        setting = Setting(
            set_node, where, Column(np.broadcast_to(values.codes, rows.shape), values.values)
        )
        assert column is not None
    outcome = mechanisms.run(rows, setting)
    for number, row in enumerate(rows.tolist()):
        given = {}
        if setting is not None:
            code = setting.values.codes[number, place]
            given = {(set_node, place): setting.values.values[code]}
        found = READER["run"](model, [tokens[i] for i in row], given)
        for end in range(rows.shape[1]):
            if not outcome.is_defined[number, end]:
                continue
            meant = outcome.answers[number, end]
            said = READER["answer"](model, found, end)
            if meant < len(tokens):
                assert said == tokens[meant]
            else:
                assert isinstance(said, dict)
            assert meant != NOTHING
    return True


@pytest.mark.parametrize(
    "program", [echo(), twice(), facts("aab")["program"], facts("sort")["program"]]
)
def test_the_reader_agrees_with_the_mechanisms(program, tmp_path):
    model = written(program, tmp_path)
    size, length = len(program.vocabulary), min(program.context, 5)
    rows = np.array([*product(range(size), repeat=length)])[:64]
    if program.prompts.inputs is not None:
        rows = np.array([[program.vocabulary.tokens.index(t) for t in "abd="], [3, 2, 1, 4]])
    assert agrees(program, model, rows)
    for variable in model["variables"]:
        assert agrees(program, model, rows, variable["node"])


@settings(max_examples=sweep(60))
@given(sequence_programs(max_context=4, depth=2))
def test_so_it_does_for_random_programs(tmp_path_factory, program):
    try:
        model = written(program, tmp_path_factory.mktemp("model"))
    except (CompileError, GroundTruthError):
        return
    rows = np.array([*product(range(len(program.vocabulary)), repeat=program.context)])[::7]
    assert agrees(program, model, rows)
    assert agrees(program, model, rows, model["variables"][-1]["node"])


def test_a_value_that_an_expression_never_has_leaves_the_answer_open(tmp_path):
    program = adder(2)
    model = written(program, tmp_path)
    node = {each["name"]: each["node"] for each in model["variables"]}
    text = "=30+40=7"
    assert READER["answer"](model, READER["run"](model, text), 7) == "0"
    carried = READER["run"](model, text, {(node["carry"], 7): True})
    assert READER["answer"](model, carried, 7) == "1"
    broken = READER["run"](model, text, {(node["sum_before"], 7): 1})
    assert READER["answer"](model, broken, 7) is None


def test_unrolled_it_has_a_variable_for_each_position_and_the_same_answers(tmp_path):
    """`run_forward` is that of MIB's class: variables by their parents, but for those that are set."""
    program = adder(2)
    model = written(program, tmp_path)
    text = "=50+70=2"
    variables, values, parents, mechanisms = READER["unrolled"](model, len(text))

    def run_forward(setting):
        found = dict(setting)
        while len(found) < len(variables):
            for name in variables:
                if name not in found and all(parent in found for parent in parents[name]):
                    found[name] = mechanisms[name](*[found[parent] for parent in parents[name]])
        return found

    inputs = {f"token@{place}": token for place, token in enumerate(text)}
    assert {name for name in variables if name.startswith("token@")} == inputs.keys()
    plain = run_forward(inputs)
    assert (plain["raw_input"], plain["raw_output"]) == (text, "1")
    assert plain["carry@7"] is True
    assert values["carry@7"] == [False, True]
    assert {"a_before@7", "b_before@7"} <= set(variables)
    assert run_forward({**inputs, "carry@7": False})["raw_output"] == "0"
