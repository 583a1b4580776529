"""Python files with expressions and no program: compiled, run, verified, explained and drawn."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Prompts, compile_sequences, save, select
from handcraft.cli.output.value_table import WIDTH, value_table
from handcraft.formats import read_checkpoint

EXPRESSIONS = """\
from handcraft import Prompts, select
prompts = Prompts("abc", context={context})
token, position = prompts.token, prompts.position
seen = select(token, token).count()
often = seen >= 2
"""

OUTPUTS = """\
outputs = {
    "seen": seen,
    "share of a": prompts.everything.mean(token == "a"),
    "before": token.at(-1, default="a"),
}
"""

TABLE = """\
token       a    b    c    a    a
seen        1    1    1    2    3
share of a  1  1/2  1/3  1/2  3/5
before      a    a    b    c    a
"""


@pytest.fixture
def file(tmp_path):
    """A file that says what its outputs are."""
    path = tmp_path / "values.py"
    path.write_text(EXPRESSIONS.format(context=5) + OUTPUTS)
    return path


@pytest.fixture
def variables(tmp_path):
    """A file that does not say so."""
    path = tmp_path / "variables.py"
    path.write_text(EXPRESSIONS.format(context=5))
    return path


def test_a_table_shows_every_output_at_every_position(run, file):
    ran = run("run", file, "abcaa")
    assert (ran.status, ran.out, ran.err) == (0, TABLE, "")


def test_without_a_table_of_outputs_every_variable_that_is_computed_is_one(run, variables):
    ran = run("run", variables, "aba", "--json")
    values = {"seen": [1, 1, 2], "often": [False, False, True]}
    assert json.loads(ran.out) == {"text": "aba", "tokens": ["a", "b", "a"], "values": values}
    assert ran.err == (
        "note: no program, so each variable that is an expression is an output: seen often\n"
    )


def test_one_expression_of_a_file_may_be_named(run, file):
    assert run("run", f"{file}:often", "aba").out == (
        "token      a      b     a\noften  False  False  True\n"
    )


def test_a_program_is_what_a_file_is_about_where_it_has_one(run, tmp_path):
    path = tmp_path / "p.py"
    path.write_text(
        EXPRESSIONS.format(context=5)
        + "from handcraft import Program, predict\n"
        + 'rules = [predict("b").when(often), predict("a").otherwise()]\n'
        + "program = Program(prompts=prompts, rules=rules)\n"
    )
    assert run("run", path, "aa", "-n", 1).out == "aa :: b\n"


@pytest.mark.parametrize("architecture", [(), ("--architecture", "gpt2", "--dtype", "float64")])
def test_a_folder_gives_the_same_values_as_its_file(run, variables, architecture):
    ran = run("compile", variables, "-o", "out", *architecture, "--json")
    assert json.loads(ran.out)["outputs"] == ["seen", "often"]
    assert json.loads(ran.out)["architecture"] == (architecture[1] if architecture else "block")
    for text in ("a", "abcaa", "ccc"):
        assert run("run", "out", text).out == run("run", variables, text).out


def test_what_a_folder_holds_is_compiled_again_and_bounded_again(run, file):
    run("compile", file, "-o", "block")
    run("compile", "block", "-o", "gpt2", "--architecture", "gpt2")
    assert run("run", "gpt2", "abcaa").out == TABLE
    bounds = [
        [each["bound"] for each in json.loads(run("verify", folder, "--json").out)["outputs"]]
        for folder in ("block", "gpt2")
    ]
    assert all(0 <= bound < 1e-3 for each in bounds for bound in each)
    assert bounds[0] != bounds[1]


def test_verifying_a_file_compares_with_what_the_expressions_mean(run, file):
    ran = run("verify", file)
    assert ran.status == 0
    first, _, seen, *_, last = ran.out.splitlines()
    assert first == "tried all 363 texts: 4,923 values, compared with what the expressions mean"
    assert seen.split()[:2] == ["seen", "0"]
    assert last == "values wrong: 0"


def test_verifying_a_folder_compares_with_its_ideal_circuits(run, file):
    run("compile", file, "-o", "out")
    ran = run("verify", "out")
    assert ran.status == 0
    assert "compared with the ideal circuits in handcraft.json" in ran.out


def test_a_sample_says_that_it_is_one(run, tmp_path):
    """One of 30 texts was drawn twice."""
    path = tmp_path / "long.py"
    path.write_text(EXPRESSIONS.format(context=12) + 'outputs = {"seen": seen}\n')
    ran = run("verify", path, "--sample", 30, "--seed", 7)
    assert ran.out.startswith("tried 29 random texts of 797,160 (seed 7): ")


def test_given_prompts_are_judged_alone(run, file, tmp_path):
    (tmp_path / "prompts.txt").write_text("abc\n\naa\n")
    ran = run("verify", file, "--prompts", "prompts.txt")
    assert ran.out.startswith("tried 2 given prompts: 15 values, ")


def test_a_value_that_was_changed_is_found(run, tmp_path):
    """Weights that hold a quarter of what they should, beside circuits that are right."""
    prompts = Prompts("ab", context=4)
    compiled = compile_sequences({"a": prompts.token == "a"})
    save(compiled, tmp_path / "out", format="npz")
    tensors = {name: value.copy() for name, value in compiled.model.tensors.items()}
    tensors["wte.weight"] *= 0.25
    np.savez(tmp_path / "out" / "model.npz", **tensors)
    ran = run("verify", "out")
    assert ran.status == 1
    assert "values wrong: 0" not in ran.out


def test_an_error_above_the_proved_bound_fails(run, file, tmp_path):
    run("compile", file, "-o", "out")
    record = json.loads((tmp_path / "out" / "handcraft.json").read_text())
    record["outputs"][1]["error_bound"] = 1e-12
    (tmp_path / "out" / "handcraft.json").write_text(json.dumps(record))
    ran = run("verify", "out")
    assert ran.status == 1
    assert ran.out.endswith("values wrong: 0\n")


def test_an_allowed_prompt_that_breaks_an_assumption_is_a_failure(run, tmp_path):
    """A folder says what numbers can be; its circuits know no more of the assumption."""
    path = tmp_path / "assumed.py"
    few = 'few = seen.assume([1, 2])\noutputs = {"few": few, "label": few.map({1: "x", 2: "y"})}\n'
    path.write_text(EXPRESSIONS.format(context=3) + few)
    run("compile", path, "-o", "out")
    for source in (path, "out"):
        ran = run("verify", source)
        assert ran.status == 1
        assert "allowed prompts that break an assumption: 3\n" in ran.out


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", ["label", "flag", "number"])
def test_what_is_no_number_is_shown_as_such_and_is_wrong(run, tmp_path, kind):
    """Weights of a folder that somebody changed: their sum is infinite."""
    prompts = Prompts("ab", context=2)
    token, position = prompts.token, prompts.position
    expression = {"label": token, "flag": token == "a", "number": position * 1}[kind]
    compiled = compile_sequences({"it": expression})
    save(compiled, tmp_path / "out", format="npz")
    tensors = {name: value.copy() for name, value in compiled.model.tensors.items()}
    tensors["wpe.weight"][0] = tensors["wte.weight"][0] = 3e38
    np.savez(tmp_path / "out" / "model.npz", **tensors)
    shown = json.loads(run("run", "out", "ab", "--json").out, parse_constant=pytest.fail)
    assert "nan" in shown["values"]["it"]
    ran = run("verify", "out", "--json")
    assert ran.status == 1
    found = json.loads(ran.out, parse_constant=pytest.fail)
    assert found["wrong"] > 0
    assert found["outputs"][0]["worst_error"] is None


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_without_a_mask_too(run, tmp_path, architecture):
    path = tmp_path / "ahead.py"
    path.write_text(
        "from handcraft import Prompts, select\n"
        'prompts = Prompts("ab", context=4, causal=False)\n'
        'outputs = {"a": select(prompts.token, "a").count()}\n'
    )
    run("compile", path, "-o", "out", "--architecture", architecture)
    assert run("run", "out", "baa").out == "token  b  a  a\na      2  2  2\n"
    for source in (path, "out"):
        assert run("verify", source).out.startswith("tried all 30 texts: 98 values")


def test_only_allowed_prompts_are_run_and_verified_also_from_a_folder(run, tmp_path):
    path = tmp_path / "allowed.py"
    path.write_text(
        "from handcraft import Prompts, select\n"
        'prompts = Prompts("ab", context=4, inputs="ab*")\n'
        'outputs = {"b": select(prompts.token, "b").count()}\n'
    )
    run("compile", path, "-o", "out")
    for source in (path, "out"):
        assert run("verify", source).out.startswith("tried all 4 allowed prompts: 10 values")
        refused = run("run", source, "ba")
        assert refused.status == 2
        assert "--regardless answers any prompt" in refused.err
        assert run("run", source, "ba", "--regardless").status == 0


def test_a_tolerance_gives_numbers_that_are_not_distinguished(run, tmp_path):
    path = tmp_path / "means.py"
    path.write_text(
        "from handcraft import Prompts, select\n"
        'prompts = Prompts("ab", context=5)\n'
        "token, position = prompts.token, prompts.position\n"
        'outputs = {"mean": prompts.everything.mean(select(token, token).mean(position))}\n'
    )
    exact = run("compile", path, "-o", "out", "--architecture", "gpt2")
    assert (exact.status, exact.err.split(":")[0]) == (2, "PrecisionError")
    asked = ["--architecture", "gpt2", "--tolerance", "1e-3"]
    assert run("compile", path, "-o", "out", *asked).status == 0
    assert run("verify", "out").status == 0
    (values,) = json.loads(run("run", "out", "ab", "--json").out)["values"].values()
    assert values == [pytest.approx(0, abs=1e-3), pytest.approx(0.5, abs=1e-3)]


def test_weights_are_explained_and_drawn(run, file):
    run("compile", file, "-o", "out")
    for source in (file, "out"):
        assert "column 0: token a" in run("explain", source, "wte.weight").out
        assert run("draw", source, "-o", "values.svg").out.startswith("wrote values.svg")


@given(
    st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=12),
    st.sampled_from([0, 10**6, Fraction(1, 3), True, "label", 0.25]),
    st.text(max_size=100),
)
def test_a_table_fits_a_terminal_and_has_a_column_for_every_token(tokens, value, name):
    parts = value_table(tokens, {name: [value] * len(tokens)}).split("\n\n")
    lines = [line for part in parts for line in part.split("\n")]
    assert all(len(line) <= WIDTH for line in lines)
    assert [len(part.split("\n")) for part in parts] == [2] * len(parts)


def test_the_values_of_a_long_text_go_on_below(run, tmp_path):
    path = tmp_path / "long.py"
    path.write_text(EXPRESSIONS.format(context=60) + 'outputs = {"often": seen >= 2}\n')
    ran = run("run", path, "a" * 30)
    assert ran.out.count("token") == 3
    assert ran.out.count("True") == 29


def test_labels_flags_numbers_and_fractions_come_back_as_they_were(run, tmp_path):
    prompts = Prompts(["a", "1", "1/2"], context=3)
    token = prompts.token
    outputs = {
        "token": token,
        "flag": token == "1",
        "number": select(token, token).count(),
        "share": prompts.everything.mean(token == "a"),
    }
    compiled = compile_sequences(outputs)
    save(compiled, tmp_path / "out")
    values = read_checkpoint(tmp_path / "out").values
    texts = [["a"], ["1", "1/2", "a"]]
    assert values.apply(texts) == compiled.apply(texts)
    assert [output.domain for output in values.outputs] == [o.domain for o in compiled.outputs]
