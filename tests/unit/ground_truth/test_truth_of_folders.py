"""The ground truth of a folder is that of its program: nothing is lost by reading it back."""

from __future__ import annotations

import json

import pytest
from gallery import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import (
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    predict,
    read_checkpoint,
    where,
)
from handcraft.errors import CompileError, GroundTruthError, HandcraftWarning
from handcraft.ground_truth import Wanted, of_checkpoint, of_compiled
from handcraft.ground_truth.parts import chosen_parts
from handcraft.testing import rule_programs, sequence_programs

ALIKE = ("circuit", "causal", "features", "components", "freeze")
"""The parts that are the same byte for byte, but for the places of expressions without names."""


def files_of(subject, names, examples=48):
    """The files of some parts, or why there is none."""
    found = {}
    for part in chosen_parts(names):
        try:
            found |= part.make(subject, Wanted(examples)).files
        except GroundTruthError as error:
            found[part.name] = error.what
    return found


def read_back(made, folder):
    return of_checkpoint(read_checkpoint(made.save(folder)))


def assert_alike(made, folder, names=ALIKE):
    """Program and folder have the same ground truth, byte for byte.

    A folder stores no domains. Those that follow from the mechanisms may be smaller for a condition
    that is a conjunction; then fewer interventions are counted.
    """
    name = folder.resolve().name
    before, after = files_of(of_compiled(made, name), names), files_of(read_back(made, folder), names)
    assert before.keys() == after.keys()
    if isinstance(before.get("causal_model.json"), bytes):
        one, other = (json.loads(files.pop("causal_model.json")) for files in (before, after))
        domains, narrower = one.pop("domains"), other.pop("domains")
        if domains != narrower:
            for wide, narrow in zip(domains, narrower, strict=True):
                assert wide == narrow or set(narrow) < set(wide)
            assert one["meaning"] == other["meaning"]
            for file in ("interventions.json", "featurizers.safetensors"):
                before.pop(file), after.pop(file)
        else:
            for known, again in zip(one["variables"], other["variables"], strict=True):
                if again["origin"] is None:  # it stores no place of an expression without a name
                    known["origin"] = None
            assert one == other
    assert before == after


@pytest.mark.parametrize("name", ["aab", "sort", "dyck2", "ngram", "ioi", "tictactoe"])
def test_a_folder_of_the_gallery_says_what_its_program_says(name, tmp_path):
    assert_alike(compiled(name), tmp_path / name)


@settings(max_examples=sweep(40), deadline=None)
@given(
    program=st.one_of(rule_programs(), sequence_programs(depth=2)),
    architecture=st.sampled_from(["gpt2", "block"]),
)
def test_so_does_the_folder_of_a_random_program(program, architecture, tmp_path_factory):
    try:
        made = compile_program(program, architecture=architecture)
    except CompileError:
        return
    assert_alike(made, tmp_path_factory.mktemp("random"))


def test_so_does_the_folder_of_a_model_of_values(tmp_path):
    """What it computes is stated too, so the numbers that are stored have values."""
    token = Prompts("ab", 4).token
    before = token.at(-1, default="a").named("before")
    made = compile_sequences({"before": before, "same": before == token})
    names = ("features", "components", "freeze")
    assert_alike(made, tmp_path / "values", names)
    values = json.loads(files_of(read_back(made, tmp_path / "again"), ["values"])["values.json"])[
        "values"
    ]
    assert {each["name"] for each in values if each["codewords"]} >= {"token", "before"}


def test_a_component_has_the_numbers_of_its_rules_as_they_are_written(tmp_path):
    """The second rule never fires, so the third is the second of those that do."""
    prompts = Prompts("ab", 3)
    before = prompts.token.at(-1, default="a")
    rules = [
        predict("a").when(before == "b"),
        predict("b").when((before == "a") & (before == "b")),
        predict(where(before == prompts.token, "a", "b")).otherwise(),
    ]
    with pytest.warns(HandcraftWarning, match="can never fire"):
        made = compile_program(Program(prompts=prompts, rules=rules))
    for subject in (of_compiled(made), read_back(made, tmp_path / "never")):
        data = json.loads(files_of(subject, ["components"])["components.json"])
        numbers = {number for each in data["components"] for number in each["rules"]}
        assert numbers == {1, 3}
