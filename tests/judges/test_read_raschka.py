"""A model built from scratch in PyTorch, as in Raschka's book, is read back from its state dict."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from judges import judge

from handcraft import Program, compile_program, complete, load, predict
from handcraft.errors import CheckpointError, HandcraftError
from handcraft.formats.raschka_file import write_raschka

torch = judge("torch")
safetensors_torch = judge("safetensors.torch")
GPTModel = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "from_scratch.py"))["GPTModel"]

CONFIG = {
    "vocab_size": 7,
    "context_length": 6,
    "emb_dim": 12,
    "n_heads": 3,
    "n_layers": 2,
    "drop_rate": 0.1,
    "qkv_bias": False,
}


def write(folder, config=CONFIG, dtype=torch.float32, change=lambda state: None):
    """A seeded model, saved as a reader of the book would save it."""
    torch.manual_seed(0)
    model = GPTModel(config).to(dtype).eval()
    state = model.state_dict()
    change(state)
    safetensors_torch.save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return model


def greedy(model, ids, count):
    """Greedy generation that sees the last `context_length` tokens, as the book's loop does."""
    ids = torch.tensor([ids])
    for _ in range(count):
        with torch.no_grad():
            logits = model(ids[:, -CONFIG["context_length"] :])
        ids = torch.cat([ids, logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    return ids[0].tolist()


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_logits_are_those_of_the_reader_s_own_model(tmp_path, dtype, has_bias):
    theirs = write(tmp_path, {**CONFIG, "qkv_bias": has_bias}, dtype)
    ours = load(tmp_path)
    ids = np.random.default_rng(0).integers(0, 7, (4, 6))
    with torch.no_grad():
        wanted = theirs(torch.tensor(ids)).numpy()
    assert np.abs(ours.forward(ids) - wanted).max() < (1e-5 if dtype == torch.float32 else 1e-13)


def test_generation_goes_on_past_the_context_as_theirs_does(tmp_path):
    theirs, ours = write(tmp_path), load(tmp_path)
    tokens = complete(ours, ["#1", "#2", "#3"], 12).split()
    assert [int(token[1:]) for token in tokens] == greedy(theirs, [1, 2, 3], 12)[3:]


def test_a_trace_has_every_intermediate(tmp_path):
    write(tmp_path)
    trace = load(tmp_path).trace(["#1", "#2", "#3"])
    assert trace["h.1.attn.pattern"].shape == (3, 3, 3)
    np.testing.assert_allclose(trace["h.1.attn.pattern"].sum(axis=-1), 1, rtol=1e-6)


def test_what_was_written_for_the_book_s_model_is_read_back_with_its_tokens(tmp_path):
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    compile_program(program).save(tmp_path / "aab", format="raschka")
    assert complete(load(tmp_path / "aab"), "aab", 10) == "aabaabaaba"


def test_a_state_dict_that_was_trained_further_is_read_too(tmp_path):
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    write_raschka(compile_program(program).model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    model = GPTModel(config)
    model.load_state_dict(safetensors_torch.load_file(tmp_path / "model.safetensors"))
    with torch.no_grad():
        model.out_head.weight[0] += 1
    safetensors_torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    read = load(tmp_path)
    difference = read.tensors["lm_head.weight"] - read.tensors["wte.weight"]
    assert (difference[0] == 1).all()
    assert (difference[1:] == 0).all()


def drop(name):
    return lambda state: state.pop(name)


def set_to(name, values):
    return lambda state: state.update({name: values})


BAD = {
    "fewer blocks": ({"n_layers": 3}, None, "n_layers is 3, and the file has tensors of 2 blocks"),
    "another width": ({"emb_dim": 24}, None, "by config.json it should be"),
    "no head": ({}, drop("out_head.weight"), "the file lacks out_head.weight"),
    "another tensor": ({}, set_to("odd", torch.zeros(1)), "the file has 'odd', unknown to GPTModel"),
    "biases": ({"qkv_bias": True}, None, "att.W_query.bias"),
    "uneven heads": ({"n_heads": 5}, None, "emb_dim=12 dimensions do not make n_heads=5 equal heads"),
    "whole numbers": (
        {},
        set_to("final_norm.scale", torch.ones(12, dtype=torch.int64)),
        "final_norm.scale is of type 'I64'",
    ),
    "not a number": ({}, set_to("final_norm.scale", torch.full((12,), torch.nan)), "has nan at"),
}


@pytest.mark.parametrize(("config", "change", "message"), BAD.values(), ids=BAD)
def test_files_that_contradict_each_other_are_refused(tmp_path, config, change, message):
    write(tmp_path, change=change or (lambda state: None))
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **config}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


def test_every_wrong_size_of_the_config_is_reported_at_once(tmp_path):
    write(tmp_path)
    wrong = {**CONFIG, "n_heads": 0, "n_layers": "two", "qkv_bias": 1}
    (tmp_path / "config.json").write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(HandcraftError) as caught:
        load(tmp_path)
    assert {problem.what for problem in caught.value.problems} == {
        "n_heads is 0",
        "n_layers is 'two'",
        "qkv_bias is 1",
    }


def test_a_pickle_is_refused_with_the_line_that_replaces_it(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pickles are not read"):
        load(tmp_path)
