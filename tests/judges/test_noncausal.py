"""Models without a causal mask, and padded batches, against tools that compute both on their own.

ONNX Runtime runs the exported graph; torch computes attention from a mask that is written out; and
transformers takes right-padded batches by its attention mask.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judges import IMPLEMENTATIONS, gpt2_in_memory, judge

from handcraft import Program, compile_program, load, predict, save
from handcraft.architecture import BLOCK, GPT2
from handcraft.formats.onnx.onnx_file import write_onnx
from handcraft.model import Model, Shape, attend, valid_positions
from handcraft.vocabulary import Vocabulary

onnx = judge("onnx")
onnxruntime = judge("onnxruntime")

SHAPE = Shape(n_vocab=5, n_positions=7, n_embd=8, n_head=4, n_inner=(7, 0, 3))
LENGTHS = [7, 1, 4, 6, 2, 7, 3]
VALID = valid_positions(LENGTHS, 7)
IDS = np.random.default_rng(0).integers(0, 5, VALID.shape)

UNMASKED = {"block": BLOCK.without_mask(), "gpt2": GPT2.without_mask()}

RULES = [predict("b").after("start ca"), predict("c").after("[^b]a"), predict("a").otherwise()]


def random_model(architecture, seed=0):
    """A model with random tensors, such that numbers stay of the order of 1; gains are near 1."""
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal("ln_" in name and name.endswith("weight"), 0.5, sizes).astype("float32")
        for name, sizes in SHAPE.tensors(architecture).items()
    }
    return Model(architecture, SHAPE, Vocabulary("abcde"), tensors)


def session_of(folder):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    return lambda ids: session.run(None, {"input_ids": ids})[0]


@pytest.fixture(params=UNMASKED.values(), ids=UNMASKED)
def architecture(request):
    return request.param


def test_onnx_runtime_sees_later_tokens_as_numpy_does(tmp_path, architecture):
    model = random_model(architecture)
    write_onnx(model, tmp_path)
    run = session_of(tmp_path)
    for length in range(1, 8):
        ids = IDS[:, :length]
        np.testing.assert_allclose(run(ids), model.forward(ids), rtol=1e-4, atol=1e-4)
    one, other = run(np.array([[0, 1, 2, 3], [0, 1, 2, 4]]))
    assert np.abs(one - other).max(axis=-1).min() > 1e-3


def test_the_exported_graph_holds_no_mask(tmp_path, architecture):
    kinds = {}
    for causal in (True, False):
        (tmp_path / str(causal)).mkdir()
        write_onnx(random_model(replace(architecture, causal=causal)), tmp_path / str(causal))
        graph = onnx.load(tmp_path / str(causal) / "model.onnx").graph
        kinds[causal] = {node.op_type for node in graph.node}
    assert kinds[True] - kinds[False] == {"Greater", "Where"}
    assert kinds[False] < kinds[True]


def test_padded_texts_have_the_logits_that_onnx_runtime_gives_them_alone(tmp_path, architecture):
    model = random_model(architecture)
    write_onnx(model, tmp_path)
    run = session_of(tmp_path)
    logits = model.forward(IDS, valid=VALID)
    for row, length in enumerate(LENGTHS):
        alone = run(IDS[row : row + 1, :length])[0]
        np.testing.assert_allclose(logits[row, :length], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("format", ["onnx", "safetensors", "npz"])
def test_a_saved_model_is_the_one_that_onnx_runtime_runs(tmp_path, architecture, format):
    """Rules that look back by exact distances are answered without a mask as well."""
    program = Program("abc", 4, RULES)
    compiled = compile_program(program, architecture=architecture.name, n_positions=4)
    model = replace(compiled.model, architecture=architecture)
    save(replace(compiled, model=model), tmp_path / "onnx", format="onnx")
    run = session_of(tmp_path / "onnx")
    if format != "onnx":
        model = load(save(replace(compiled, model=model), tmp_path / "out", format=format))
    for length in range(1, 5):
        ids = np.stack(np.meshgrid(*[range(3)] * length, indexing="ij"), -1).reshape(-1, length)
        found = run(ids)
        wanted = model.forward(ids)
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
        meant = [program.next_token(tuple(text)) for text in ids.tolist()]
        assert found[:, -1].argmax(axis=-1).tolist() == meant


@pytest.mark.parametrize("causal", [True, False])
def test_torch_gives_the_same_attention_from_a_mask_that_is_written_out(causal):
    torch = judge("torch")
    queries, keys, values = np.random.default_rng(2).normal(size=(3, 7, 2, 7, 4))
    _, _, out = attend(queries, keys, values, scale=0.5, causal=causal, valid=VALID[:, None])
    seen = np.broadcast_to(VALID[:, None, None, :], (7, 1, 7, 7))
    seen = np.tril(seen) if causal else seen
    tensors = map(torch.from_numpy, (queries, keys, values))
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.from_numpy(seen.copy()), scale=0.5
    )
    np.testing.assert_allclose(out, wanted.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_transformers_answers_padded_texts_the_same(one_thread, attention, causal):
    """It masks later positions unless it is given a mask of four axes, which it takes as it is."""
    torch = judge("torch")
    compiled = compile_program(Program("abc", 4, RULES), n_positions=7)
    random = np.random.default_rng(3)
    tensors = {
        name: (tensor if "ln_" in name else random.normal(0, 0.3, tensor.shape).astype("float32"))
        for name, tensor in compiled.model.tensors.items()
    }
    model = replace(compiled.model, architecture=replace(GPT2, causal=causal), tensors=tensors)
    judged = gpt2_in_memory(replace(compiled, model=model), attention)
    ids = IDS % 3
    seen = np.broadcast_to(VALID[:, None, None, :], (7, 1, 7, 7))  # [batch, 1, destination, source]
    added = torch.where(torch.from_numpy(seen.copy()), 0.0, torch.finfo(torch.float32).min)
    mask = torch.from_numpy(VALID.astype(np.int64)) if causal else added
    with torch.no_grad():
        found = judged(input_ids=torch.from_numpy(ids), attention_mask=mask).logits.numpy()
    wanted = model.forward(ids, valid=VALID)
    np.testing.assert_allclose(found[VALID], wanted[VALID], rtol=1e-4, atol=1e-3)
    changed = replace(model, architecture=replace(GPT2, causal=not causal))
    assert not np.allclose(found[VALID], changed.forward(ids, valid=VALID)[VALID], atol=0.1)
