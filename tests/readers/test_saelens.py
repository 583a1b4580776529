"""SAELens 6.54 reads the features of every layer, and transformers computes what they add up to."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pytest
import torch
import transformers
from sae_lens.synthetic import SyntheticModel
from safetensors.torch import load_file

from handcraft.cli.input.sources import compile_found, find
from handcraft.disguise import Distract, Permute, Rotate, Split, disguise
from handcraft.ground_truth import of_compiled, of_disguise, write_ground_truth

NAMES = ["aab", "add", "copy_text", "grammar", "histogram", "ioi", "modular", "sort"]


HIDDEN = " in a disguise"


@pytest.fixture(scope="module", params=[*NAMES, *(f"{name}{HIDDEN}" for name in ("aab", "sort"))])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    compiled = compile_found(find(request.param.removesuffix(HIDDEN)).source)
    subject = of_compiled(compiled, request.param)
    if not request.param.endswith(HIDDEN):
        write_ground_truth(subject, path, what=["features"])
        return path
    made = disguise(compiled, [Split(2, 2), Distract(1, 8), Permute(), Rotate()], seed=1, untie=True)
    write_ground_truth(of_disguise(subject, made.model, made.carried), path, what=["features"])
    made.save(path / "model")
    return path


def states_of(folder):
    return json.loads((folder / "features" / "features.json").read_text())["states"]


def streams(folder, tokens):
    """The residual stream of the model in transformers: the embedding, and the output of each block."""
    with redirect_stdout(io.StringIO()):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    seen = {}

    def keep(name):
        def hook(module, given, output):
            seen.setdefault("embedding", given[0])
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    for number, block in enumerate(model.transformer.h):
        block.register_forward_hook(keep(f"h.{number}.output"))
    with torch.no_grad():
        model(tokens)
    return seen


def test_activations_times_features_are_the_stream_within_the_bound(folder):
    active = load_file(folder / "features" / "activations.safetensors")
    seen = streams(folder, active["tokens"])
    for state in states_of(folder):
        read = SyntheticModel.load_from_disk(folder / "features" / state["folder"])
        added_up = read.feature_dict(active[state["folder"]])
        assert (added_up - seen[state["folder"]]).abs().max() <= state["bound"]


def test_saelens_draws_samples_from_it_in_which_one_value_excludes_the_others(folder):
    for state in states_of(folder):
        read = SyntheticModel.load_from_disk(folder / "features" / state["folder"])
        assert read.cfg.num_features == len(state["features"])
        stream, active = read.sample_with_features(64)
        assert stream.shape == (64, read.cfg.hidden_dim)
        for root in read.hierarchy.roots if read.hierarchy else ():
            own = active[:, [child.feature_index for child in root.children]]
            assert ((own > 0).sum(dim=1) <= 1).all()


def test_a_feature_that_is_turned_off_is_missed(folder):
    active = load_file(folder / "features" / "activations.safetensors")
    seen = streams(folder, active["tokens"])
    state = states_of(folder)[0]
    read = SyntheticModel.load_from_disk(folder / "features" / state["folder"])
    changed = active[state["folder"]].clone()
    changed[..., 0] = 1 - changed[..., 0]
    assert (read.feature_dict(changed) - seen[state["folder"]]).abs().max() > 100 * state["bound"]
