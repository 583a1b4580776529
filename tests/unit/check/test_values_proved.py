"""Models of values are proved within what is stated, and no run is further off than is proved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from checked_programs import one_weight_changed
from json_schema import conforms
from safetensors.numpy import load_file, save_file

from handcraft import Prompts, compile_sequences, save, select
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.program.meaning import program_hash
from handcraft_check.prove import prove
from handcraft_check.verdict import Verdict

WEIGHTS, CERTIFICATE = "model.safetensors", "certificate.json"
SCHEMA = Path(__file__).parents[3] / "docs" / "certificate.schema.json"


def expressions(**options):
    """A count, a label, a flag, and a mean, of up to four tokens."""
    prompts = Prompts("abc", context=4, **options)
    token = prompts.token
    return {
        "many": select(token, "a").count(),
        "last": token.at(-1, default="c"),
        "is b": token == "b",
        "balance": prompts.everything.mean(token.map({"a": 1, "b": -1, "c": 0})),
    }


def texts_of(claim):
    for length in range(1, claim.domain.length + 1):
        yield np.array([*product(range(len(claim.token_ids)), repeat=length)])


def furthest(compiled, tensors, claim):
    """The largest error of any value at the end of any text, of what is allowed."""
    model = compiled.values
    model = replace(model, model=replace(model.model, tensors=tensors))
    most = 0.0
    for texts in texts_of(claim):
        numbers = model.numbers(texts)
        for row, text in enumerate(texts):
            values = claim.meaning.values(text)
            for output, value in zip(claim.meaning.outputs, values, strict=True):
                off = abs(numbers[output.name][row, -1] - float(value)) / float(output.within)
                most = max(most, np.inf if np.isnan(off) else off)
    return most


@pytest.fixture(scope="module", params=["block", "gpt2"])
def made(request, tmp_path_factory):
    compiled = compile_sequences(expressions(), architecture=request.param)
    return compiled, save(compiled, tmp_path_factory.mktemp("values") / "model", proof="quick")


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "model")


def test_no_run_is_further_off_than_what_is_proved(made, folder):
    verdict, claim = prove(folder), read_claim(folder)
    assert (verdict.word, verdict.inputs) == ("proved", 120)
    seen = furthest(made[0], made[0].model.tensors, claim)
    assert 0 < seen <= verdict.distance < 1
    assert str(verdict).splitlines()[2].startswith("values: off by at most ")
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_the_folder_says_that_its_values_are_proved(folder):
    said = json.loads((folder / "handcraft.json").read_text("utf-8"))["proof"]
    assert (said["verdict"], said["values"], said["margin"]) == ("proved", True, None)


def test_the_certificate_is_of_the_documented_form(folder):
    found = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    schema = json.loads(SCHEMA.read_text("utf-8"))
    assert conforms(found, schema, schema)
    assert [each["name"] for each in found["meaning"]["answer"]["values"]] == [*expressions()]
    assert "output 'last': " in str(read_claim(folder).meaning)


def test_a_number_is_stated_for_every_label(folder):
    claim = read_claim(folder)
    assert claim.meaning.values(np.array([0, 1])) == [1, 0, True, 0]
    assert claim.meaning.values(np.array([2])) == [0, 2, False, 0]


def test_a_weight_that_changes_a_value_loses_the_proof(made, folder):
    stored, claim = load_file(folder / WEIGHTS), read_claim(folder)
    short = {name: name.removeprefix("transformer.") for name in stored}
    words = []
    for number in range(16):
        changed, name, place = one_weight_changed(stored, number)
        save_file(changed, folder / WEIGHTS)
        verdict = prove(folder, rehash=True, budget=1 << 13)
        tensors = {
            short[name]: each for name, each in changed.items() if short[name] != "lm_head.weight"
        }
        with np.errstate(all="ignore"):
            seen = furthest(made[0], tensors, claim)
        words.append((verdict.word, seen <= 1))
        if verdict.word == "proved":
            assert seen <= verdict.distance <= 1, (name, place)
    assert ("proved", False) not in words
    assert ("refuted", True) not in words
    assert words.count(("refuted", False)) >= 2, words
    assert words.count(("proved", True)) >= 0.7 * sum(is_right for _, is_right in words)


def changed_outputs(folder, change):
    certificate = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    change(certificate["meaning"]["answer"]["values"])
    certificate["program"] = program_hash(certificate["contexts"], certificate["meaning"])
    (folder / CERTIFICATE).write_text(json.dumps(certificate), "utf-8")


def test_another_number_than_is_meant_is_refuted(folder):
    changed_outputs(folder, lambda outputs: outputs[0].update(constant={"over": [1, 2]}))
    verdict = prove(folder)
    assert verdict.word == "refuted"
    assert verdict.reason.startswith("many is ")
    assert verdict.reason.endswith("is meant")


def test_a_smaller_error_than_can_be_shown(folder):
    changed_outputs(folder, lambda outputs: outputs[3].update(within={"over": [1, 1 << 40]}))
    verdict = prove(folder)
    assert verdict.word in ("unproved", "refuted")
    assert "times what is allowed" in verdict.reason or "balance is" in verdict.reason


WRONG = {
    "a dimension that is not there": {"reads": [[1 << 20, 1]]},
    "a dimension twice": {"reads": [[0, 1], [0, 2]]},
    "no dimension": {"reads": [["0", 1]]},
    "a float": {"constant": 0.5},
    "nothing allowed": {"within": 0},
    "less than float64 tells apart": {"within": {"over": [1, 1 << 501]}},
    "a factor that is 0 in float64": {"reads": [[0, {"over": [1, 1 << 1100]}]]},
    "a factor that is infinite in float64": {"reads": [[0, 1 << 1100]]},
    "a constant that is infinite in float64": {"constant": 1 << 1100},
    "a label": {"node": 0},
    "no node": {"node": 1 << 20},
    "no name": {"name": 1},
    "another field": {"about": 1},
}


@pytest.mark.parametrize("what", WRONG)
def test_an_output_of_no_sense_is_refused(what, folder):
    changed_outputs(folder, lambda outputs: outputs[0].update(WRONG[what]))
    with pytest.raises(CheckError):
        prove(folder)


def test_no_outputs_and_two_of_one_name_are_refused(folder):
    before = (folder / CERTIFICATE).read_text("utf-8")
    for change in (list.clear, lambda outputs: outputs.append(outputs[0])):
        changed_outputs(folder, change)
        with pytest.raises(CheckError, match="no outputs, or two"):
            prove(folder)
        (folder / CERTIFICATE).write_text(before, "utf-8")


def test_all_that_inputs_begin_with_is_proved(tmp_path):
    compiled = compile_sequences(expressions(inputs="[ab]c{3}"), architecture="block")
    save(compiled, tmp_path / "model")
    verdict = prove(tmp_path / "model")
    assert (verdict.word, verdict.inputs) == ("proved", 2 * 4)


def test_an_assumption_that_a_text_breaks_leaves_values_unproved(tmp_path):
    prompts = Prompts("ab", context=3)
    many = select(prompts.token, "a").count().assume(range(3))
    folder = tmp_path / "model"
    save(compile_sequences({"many": many}), folder)
    verdict = prove(folder)
    assert (verdict.word, verdict.context) == ("refuted", ("a", "a", "a"))
    assert verdict.reason == "the context breaks an assumption of the program"


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_values_that_are_always_the_same_are_proved(architecture, tmp_path):
    prompts = Prompts("ab", context=2)
    token, position = prompts.token, prompts.position
    always = {
        "true": token == token,
        "false": token != token,
        "label": token.map({"a": "x", "b": "x"}),
        "number": token.map({"a": 7, "b": 7}),
        "not always": position == 1,
    }
    save(compile_sequences(always, architecture=architecture), tmp_path / "model")
    verdict = prove(tmp_path / "model")
    assert (verdict.word, verdict.inputs) == ("proved", 6), verdict.reason


def test_a_bound_is_a_part_of_what_tells_values_apart(made):
    claim = read_claim(made[1])
    assert claim.meaning.outputs[0].within == Fraction(511, 1024)
    assert claim.meaning.outputs[3].within == Fraction(511, 12 * 1024)
