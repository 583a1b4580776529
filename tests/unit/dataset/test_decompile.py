"""The baseline decompiler, and how recovered scripts are judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

from handcraft import Program, compile_program, predict
from handcraft.dataset import Settings, decompile, score, write_dataset
from handcraft.dataset.decompile import asked_texts
from handcraft.dataset.score import records
from handcraft.errors import CheckpointError
from handcraft.testing import rule_programs


@given(rule_programs(max_tokens=3, max_context=5, max_pattern=3, max_rules=4))
@settings(max_examples=30, deadline=None)
def test_programs_that_read_few_tokens_are_recovered(program):
    model = compile_program(program, architecture="block", n_positions=program.context).model
    found = decompile(model, context=program.context)
    texts = asked_texts(len(program.vocabulary), program.context, 4_096, 0)
    rows, places = (grid.ravel() for grid in np.indices(texts.shape))
    np.testing.assert_array_equal(
        found.answers_at(texts, rows, places), program.answers_at(texts, rows, places)
    )


def test_the_script_of_a_short_program_is_short():
    aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    found = decompile(compile_program(aab, architecture="block", n_positions=5).model, context=5)
    assert repr(found) == repr(aab)


def test_a_model_that_reads_further_back_is_recovered_in_part():
    far = Program("ab", 6, [predict("b").after("a....."), predict("a").otherwise()])
    model = compile_program(far, architecture="block", n_positions=6).model
    found = decompile(model, context=6, longest=2)
    texts = asked_texts(2, 6, 64, 0)
    rows, places = (grid.ravel() for grid in np.indices(texts.shape))
    right = found.answers_at(texts, rows, places) == far.answers_at(texts, rows, places)
    assert 0.9 < right.mean() < 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("judged") / "four"
    write_dataset(target, Settings(programs=4, shard=4, architecture="block"))
    return target


def answers(tmp_path, lines):
    path = tmp_path / "scripts.jsonl"
    path.write_text(
        "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    )
    return path


def test_the_scripts_of_the_data_set_itself_are_perfect(folder, tmp_path):
    lines = [{"number": facts["number"], "graph": facts["graph"]} for facts, _ in records(folder)]
    for found in score(folder, answers(tmp_path, lines)):
        assert (found.recovered, found.equal, found.answers, found.length) == (2, 2, 1, 1)


def test_missing_unreadable_and_wrong_scripts_count_as_such(folder, tmp_path):
    (first, _), *_ = records(folder)
    tokens = " ".join(first["vocabulary"])
    rules = (
        f"vocabulary {tokens}\ncontext {first['context']}\npredict {first['vocabulary'][0]} otherwise\n"
    )
    lines = [{"number": first["number"], "text": rules}, {"number": 1, "graph": "no graph"}]
    patterns, expressions = score(folder, answers(tmp_path, lines))
    assert (patterns.programs, patterns.recovered) == (2, 1)
    assert 0 <= patterns.answers < 0.5 or patterns.equal
    assert (expressions.recovered, expressions.equal, expressions.length) == (0, 0, None)


def test_the_baseline_is_judged_like_any_other(folder):
    patterns, expressions = score(folder)
    assert (patterns.recovered, expressions.recovered) == (2, 2)


@pytest.mark.parametrize(
    "line", ["nothing", {"number": "0", "text": "x"}, {"number": 0}, {"number": 0, "text": 1}, []]
)
def test_a_line_that_is_no_script_is_refused_with_its_number(folder, tmp_path, line):
    good = {"number": 0, "text": "predict a otherwise"}
    with pytest.raises(CheckpointError, match="line 2 is no script"):
        score(folder, answers(tmp_path, [good, line]))


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"dataset\.json cannot be read"):
        score(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": 2}')
    with pytest.raises(CheckpointError, match="is not of format 1"):
        score(tmp_path)
