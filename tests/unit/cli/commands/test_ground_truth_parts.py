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


def test_a_folder_of_expressions_has_the_causal_model_of_its_program(run, tmp_path):
    run("compile", "parity", "-o", "folder")
    for name in ("folder", "parity"):
        ran = run("ground-truth", name, "-o", f"{name} out", "--what", "causal", "--examples", "32")
        assert ran.status == 0, ran.err
    of_folder, of_program = (
        json.loads((tmp_path / f"{name} out" / "causal_model.json").read_text())["variables"]
        for name in ("folder", "parity")
    )
    names = [[variable["name"] for variable in each] for each in (of_folder, of_program)]
    assert names[0] == names[1]


def test_a_folder_of_patterns_has_a_causal_model(run, tmp_path):
    run("compile", "aab", "-o", "folder")
    ran = run("ground-truth", "folder", "-o", "out", "--what", "causal,components")
    assert ran.status == 0, ran.err
    data = json.loads((tmp_path / "out" / "causal_model.json").read_text())
    assert [variable["name"] for variable in data["variables"]] == ["token", "token.at(-1)"]
    assert all(v["interventions"]["right"] == v["interventions"]["tried"] for v in data["variables"])
