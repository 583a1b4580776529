"""`handcraft ground-truth --what causal,features,components`: what is written, and what is refused."""

from __future__ import annotations

import json

from safetensors.numpy import load_file


def test_the_parts_are_written_beside_a_manifest_with_their_hashes(run, tmp_path):
    ran = run("ground-truth", "aab", "-o", "out", "--what", "causal,features,components")
    assert ran.status == 0, ran.err
    files = ran.out.splitlines()[0].removeprefix("wrote out/: ").split(", ")
    assert {"causal_model.json", "featurizers.safetensors", "features/", "components.json"} < {*files}
    manifest = json.loads((tmp_path / "out" / "ground_truth.json").read_text())
    assert list(manifest["parts"]) == ["causal", "features", "components"]
    assert all((tmp_path / "out" / name).is_file() for name in manifest["files"])
    assert "features/embedding/synthetic_model_config.json" in manifest["files"]
    assert load_file(tmp_path / "out" / "features" / "activations.safetensors")["tokens"].size


def test_the_same_command_gives_the_same_bytes_and_replaces_the_folder(run, tmp_path):
    def written():
        assert run("ground-truth", "aab", "-o", "out", "--what", "causal,features").status == 0
        paths = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
        return {path.relative_to(tmp_path): path.read_bytes() for path in paths}

    assert written() == written()


def test_a_folder_without_program_has_no_causal_model_and_the_program_has(run, tmp_path):
    run("compile", "parity", "-o", "folder")
    ran = run("ground-truth", "folder", "-o", "out", "--what", "causal")
    assert ran.status == 2
    what, where, fix = ran.err.splitlines()[:3]
    assert "of folder only circuits are known, and no program that they are for" in what
    assert where.startswith("  where: ")
    assert fix.startswith("  fix:   name the program")
    assert not (tmp_path / "out").exists()
    assert run("ground-truth", "parity", "-o", "out", "--what", "causal").status == 0
    ran = run("ground-truth", "folder", "-o", "other", "--examples", "32")
    assert ran.status == 0
    assert "no causal: of folder only circuits are known" in ran.err


def test_a_folder_of_patterns_has_a_causal_model(run, tmp_path):
    run("compile", "aab", "-o", "folder")
    ran = run("ground-truth", "folder", "-o", "out", "--what", "causal,components")
    assert ran.status == 0, ran.err
    data = json.loads((tmp_path / "out" / "causal_model.json").read_text())
    assert [variable["name"] for variable in data["variables"]] == ["token", "token.at(-1)"]
    assert all(v["interventions"]["right"] == v["interventions"]["tried"] for v in data["variables"])
