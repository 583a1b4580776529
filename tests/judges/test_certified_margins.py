"""No run shows a lower margin than the one that is proved: whoever computes, in whatever order.

Every proved program of the gallery is run. The margin of one whose proof takes long is that of
programs/proofs.json, which `handcraft list` shows.
"""

from __future__ import annotations

import numpy as np
import pytest
from certified import JUDGED, THREADS, VARIANTS, Certified, drawn, last_logits
from gallery import facts
from judges import judge
from sweeps import DEEP

from handcraft import compile_program, load, save
from handcraft.cli.input.shipped import shipped_proofs
from handcraft.formats.onnx.onnx_file import write_onnx
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

torch = judge("torch")
transformers = judge("transformers")
onnxruntime = judge("onnxruntime")

PROOFS = {name: proof for name, proof in shipped_proofs().items() if proof["verdict"] == "proved"}
"""What is proved of the gallery."""

QUICK = ("aab", "by_hand", "dyck1", "ngram", "parity", "reverse")
"""Programs that are proved here, in all runs."""


@pytest.fixture(scope="module", params=PROOFS)
def case(request, tmp_path_factory):
    """A program with the margin that is proved, its worst context where that is known, and others."""
    name, found = request.param, facts(request.param)
    folder = tmp_path_factory.mktemp("certified") / name
    source = found.get("program") or found["circuits"]
    save(compile_program(source), folder, meaning=found.get("means"))
    claim, proof = read_claim(folder), PROOFS[name]
    margin, distance, worst = proof["margin"], proof.get("distance", np.inf), []
    if DEEP or name in QUICK:
        verdict = prove(folder)
        assert verdict.word == "proved"
        margin = verdict.margin
        distance = np.inf if verdict.within is None else verdict.distance
        worst = [claim.meaning.vocabulary.index(token) for token in verdict.context]
    files = JUDGED["Original"].read(folder)
    return Certified(folder, files, claim, margin, distance, drawn(claim, name, worst))


def test_numpy(case):
    case.check(lambda ids: JUDGED["logits"](case.files, ids))
    model = load(case.folder)
    case.check(lambda ids: model.forward(ids)[:, -1])


def test_numpy_with_dimensions_and_units_in_another_order(case):
    for seed in range(3 if DEEP else 1):
        other = JUDGED["permuted"](case.files, np.random.default_rng(seed))
        changed = [
            name for name in other.tensors if (other.tensors[name] != case.files.tensors[name]).any()
        ]
        assert changed
        case.check(lambda ids, other=other: JUDGED["logits"](other, ids))


@pytest.mark.parametrize(("attention", "is_permuted", "threads"), VARIANTS)
def test_transformers(case, attention, is_permuted, threads, tmp_path, one_thread):
    folder = case.folder
    if is_permuted:
        folder = tmp_path
        JUDGED["permuted"](case.files, np.random.default_rng(0)).write(folder)
    model = transformers.GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    ).eval()
    torch.set_num_threads(threads)
    case.check(last_logits(model))


def test_onnx_runtime(case, tmp_path):
    write_onnx(load(case.folder), tmp_path)
    for threads in THREADS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options)
        (name,) = [each.name for each in session.get_inputs()]
        case.check(lambda ids, s=session, n=name: s.run(["logits"], {n: ids})[0][:, -1])


def test_a_margin_that_no_run_has_is_found(tmp_path):
    """The context where the margin is least is among those that are run."""
    compile_program(facts("aab")["program"]).save(tmp_path / "aab")
    verdict, claim = prove(tmp_path / "aab"), read_claim(tmp_path / "aab")
    worst = [claim.meaning.vocabulary.index(token) for token in verdict.context]
    files, contexts = JUDGED["Original"].read(tmp_path / "aab"), drawn(claim, "aab", worst)
    above = Certified(tmp_path, files, claim, verdict.margin + 0.01, np.inf, contexts)
    with pytest.raises(AssertionError):
        above.check(lambda ids: JUDGED["logits"](files, ids))
