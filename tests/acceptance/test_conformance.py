"""A pack of known answers: what is in it, and engines that fail in every way."""

import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conformance_pack import quick_pack, shared_pack
from json_schema import conforms
from sweeps import DEEP

from handcraft.conformance import read_pack, run_pack, write_pack
from handcraft.conformance.cases.all_cases import Contents, contents
from handcraft.conformance.pack.case import Margin
from handcraft.conformance.pack.proofs import proved_of, with_proofs
from handcraft.conformance.pack.read_pack import CASES, MANIFEST, hash_of
from handcraft.conformance.run.prove_pack import prove_pack
from handcraft.conformance.run.write_reports import as_json, as_junit
from handcraft.errors import HandcraftError
from handcraft_check.prove import prove

ROBUST = 100
"""The margin of robust models in units in the last place, in every dtype."""

SHORT = {"position-last-17", "recall-page-16-slot-15", "hops-every-0", "position-last-1"}


def test_the_margins_of_robust_models_hold_in_every_dtype():
    gpt2 = {"aab", "pairs", "induction", "position", "recall", "hops", "untied"}
    llama = {"llama-aab", "llama-pairs", "rope", "groups-4-2", "groups-8-4", "groups-8-2", "window"}
    llama |= {"frequencies", "window-6"}
    halves = {"window": {"float32", "float16"}}
    tried = 0
    for case in shared_pack().cases:
        if case.model in gpt2 | llama and case.kind != "encode":
            dtypes = halves.get(case.model, {"float32", "bfloat16", "float16"})
            assert set(case.margins) == dtypes, case.id
            assert all(margin.ulp >= ROBUST for margin in case.margins.values()), case.id
            tried += 1
    assert tried > 150


def test_the_cases_conform_to_their_schema():
    schema = json.loads(files("handcraft.conformance.pack").joinpath("cases.schema.json").read_text())
    data = json.loads((shared_pack().folder / CASES).read_text())
    assert conforms(data, schema, schema)
    data["cases"][0]["kind"] = "sing"
    assert not conforms(data, schema, schema)


def test_margins_are_proved_in_every_dtype(tmp_path):
    """A few models that are proved in an instant; all of them in tests/judges, in a deep run."""
    pack = shared_pack()
    models = ("aab", "hops", "untied", "rope", "groups-8-4", "llama-norm", "beams")
    cases = [case for case in pack.cases if case.model in models]
    folders = {name: pack.folder / pack.models[name].formats["huggingface"] for name in models}
    for case in with_proofs(cases, folders):
        for margin in filter(None, case.margins.values()):
            assert margin.proved is not None, case.id
            assert 0 < margin.proved <= margin.logit * 1.001, case.id
            if case.model in ("aab", "hops", "untied", "rope", "groups-8-4"):
                assert margin.proved * margin.ulp / margin.logit >= ROBUST, case.id


def test_a_wrong_answer_of_a_pack_is_not_proved():
    pack = shared_pack()
    case = next(case for case in pack.cases if case.id == "hops-every-0")
    wrong = replace(case, answers=(((1,), *case.answers[0][1:]),))
    folder = pack.folder / pack.models["hops"].formats["huggingface"]
    assert set(proved_of([case], folder, "float32")) == {case.id}
    assert proved_of([wrong], folder, "float32") == {}


@pytest.mark.parametrize("name", ["aab", "llama-aab"])
def test_a_compiled_model_carries_a_certificate_that_is_proved(name):
    folder = shared_pack().folder / shared_pack().models[name].formats["huggingface"]
    assert prove(folder).word == "proved"


def test_proofs_are_repeated_and_compared_with_what_is_stated():
    pack = shared_pack()
    pack = replace(pack, models={"hops": pack.models["hops"]})
    found = prove_pack(pack, "float32")
    assert len(found) == sum(case.model == "hops" for case in pack.cases)
    assert all(each.found and each.is_as_stated for each in found)
    assert not replace(found[0], stated=Margin(1.0, 1.0, 1e6)).is_as_stated
    assert not replace(found[0], stated=Margin(1.0, 1.0, 1.0), found=None).is_as_stated


def test_the_fewest_cases_find_and_tell_apart_every_fault():
    pack, few = shared_pack(), quick_pack()
    assert len(few.cases) < len(pack.cases) / 5
    signatures = {fault: signature(few, fault) for fault in pack.faults}
    assert len(set(signatures.values())) == len(pack.faults)
    assert all(any(each) for each in signatures.values())


def signature(pack, fault):
    """What a fault answers in each case; None where that is right."""
    return tuple(
        next((wrong.answer for wrong in case.wrong if fault in wrong.faults), None)
        for case in pack.cases
    )


def test_the_documentation_states_what_is_in_the_pack():
    pack = shared_pack()
    text = Path("docs/conformance.md").read_text()
    written = f"{len(pack.models)} models, {len(pack.cases)} cases, {len(pack.faults)} faults"
    assert f"wrote pack/: {written}" in text
    for name in pack.models:
        assert f"`{name}`" in text or f"`-{name.split('-', 1)[1]}`" in text, name
    for row in re.findall(r"^\| .* \| (\d+) \| (\d+) \| (\d+)", text, re.MULTILINE):
        assert sum(map(int, row)) == len(pack.cases), row


def test_ids_are_unique_and_every_fault_is_seen_by_a_case():
    pack = shared_pack()
    ids = [case.id for case in pack.cases]
    assert len(set(ids)) == len(ids)
    seen = {fault for case in pack.cases for wrong in case.wrong for fault in wrong.faults}
    assert seen == set(pack.faults)


def test_no_two_faults_are_the_same_in_all_cases():
    pack = shared_pack()
    signatures = {}
    for fault in pack.faults:
        signatures.setdefault(signature(pack, fault), []).append(fault)
    assert [each for each in signatures.values() if len(each) > 1] == []


SOME = ("hops", "rope", "window", "llama-aab", "frequencies")


def test_a_pack_is_small():
    folder = shared_pack().folder
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 20_000_000


def test_a_pack_has_the_same_bytes_twice(tmp_path, monkeypatch):
    """Some models and their cases, written anew; all in a deep run."""
    folder, whole = shared_pack().folder, contents()
    if not DEEP:
        models = {name: whole.models[name] for name in SOME}
        cases = tuple(case for case in whole.cases if case.model in models)
        monkeypatch.setattr(
            "handcraft.conformance.pack.write_pack.contents", lambda: Contents(models, cases)
        )
    again = write_pack(tmp_path / "pack", is_proved=False)
    same = {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()}
    lines = same.pop(Path(CASES)).splitlines()
    manifest = json.loads(same.pop(Path(MANIFEST)))
    assert len(same) > 10
    assert all(data == (folder / path).read_bytes() for path, data in same.items())
    assert {line.rstrip(b",") for line in lines} <= {
        line.rstrip(b",") for line in (folder / CASES).read_bytes().splitlines()
    }
    if DEEP:
        assert manifest["hash"] == shared_pack().hash


@pytest.mark.parametrize(
    "name", [CASES, MANIFEST, "models/hops/onnx/model.onnx", "models/scale/huggingface/config.json"]
)
def test_an_edited_pack_is_refused_with_the_name_of_the_file(tmp_path, name):
    folder = tmp_path / "pack"
    shutil.copytree(shared_pack().folder, folder)
    path = folder / name
    data = path.read_bytes()
    if name == MANIFEST:
        path.write_bytes(data.replace(b"counts left padding", b"enjoys left padding"))
    else:
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    with pytest.raises(HandcraftError, match=re.escape(path.name)):
        read_pack(folder)
    path.unlink()
    with pytest.raises(HandcraftError, match=re.escape(path.name)):
        read_pack(folder)


def test_a_file_that_was_added_to_a_pack_is_refused(tmp_path):
    folder = tmp_path / "pack"
    shutil.copytree(shared_pack().folder, folder)
    (folder / "models/hops/huggingface/adapter_config.json").write_text("{}")
    with pytest.raises(HandcraftError, match=r"adapter_config\.json is not of the pack"):
        read_pack(folder)


def test_a_pack_of_another_version_is_refused(tmp_path):
    manifest = {"version": 99, "files": {}}
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "hash": hash_of(manifest)}))
    with pytest.raises(HandcraftError, match="the pack is of version 99"):
        read_pack(tmp_path)


def run_failing(name, seconds=20.0, ids=SHORT):
    pack = shared_pack()
    pack = replace(pack, cases=tuple(case for case in pack.cases if case.id in ids))
    return run_pack(pack, f"failing_engines:{name}", seconds=seconds)


@pytest.mark.parametrize(
    ("name", "states", "says"),
    [
        (
            "Crashes",
            {"position-last-17": "crashed", "position-last-1": "passed"},
            "exit code 7: out of pages",
        ),
        (
            "Killed",
            {"position-last-17": "crashed", "position-last-1": "crashed"},
            "ended with signal 9",
        ),
        ("Raises", {"position-last-17": "error"}, "raises an error: RuntimeError: no kernel for this"),
        ("TooFew", {"position-last-17": "failed"}, "gives 1024 logits, and the model has 1025"),
        ("NotNumbers", {"position-last-17": "failed"}, "gives logits that are not finite numbers"),
        ("Nothing", {"position-last-17": "error"}, "raises an error: "),
        (
            "CannotLoad",
            {"position-last-17": "error"},
            "cannot load position, recall: ValueError: unknown",
        ),
    ],
)
def test_the_runner_goes_on_whatever_an_engine_does(name, states, says):
    run = run_failing(name)
    found = {result.id: result.state for result in run.results}
    assert found == {**dict.fromkeys(found, "skipped"), **found, **states}
    assert any(says in finding.says for finding in run.findings), run.findings
    assert found["hops-every-0"] == "skipped"
    assert not run.passed


def test_an_engine_that_hangs_is_stopped_and_started_again():
    run = run_failing("Hangs", seconds=2.0)
    found = {result.id: result.state for result in run.results}
    assert found["position-last-17"] == found["recall-page-16-slot-15"] == "hung"
    assert found["position-last-1"] == "passed"
    assert any("gave no answer within 2 s" in finding.says for finding in run.findings)


def test_ids_outside_the_vocabulary_and_texts_of_another_length_are_described():
    run = run_failing(
        "Other", ids={"position-ids-as-ends", "position-ends-where-asked", "position-batch-generated"}
    )
    says = {result.id: result.says for result in run.results}
    assert says["position-ids-as-ends"] == "stops after 0 of 12 tokens"
    assert says["position-ends-where-asked"] == "goes on after 6 tokens"
    assert "answers with id 1000000, and the model has ids up to 1024" in says.values()


def test_reports_are_valid_and_count_the_same():
    run = run_failing("Crashes")
    suite = ElementTree.fromstring(as_junit(run))
    assert suite.get("tests") == str(len(run.results)) == "4"
    assert suite.get("errors") == "2"
    assert suite.get("skipped") == "1"
    data = json.loads(as_json(run))
    assert data["counts"] == {"passed": 1, "crashed": 2, "skipped": 1}
    assert data["passed"] is False
    assert data["findings"][0]["cases"]
