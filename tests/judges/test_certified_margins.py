"""No run shows a lower margin than the one that is proved: whoever computes, in whatever order."""

from __future__ import annotations

import json
import runpy
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from gallery import compiled
from judges import judge
from sweeps import DEEP

from handcraft.cli.input.shipped import shipped_proofs
from handcraft.formats.onnx.onnx_file import write_onnx
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

torch = judge("torch")
transformers = judge("transformers")
onnxruntime = judge("onnxruntime")

JUDGED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "judged_folders.py"))
logits, permuted, least_margin_of = (JUDGED[n] for n in ("logits", "permuted", "least_margin_of"))

QUICK = ("aab", "parity", "reverse")

NAMES = [name for name, proof in shipped_proofs().items() if proof["verdict"] == "proved"]
"""Every program of the gallery that is proved."""

BATCHES = (1, 3, 1_000)
"""How many texts are run at once."""


@pytest.fixture(scope="module", params=NAMES if DEEP else QUICK)
def case(request, tmp_path_factory):
    """A folder, its files, the proved margin, and contexts: the one of the margin, and random ones."""
    folder = compiled(request.param).save(tmp_path_factory.mktemp("certified") / request.param)
    verdict, claim = prove(folder), read_claim(folder)
    assert verdict.word == "proved"
    worst = [claim.meaning.vocabulary.index(token) for token in verdict.context]
    contexts = JUDGED["drawn_contexts"](claim, Random(request.param), 8, [worst])
    return folder, JUDGED["Original"].read(folder), verdict.margin, contexts


def check(run, margin, contexts):
    """Raise unless every margin is at least the proved one, whatever the size of a batch."""
    for size in BATCHES:
        batches = [
            (ids[start : start + size], meant[start : start + size])
            for ids, meant in contexts
            for start in range(0, len(ids), size)
        ]
        assert least_margin_of(run, batches) >= margin, size


def test_numpy(case):
    _, files, margin, contexts = case
    check(lambda ids: logits(files, ids), margin, contexts)


def test_numpy_with_dimensions_and_units_in_another_order(case):
    _, files, margin, contexts = case
    for seed in range(3):
        other = permuted(files, np.random.default_rng(seed))
        assert (
            other.tensors["transformer.wte.weight"] != files.tensors["transformer.wte.weight"]
        ).any()
        check(lambda ids, other=other: logits(other, ids), margin, contexts)


FEW = (("eager", False, 1), ("sdpa", False, 2), ("eager", True, 2))

EVERY = tuple(product(("eager", "sdpa"), (False, True), (1, 2)))


@pytest.mark.parametrize(("attention", "is_permuted", "threads"), EVERY if DEEP else FEW)
def test_transformers(case, attention, is_permuted, threads, tmp_path, one_thread):
    folder, files, margin, contexts = case
    if is_permuted:
        permuted(files, np.random.default_rng(0)).write(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text("utf-8"))
        assert config["n_embd"] == files.config["n_embd"]
        folder = tmp_path
    torch.set_num_threads(threads)
    model = transformers.GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    ).eval()

    def run(ids):
        with torch.no_grad():
            return model(torch.from_numpy(ids)).logits[:, -1].numpy()

    check(run, margin, contexts)


@pytest.mark.parametrize("threads", [1, 2])
def test_onnx_runtime(case, threads, tmp_path):
    folder, _, margin, contexts = case
    write_onnx(compiled(folder.name).model, tmp_path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options)
    (name,) = [each.name for each in session.get_inputs()]
    check(lambda ids: session.run(["logits"], {name: ids})[0][:, -1], margin, contexts)
