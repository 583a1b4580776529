"""The folder: all of it or nothing, and the same bytes at every run."""

from __future__ import annotations

import hashlib
import json

import pytest
from gallery import compiled

from handcraft.errors import CheckpointError, GroundTruthError
from handcraft.ground_truth import PARTS, of_compiled, write_ground_truth
from handcraft.ground_truth.part import Part


def contents(folder):
    """Every file of a folder, by its path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_two_runs_write_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        compiled("aab").ground_truth(tmp_path / name, examples=32)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_manifest_has_the_hash_of_every_file(tmp_path):
    compiled("aab").ground_truth(tmp_path / "out", examples=32)
    written = contents(tmp_path / "out")
    manifest = json.loads(written.pop("ground_truth.json"))
    listed = manifest["files"] | {f"model/{k}": v for k, v in manifest["model"]["files"].items()}
    assert listed == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in written.items()
    }
    assert manifest["settings"] == {"examples": 32, "seed": 0}


def test_an_earlier_output_is_replaced(tmp_path):
    out = tmp_path / "out"
    compiled("aab").ground_truth(out, what=["values"], examples=32)
    compiled("induction").ground_truth(out, what=["values"], examples=32)
    assert json.loads((out / "ground_truth.json").read_text())["model"]["files"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("all of it")
    with pytest.raises(CheckpointError, match=r"contains something else: thesis\.txt"):
        compiled("aab").ground_truth(out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_nothing_is_left_of_a_run_that_fails(tmp_path, monkeypatch):
    def fails(subject, wanted):
        raise RuntimeError

    broken = Part("values", "", (), fails)
    monkeypatch.setattr("handcraft.ground_truth.parts.PARTS", (broken,))
    with pytest.raises(RuntimeError):
        write_ground_truth(of_compiled(compiled("aab")), tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_a_part_that_a_model_lacks_is_left_out_unless_it_is_asked_for(tmp_path, monkeypatch):
    def lacks(subject, wanted):
        raise GroundTruthError("there is none", fix="ask for another")

    monkeypatch.setattr("handcraft.ground_truth.parts.PARTS", (*PARTS, Part("none", "", (), lacks)))
    subject = of_compiled(compiled("aab"))
    written = write_ground_truth(subject, tmp_path / "out")
    assert written.left_out == (("none", "there is none"),)
    assert json.loads((tmp_path / "out" / "ground_truth.json").read_text())["left_out"] == {
        "none": "there is none"
    }
    with pytest.raises(GroundTruthError, match="there is none"):
        write_ground_truth(subject, tmp_path / "other", what=["none"])
    assert not (tmp_path / "other").exists()


def test_an_unknown_part_is_named_with_those_that_there_are(tmp_path):
    with pytest.raises(GroundTruthError) as caught:
        compiled("aab").ground_truth(tmp_path / "out", what=["value"])
    assert caught.value.fix == "did you mean values?"
