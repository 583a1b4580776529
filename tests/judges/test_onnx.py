"""ONNX Runtime and ONNX's own reference evaluator answer what the NumPy forward does.

Logits are compared by their largest difference: it may be 1e-5 where logits are of the order of 1, and
1e-5 of the largest logit where they are larger.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from judges import judge

from handcraft import Program, compile_program, predict
from handcraft.architecture import BLOCK, GPT2
from handcraft.dtype import numpy_dtype
from handcraft.errors import CheckpointError
from handcraft.formats.onnx import onnx_file
from handcraft.formats.onnx.onnx_file import write_onnx
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

onnx = judge("onnx")
onnx_numpy = judge("onnx.numpy_helper")
onnx_reference = judge("onnx.reference")
onnxruntime = judge("onnxruntime")

TOLERANCE = {"float64": 1e-7, "float32": 1e-5, "float16": 1e-5, "bfloat16": 1e-5}

SHAPES = {
    "one block": Shape(n_vocab=4, n_positions=5, n_embd=6, n_head=1, n_inner=(24,)),
    "heads of width 1": Shape(n_vocab=2, n_positions=3, n_embd=3, n_head=3, n_inner=(2, 5)),
    "blocks without MLP": Shape(n_vocab=5, n_positions=7, n_embd=8, n_head=4, n_inner=(7, 0, 3)),
    "no block": Shape(n_vocab=3, n_positions=4, n_embd=5, n_head=1, n_inner=()),
    "one token, one position": Shape(n_vocab=1, n_positions=1, n_embd=2, n_head=1, n_inner=(1,)),
    "six wide blocks": Shape(n_vocab=50, n_positions=64, n_embd=96, n_head=6, n_inner=(384,) * 6),
}

ARCHITECTURES = {
    "block": BLOCK,
    "block that sees later positions": replace(BLOCK, causal=False),
    "gpt2": GPT2,
    "gpt2 that sees later positions": replace(GPT2, causal=False),
    "untied, with erf": replace(GPT2, tied=False, activation="gelu_erf", norm_epsilon=1e-3),
    "scores divided by the layer": replace(GPT2, scales_by_layer=True),
    "scores not scaled": replace(GPT2, activation="relu", scales_scores=False),
}

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
WORDS = Program("the cat sat", 4, [predict("cat").after("the"), predict("the").otherwise()])


def random_model(shape, architecture, dtype="float32", seed=0):
    """A model with random tensors, such that numbers stay of the order of 1; gains are near 1."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, sizes in shape.tensors(architecture).items():
        centre = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        spread = 0.5 * sizes[0] ** -0.5 if name.startswith("h.") and len(sizes) == 2 else 0.5
        tensors[name] = random.normal(centre, spread, sizes).astype(numpy_dtype(dtype))
    tokens = [chr(ord("A") + i) for i in range(shape.n_vocab)]
    return Model(architecture, shape, Vocabulary(tokens), tensors)


def contexts_of(model, seed=1):
    """Random contexts of several numbers and lengths."""
    random = np.random.default_rng(seed)
    longest = model.shape.n_positions
    for batch, length in {(1, 1), (3, longest), (5, (longest + 1) // 2)}:
        yield random.integers(0, model.shape.n_vocab, (batch, length))


def run(folder, ids, *names):
    """What ONNX Runtime makes of the file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    return session.run(list(names) or None, {"input_ids": ids})


def assert_same(found, wanted, tolerance=1e-5):
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_onnx_runtime_gives_the_logits_of_numpy(tmp_path, shape, architecture):
    model = random_model(shape, architecture)
    write_onnx(model, tmp_path)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    for ids in contexts_of(model):
        assert_same(run(tmp_path, ids)[0], model.forward(ids))


@pytest.mark.parametrize("architecture", [BLOCK, GPT2], ids=lambda architecture: architecture.name)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_dtype_gives_the_logits_of_numpy(tmp_path, dtype, architecture):
    model = random_model(SHAPES["blocks without MLP"], architecture, dtype)
    write_onnx(model, tmp_path)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    for ids in contexts_of(model):
        assert_same(run(tmp_path, ids)[0], model.forward(ids), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("architecture", [BLOCK, GPT2], ids=lambda architecture: architecture.name)
@pytest.mark.parametrize("program", [AAB, WORDS], ids=["characters", "words"])
def test_compiled_programs_answer_every_context_the_same(tmp_path, program, architecture, dtype):
    model = compile_program(program, architecture=architecture, dtype=dtype).model
    write_onnx(model, tmp_path)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    for length in range(1, program.context + 1):
        ids = np.array(list(product(range(len(program.vocabulary)), repeat=length)))
        found, wanted = run(tmp_path, ids)[0], model.forward(ids)
        assert_same(found, wanted)
        assert (found.argmax(axis=-1) == wanted.argmax(axis=-1)).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_reference_evaluator_gives_the_logits_of_numpy(tmp_path, architecture):
    model = random_model(SHAPES["blocks without MLP"], architecture, "float64")
    write_onnx(model, tmp_path)
    session = onnx_reference.ReferenceEvaluator(str(tmp_path / "model.onnx"))
    tolerance = 1e-6 if architecture.activation == "gelu_erf" else 1e-12  # its Erf is rounded
    for ids in contexts_of(model):
        assert_same(session.run(None, {"input_ids": ids})[0], model.forward(ids), tolerance)


def test_intermediates_go_by_their_names_in_the_trace(tmp_path):
    model = random_model(SHAPES["one block"], GPT2)
    write_onnx(model, tmp_path)
    trace = model.trace("ABC")
    proto = onnx.load(tmp_path / "model.onnx")
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in trace)
    onnx.save(proto, tmp_path / "model.onnx")
    found = run(tmp_path, np.array([[0, 1, 2]]), *trace)
    for (_name, wanted), value in zip(trace.items(), found, strict=True):
        assert_same(value[0], wanted)


def test_a_context_of_too_many_tokens_or_an_unknown_id_fails(tmp_path):
    model = random_model(Shape(n_vocab=3, n_positions=1, n_embd=4, n_head=1, n_inner=(4,)), GPT2)
    write_onnx(model, tmp_path)
    for ids in ([[0, 1]], [[3]]):
        with pytest.raises(Exception, match="out of data bounds"):
            run(tmp_path, np.array(ids))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_weights_keep_their_names_their_type_and_their_bits(tmp_path, dtype):
    model = random_model(SHAPES["blocks without MLP"], replace(GPT2, tied=False), dtype)
    write_onnx(model, tmp_path)
    proto = onnx.load(tmp_path / "model.onnx")
    stored = {each.name: onnx_numpy.to_array(each) for each in proto.graph.initializer}
    for name, tensor in model.tensors.items():
        assert stored[name].dtype == tensor.dtype
        assert stored[name].shape == tensor.shape
        assert stored[name].tobytes() == tensor.tobytes()


def test_the_metadata_gives_every_token_its_id(tmp_path):
    model = random_model(Shape(n_vocab=9, n_positions=4, n_embd=4, n_head=1, n_inner=(4,)), GPT2)
    write_onnx(replace(model, vocabulary=Vocabulary("é<x>", ids=[7, 2, 0, 1])), tmp_path)
    facts = {prop.key: prop.value for prop in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(facts.pop("vocabulary")) == {"é": 7, "<": 2, "x": 0, ">": 1}
    assert facts == {"architecture": "gpt2", "n_positions": "4"}


def test_many_weights_stand_in_a_file_beside_the_graph(tmp_path, monkeypatch):
    model = random_model(SHAPES["six wide blocks"], GPT2)
    monkeypatch.setattr(onnx_file, "INLINE", 1000)
    write_onnx(model, tmp_path)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    assert (tmp_path / "model.onnx.data").stat().st_size == 4 * model.parameters
    assert (tmp_path / "model.onnx").stat().st_size < 100_000
    for ids in contexts_of(model):
        assert_same(run(tmp_path, ids)[0], model.forward(ids))


def test_few_weights_stand_in_the_graph(tmp_path):
    write_onnx(random_model(SHAPES["one block"], BLOCK), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("limit", [0, onnx_file.INLINE], ids=["beside", "in the graph"])
def test_the_same_model_gives_the_same_bytes(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(onnx_file, "INLINE", limit)
    written = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_onnx(random_model(SHAPES["one block"], GPT2), tmp_path / name)
        written.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


def test_the_file_needs_no_operator_of_later_than_2020(tmp_path):
    write_onnx(random_model(SHAPES["one block"], GPT2), tmp_path)
    proto = onnx.load(tmp_path / "model.onnx")
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 13)]
    assert proto.ir_version == 7


def test_without_the_package_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError) as caught:
        write_onnx(random_model(SHAPES["one block"], BLOCK), tmp_path)
    assert str(caught.value) == (
        "CheckpointError: writing ONNX needs the onnx package, which is not installed\n"
        "  fix:   pip install 'handcraft[onnx]'"
    )
    assert not list(tmp_path.iterdir())
