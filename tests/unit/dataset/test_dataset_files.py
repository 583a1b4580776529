"""A data set of programs and weights: what is in its files, and that they are the same each time."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from handcraft import compile_program, parse_rules
from handcraft.dataset import Settings, decompile, write_dataset
from handcraft.dataset.record import digest, make_program
from handcraft.dataset.score import records
from handcraft.dataset.script import NONE, Script
from handcraft.errors import ArchitectureError, CheckpointError, LimitError

SMALL = Settings(programs=6, shard=4, architecture="block")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("dataset") / "six"
    write_dataset(target, SMALL)
    return target


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_files_are_a_card_a_manifest_and_pairs_of_shards(folder):
    assert sorted(contents(folder)) == [
        "README.md",
        "dataset.json",
        "shard-00000.jsonl",
        "shard-00000.safetensors",
        "shard-00001.jsonl",
        "shard-00001.safetensors",
    ]
    said = json.loads((folder / "dataset.json").read_text())
    assert [shard["programs"] for shard in said["shards"]] == [4, 2]
    for shard in said["shards"]:
        for kind, stated in shard["sha256"].items():
            assert sha256((folder / f"{shard['name']}.{kind}").read_bytes()).hexdigest() == stated


def test_the_same_settings_give_the_same_bytes_with_any_number_of_workers(folder, tmp_path):
    with ProcessPoolExecutor(2) as pool:
        write_dataset(tmp_path / "again", SMALL, executor=pool)
    assert contents(tmp_path / "again") == contents(folder)


def test_another_seed_gives_other_programs():
    made = {seed: [repr(make_program(seed, number)[1]) for number in range(20)] for seed in range(3)}
    for seed in (1, 2):
        assert sum(one == other for one, other in zip(made[0], made[seed], strict=True)) < 3


def test_every_line_is_true_of_its_model(folder):
    listed = [*records(folder)]
    assert len(listed) == 6
    for facts, model in listed:
        _, program = make_program(0, facts["number"])
        compiled = compile_program(program, architecture="block", n_positions=program.context).model
        assert model == compiled
        assert facts["sha256"] == digest(model.tensors)
        assert facts["python"] == repr(program)
        assert (facts["parameters"], facts["rules"]) == (model.parameters, len(program.rules))
        for example in facts["examples"]:
            assert program.meaning(example["prompt"]) == example["answer"]


def test_a_data_set_of_llamas_has_their_tensors_and_says_so(tmp_path):
    folder = write_dataset(tmp_path / "llamas", replace(SMALL, architecture="llama")).folder
    assert "as in checkpoints of Llama" in (folder / "README.md").read_text()
    listed = [*records(folder)]
    assert len(listed) == 6
    for facts, model in listed:
        _, program = make_program(0, facts["number"])
        length = program.context
        assert model == compile_program(program, architecture="llama", n_positions=length).model
        assert model.context == length
        for example in facts["examples"]:
            assert program.meaning(example["prompt"]) == example["answer"]
        found = decompile(model, context=length)
        assert found.meaning(facts["examples"][0]["prompt"]) in model.vocabulary


def test_another_architecture_is_refused_before_anything_is_made():
    with pytest.raises(ArchitectureError, match="not made for the architecture 'gpt3'") as caught:
        Settings(architecture="gpt3")
    assert "gpt2, block or llama" in str(caught.value) or "'llama'" in str(caught.value)


def test_every_script_means_what_the_model_answers(folder):
    for facts, model in records(folder):
        tokens = tuple(facts["vocabulary"])
        texts = np.random.default_rng(0).integers(0, len(tokens), size=(200, facts["context"]))
        answers = model.forward(texts).argmax(axis=-1)
        np.testing.assert_array_equal(Script.of_graph(facts["graph"], tokens).answers(texts), answers)
        if facts["text"] is not None:
            rows, places = np.indices(texts.shape)
            found = parse_rules(facts["text"]).answers_at(texts, rows.ravel(), places.ravel())
            np.testing.assert_array_equal(found.reshape(texts.shape), answers)


def test_a_script_without_a_rule_that_fires_has_no_answer():
    script = Script.of_graph(
        "%1 = token : {'a', 'b'}\n%2 = table %1 {'a': True, 'b': False} : flag\n"
        "%3 = constant 'b' : {'b'}\n'rule' = %3 if %2",
        ("a", "b"),
    )
    assert script.answers(np.array([[0, 1, 0]])).tolist() == [[1, NONE, 1]]


def test_a_folder_with_something_else_is_left_alone(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="something else"):
        write_dataset(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("changed", [{"programs": 0}, {"seed": -1}, {"shard": 0}, {"sample": 0}])
def test_numbers_out_of_range_are_refused(changed):
    with pytest.raises(LimitError, match="is not between"):
        Settings(**changed)
