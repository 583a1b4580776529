"""Values without a causal mask are proved at every position of every text, and only where right."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from checked_programs import one_weight_changed
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from handcraft import Prompts, compile_sequences, save, select
from handcraft.errors import CompileError, PrecisionError
from handcraft.language.oracle.interpret import interpret
from handcraft.proofs import Proof
from handcraft.testing import declared_prompts, expressions
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.program.meaning import program_hash
from handcraft_check.prove import prove
from handcraft_check.unmasked import inputs

WEIGHTS, CERTIFICATE = "model.safetensors", "certificate.json"


def named(**options):
    """A count, a label, a flag, and a mean, each of which reads later tokens or may."""
    prompts = Prompts("abc", context=4, causal=False, **options)
    token = prompts.token
    return {
        "same": select(token, token).count(),
        "next": token.at(1, default="c"),
        "is b": token == "b",
        "balance": prompts.everything.mean(token.map({"a": 1, "b": -1, "c": 0})),
    }


def furthest(compiled, tensors, claim):
    """The largest error of any value at any position of any text, of what is allowed."""
    model = compiled.values
    model = replace(model, model=replace(model.model, tensors=tensors))
    most = 0.0
    for texts in inputs(claim.domain):
        meant = claim.meaning.values_everywhere(texts)
        with np.errstate(all="ignore"):
            numbers = model.numbers(texts)
        for i, output in enumerate(claim.meaning.outputs):
            off = np.abs(numbers[output.name] - meant[:, :, i]).max() / float(output.within)
            most = max(most, np.inf if np.isnan(off) else float(off))
    return most


@pytest.fixture(scope="module", params=["block", "gpt2"])
def made(request, tmp_path_factory):
    compiled = compile_sequences(named(), architecture=request.param)
    return compiled, save(compiled, tmp_path_factory.mktemp("values") / "model", proof="quick")


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "model")


def test_no_run_is_further_off_than_what_is_proved(made, folder):
    verdict, claim = prove(folder), read_claim(folder)
    assert (verdict.word, verdict.inputs, verdict.cases) == ("proved", 120, 120)
    assert 0 < furthest(made[0], made[0].model.tensors, claim) <= verdict.distance < 1
    said = str(verdict).splitlines()
    assert said[0] == "proved: 120 inputs, contexts of up to 4 tokens, at every position"
    assert said[2].startswith("values: off by at most ")


def test_the_folder_says_that_its_values_are_proved(folder):
    said = json.loads((folder / "handcraft.json").read_text("utf-8"))["proof"]
    assert (said["verdict"], said["values"], said["everywhere"]) == ("proved", True, True)
    assert str(Proof(**said)) == (
        "proved: at every position of every one of 120 prompts, with each value within its bound in "
        "float32"
    )


@pytest.mark.parametrize("regime", ["float32", "tf32"])
def test_it_is_proved_in_more_than_one_arithmetic(regime, tmp_path):
    save(compile_sequences(named(), architecture="block"), tmp_path / "model")
    assert prove(tmp_path / "model", regime=regime).word == "proved"


def test_what_is_stated_is_what_the_expressions_mean(folder):
    claim, nodes = read_claim(folder), [each.node for each in named().values()]
    places = {"next": {"a": 0, "b": 1, "c": 2}}
    for texts in inputs(claim.domain):
        found = claim.meaning.values_everywhere(texts)
        for row, text in enumerate(texts.tolist()):
            meant = interpret(nodes, ["abc"[place] for place in text], causal=False)
            for i, (name, line) in enumerate(zip(named(), meant, strict=True)):
                known = places.get(name)
                numbers = [known[value] if known else float(value) for value in line]
                assert found[row, :, i].tolist() == numbers, (text, name)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(["block", "gpt2"]), st.booleans())
def test_random_expressions_are_proved_as_far_as_runs_allow(data, architecture, is_restricted):
    prompts = data.draw(declared_prompts(max_tokens=3, max_context=3, causal=False))
    if is_restricted:
        first = prompts.vocabulary.tokens[0]
        allowed = f"({'|'.join(prompts.vocabulary.tokens)})*{first}"
        if any(len(token) > 1 for token in prompts.vocabulary.tokens):
            reject()
        prompts = replace(prompts, inputs=allowed)
    outputs = {f"value {i}": data.draw(expressions(prompts=prompts, depth=1)) for i in range(2)}
    try:
        compiled = compile_sequences(outputs, architecture=architecture)
    except (CompileError, PrecisionError):
        reject()
    with TemporaryDirectory() as temporary:
        folder = save(compiled, Path(temporary) / "model")
        verdict, claim = prove(folder), read_claim(folder)
    if verdict.word == "refuted":
        assert verdict.reason == "the context breaks an assumption of the program"
        return
    seen = furthest(compiled, compiled.model.tensors, claim)
    assert seen <= 1
    if verdict.word == "proved":
        assert seen <= verdict.distance <= 1


def test_a_weight_that_changes_a_value_loses_the_proof(made, folder):
    stored, claim = load_file(folder / WEIGHTS), read_claim(folder)
    words = []
    for number in range(30):
        changed, name, place = one_weight_changed(stored, number)
        save_file(changed, folder / WEIGHTS)
        verdict = prove(folder, rehash=True)
        seen = furthest(made[0], {n: changed[n] for n in made[0].model.tensors}, claim)
        words.append((verdict.word, seen <= 1))
        if verdict.word == "proved":
            assert seen <= verdict.distance <= 1, (name, place)
    assert ("proved", False) not in words
    assert ("refuted", True) not in words
    assert words.count(("refuted", False)) >= 5, words
    assert words.count(("proved", True)) >= 0.7 * sum(is_right for _, is_right in words), words


def changed_certificate(folder, change):
    certificate = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    change(certificate)
    certificate["program"] = program_hash(certificate["contexts"], certificate["meaning"])
    (folder / CERTIFICATE).write_text(json.dumps(certificate), "utf-8")


def change_output(number, **changes):
    return lambda found: found["meaning"]["answer"]["values"][number].update(**changes)


def test_a_value_that_is_wrong_at_one_position_is_refuted_there(folder):
    """`same` is stated to be one more at position 2."""

    def change(found):
        nodes, output = found["meaning"]["nodes"], found["meaning"]["answer"]["values"][0]
        count = len(nodes)
        nodes += [
            {"op": "position"},
            {"op": "table", "of": [count], "else": 0, "rows": [[2, 1]]},
            {"op": "sum", "of": [output["node"], count + 1], "factors": [1, 1], "constant": 0},
        ]
        output["node"] = count + 2

    changed_certificate(folder, change)
    verdict = prove(folder)
    assert (verdict.word, len(verdict.context)) == ("refuted", 3)
    assert verdict.reason == "same is 3, and 4 is meant at position 2"


def test_a_smaller_error_than_can_be_shown(folder):
    changed_certificate(folder, change_output(3, within={"over": [1, 1 << 40]}))
    verdict = prove(folder)
    assert verdict.word in ("unproved", "refuted")
    assert " at position " in verdict.reason


def test_another_number_than_is_meant_is_refuted(folder):
    changed_certificate(folder, change_output(0, constant={"over": [1, 2]}))
    verdict = prove(folder)
    assert verdict.word == "refuted"
    assert verdict.reason.startswith("same is ")
    assert verdict.reason.endswith(" is meant at position 0")


def test_all_texts_are_prefixes_only_with_a_mask(tmp_path):
    """What only begins an allowed text is none, and its values are not meant to be anything."""
    compiled = compile_sequences(named(inputs="[ab]c{3}"), architecture="block")
    save(compiled, tmp_path / "model", proof="quick")
    verdict = prove(tmp_path / "model")
    assert (verdict.word, verdict.inputs, verdict.cases) == ("proved", 2, 2)


def test_an_assumption_that_a_text_breaks_is_refuted(tmp_path):
    prompts = Prompts("ab", context=3, causal=False)
    many = select(prompts.token, "a").count().assume(range(3))
    save(compile_sequences({"many": many}), tmp_path / "model")
    verdict = prove(tmp_path / "model")
    assert (verdict.word, verdict.context) == ("refuted", ("a", "a", "a"))
    assert verdict.reason == "the context breaks an assumption of the program"


def test_too_many_texts_are_not_tried(folder):
    verdict = prove(folder, budget=100)
    assert (verdict.word, verdict.ran_out) == ("unproved", True)


def test_exact_bounds_of_values_are_refused(folder):
    with pytest.raises(CheckError, match="exact bounds"):
        prove(folder, exact=True)


def test_values_of_any_size_are_compared(folder):
    """A value that float64 cannot hold is unproved; one that it can hold barely is."""

    def change(found):
        nodes, outputs = found["meaning"]["nodes"], found["meaning"]["answer"]["values"]
        nodes.append({"op": "constant", "value": 1 << 2000})
        outputs[0]["node"] = len(nodes) - 1

    changed_certificate(folder, change)
    assert prove(folder).word == "unproved"


def test_a_bound_is_stated_as_with_a_mask(made):
    claim = read_claim(made[1])
    assert claim.meaning.outputs[0].within == Fraction(511, 1024)
