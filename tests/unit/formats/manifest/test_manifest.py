"""handcraft.json: where every subspace lies, and what every nonzero weight serves."""

from __future__ import annotations

import functools
import json
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from handcraft import Program, Prompts, compile_program, complete, predict, verify
from handcraft.circuits import Circuits
from handcraft.errors import CheckpointError, HandcraftWarning
from handcraft.formats import Checkpoint, read_checkpoint, save
from handcraft.testing import rule_programs
from handcraft.weights import axis_names

compile_block = functools.partial(compile_program, architecture="block")


def record_of(compiled, folder: Path):
    return json.loads((save(compiled, folder) / "handcraft.json").read_text(encoding="utf-8"))


def served_by(found: Checkpoint) -> set[str]:
    lists = [origins for served in found.origins.values() for origins in served.values()]
    return {str(origin) for origins in lists for origin in origins}


def test_it_states_architecture_sizes_and_vocabulary(with_neurons, tmp_path):
    record = record_of(with_neurons, tmp_path / "out")
    shape = with_neurons.model.shape
    assert record["handcraft"] == 2
    assert record["architecture"]["name"] == "block"
    assert record["architecture"]["norm"] == "none"
    assert record["architecture"]["activation"] == "relu"
    assert record["architecture"]["tied"] is True
    assert record["architecture"]["causal"] is True
    assert record["architecture"]["score_scale"] == pytest.approx(shape.head_dim**-0.5)
    assert record["vocabulary"] == ["a", "b", "c"]
    assert record["shape"] == {
        "n_vocab": 3,
        "n_positions": 4,
        "n_embd": shape.n_embd,
        "n_head": shape.n_head,
        "n_inner": list(shape.n_inner),
    }


def test_every_subspace_has_a_row_with_its_dimensions(source, tmp_path):
    compiled = compile_block(source)
    rows = record_of(compiled, tmp_path / "out")["layout"]
    assert [row["subspace"] for row in rows] == [s.name for s in compiled.layout.subspaces]
    end = 0
    for row, subspace in zip(rows, compiled.layout.subspaces, strict=True):
        assert row["first"] == end == compiled.layout.start[subspace]
        assert row["width"] == len(row["dimensions"]) == subspace.width
        assert row["encoding"] == subspace.encoding.value
        assert tuple(row["dimensions"]) == subspace.dimension_names
        end += row["width"]
    assert end <= compiled.model.shape.n_embd


def test_every_dimension_that_a_weight_touches_is_in_the_layout(source, tmp_path):
    compiled = compile_block(source)
    rows = record_of(compiled, tmp_path / "out")["layout"]
    laid_out = {row["first"] + i for row in rows for i in range(row["width"])}
    for name in ("wte.weight", "wpe.weight"):
        assert set(np.argwhere(compiled.model.tensors[name])[:, 1].tolist()) <= laid_out


def test_exactly_the_nonzero_weights_have_an_origin(source, format, dtype, tmp_path):
    compiled = compile_block(source, dtype=dtype)
    found = read_checkpoint(save(compiled, tmp_path / "out", format=format))
    assert list(found.origins) == list(found.model.tensors)
    for name, tensor in found.model.tensors.items():
        assert sorted(found.origins[name]) == [tuple(i) for i in np.argwhere(tensor).tolist()]
        assert all(found.origins[name].values())


@given(program=rule_programs())
@settings(max_examples=40, deadline=None)
def test_exactly_the_nonzero_weights_of_any_program_have_an_origin(program):
    compiled = compile_block(program)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # of rules that are hidden
        found = read_checkpoint(save(compiled, Path(folder) / "out"))
    for name, tensor in found.model.tensors.items():
        assert sorted(found.origins[name]) == [tuple(i) for i in np.argwhere(tensor).tolist()]


def test_origins_are_those_of_the_compiled_model(source, tmp_path):
    compiled = compile_block(source)
    found = read_checkpoint(save(compiled, tmp_path / "out"))
    for name, served in found.origins.items():
        for index, texts in served.items():
            assert list(map(str, texts)) == list(map(str, compiled.origins(name, *index)))


def test_a_weight_names_its_rule_and_the_line_it_was_written_on(tmp_path):
    rules = [predict("b").after("a"), predict("a").otherwise()]
    found = read_checkpoint(save(compile_block(Program("ab", 3, rules)), tmp_path / "out"))
    texts = {
        str(each)
        for served in found.origins.values()
        for origins in served.values()
        for each in origins
    }
    for rule in rules:
        assert f"{rule} ({Path(__file__).name}:{rule.place.line}:{rule.place.column})" in texts


def test_every_rule_that_can_fire_is_the_origin_of_some_weight(with_neurons, tmp_path):
    found = read_checkpoint(save(with_neurons, tmp_path / "out"))
    texts = {
        str(each)
        for served in found.origins.values()
        for origins in served.values()
        for each in origins
    }
    for rule in with_neurons.source.rules:
        assert any(text.startswith(str(rule)) for text in texts), f"nothing serves {rule}"


def test_the_layout_comes_back(with_neurons, tmp_path):
    folder = save(with_neurons, tmp_path / "out")
    written = json.loads((folder / "handcraft.json").read_text(encoding="utf-8"))["layout"]
    assert [
        json.loads(json.dumps(asdict(row))) for row in read_checkpoint(folder).manifest.layout
    ] == written


def test_what_rows_and_columns_stand_for_comes_back(source, tmp_path):
    compiled = compile_block(source)
    folder = save(compiled, tmp_path / "out")
    assert read_checkpoint(folder).manifest.names == axis_names(compiled.plan)


WRONG = {
    "shape.n_inner[0]: expected a whole number, not '4'": ("shape", "n_inner", ["4"]),
    "token_ids[1]: expected a whole number, not 1.5": ("token_ids", [0, 1.5, 2]),
    "names.stream[0]: expected text, not None": ("names", "stream", [None]),
    "source.rules[0].predict: expected text, not 3": ("source", "rules", [{"predict": 3}]),
    "it lacks source.rules[0].predict": ("source", "rules", [{}]),
    "layout: expected a list, not {}": ("layout", {}),
    "shape is not an object": ("shape", []),
    "source.legal: no such key is known": ("source", "legal", {}),
    "comment: no such key is known": ("comment", "by hand"),
}


@pytest.mark.parametrize(("what", "change"), WRONG.items(), ids=WRONG.keys())
def test_what_is_wrong_is_named_by_its_key(with_neurons, tmp_path, what, change):
    path = save(with_neurons, tmp_path / "out") / "handcraft.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    *within, last, value = change
    functools.reduce(dict.__getitem__, within, record)[last] = value
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path.parent)
    assert caught.value.what == f"handcraft.json is malformed: {what}"


def test_a_person_can_find_things_in_it(compiled, tmp_path):
    lines = (save(compiled, tmp_path / "out") / "handcraft.json").read_text("utf-8").splitlines()
    assert any(line.startswith('"vocabulary": ["a", "b"]') for line in lines)
    assert any("predict b after aa" in line for line in lines)


def test_tokens_outside_ascii_are_written_as_they_are(tmp_path):
    program = Program("äé猫", 2, [predict("猫").after("ä"), predict("é").otherwise()])
    folder = save(compile_block(program), tmp_path / "out")
    assert "猫" in (folder / "handcraft.json").read_text(encoding="utf-8")
    assert read_checkpoint(folder).source.meaning("ä") == "猫"


def test_tokens_that_patterns_would_misread_come_back(tmp_path):
    program = Program(
        [".", "[", "]", "^", "\\", "#", " "],
        2,
        [predict("#").after("\\."), predict(" ").after("\\[\\#"), predict("\\").otherwise()],
    )
    found = read_checkpoint(save(compile_block(program), tmp_path / "out"))
    assert isinstance(found.source, Program)
    for text in (".", "[#", "]", " ", "\\"):
        assert found.source.meaning(text) == program.meaning(text)


def test_circuits_laid_out_by_hand_are_their_own_source(laid_out_by_hand, tmp_path):
    folder = save(laid_out_by_hand, tmp_path / "out")
    assert isinstance(read_checkpoint(folder).source, Circuits)
    record = json.loads((folder / "handcraft.json").read_text(encoding="utf-8"))
    assert set(record["source"]) == {"circuits"}


def test_how_much_a_program_writes_comes_back(tmp_path):
    prompts = Prompts("ab=", context=9, inputs="[ab]{3}=", writes=3)
    there = prompts.token.at(-3, default="a").assume("ab")
    program = Program(prompts=prompts, rules=[predict(there).otherwise()])
    folder = save(compile_program(program), tmp_path / "out")
    allowed = json.loads((folder / "handcraft.json").read_text(encoding="utf-8"))["source"]["grammar"]
    assert allowed == {"inputs": "[ab]{3}=", "writes": 3}
    found = read_checkpoint(folder)
    for read in (found.prompts(), found.prompts(as_far_as_known=True)):
        assert (read.inputs, read.writes, read.context) == ("[ab]{3}=", 3, 9)
        assert read.vocabulary.tokens == prompts.vocabulary.tokens
    report = verify(found.model, found.source, prompts=found.prompts())
    assert (report.passed, report.is_exhaustive, report.tried) == (True, True, 24)
    assert complete(found.model, "abb=a", prompts=found.prompts()) == "bb"


@pytest.mark.parametrize("writes", [0, True, "3", None, 99])
def test_a_folder_that_writes_what_cannot_be_written_is_damaged(tmp_path, writes):
    prompts = Prompts("ab=", context=9, inputs="[ab]{3}=", writes=3)
    folder = save(
        compile_program(Program(prompts=prompts, rules=[predict("a").otherwise()])), tmp_path / "out"
    )
    record = json.loads((folder / "handcraft.json").read_text(encoding="utf-8"))
    record["source"]["grammar"]["writes"] = writes
    (folder / "handcraft.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointError):
        _ = read_checkpoint(folder).prompts()
