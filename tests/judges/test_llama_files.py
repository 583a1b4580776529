"""Llamas as ONNX and GGUF, judged by ONNX Runtime, the gguf package and llama.cpp where it is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judges import DTYPES, judge, meant, short_texts
from llamas import AAB, ARCHITECTURES, SHAPES, WINDOW, begun, random_llama, texts_of

from handcraft import compile_program
from handcraft.architecture import LLAMA
from handcraft.errors import CheckpointError
from handcraft.formats.gguf.gguf_file import write_gguf
from handcraft.formats.onnx.onnx_file import write_onnx

gguf = judge("gguf")
onnx = judge("onnx")
onnxruntime = judge("onnxruntime")

WINDOWS = {f"window of {width}": replace(WINDOW, window=width) for width in (1, 7, 40)}


def run(folder, ids):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    return session.run(None, {"input_ids": ids})[0][:, 1:]


@pytest.mark.parametrize("dtype", [*DTYPES, "float64"])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES.values(), *WINDOWS.values()])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_onnx_runtime_gives_the_logits_of_numpy(tmp_path, shape, architecture, dtype):
    model = random_llama(shape, architecture, dtype)
    write_onnx(model, tmp_path)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    for length in (1, 17, model.context):
        ids = texts_of(model, length=length)
        found = run(tmp_path, begun(model, ids))
        np.testing.assert_allclose(found, model.forward(ids), atol=1e-7 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_onnx_runtime_answers_a_compiled_program_as_meant(tmp_path, dtype):
    model = compile_program(AAB, architecture="llama", dtype=dtype).model
    write_onnx(model, tmp_path)
    texts = short_texts(2, 10)
    assert (run(tmp_path, begun(model, texts)).argmax(-1) == meant(AAB, texts)).all()
    facts = {each.key: each.value for each in onnx.load(str(tmp_path / "model.onnx")).metadata_props}
    assert facts["begin"] == "2"


@pytest.mark.parametrize("dtype", DTYPES)
def test_queries_and_keys_are_stored_pair_by_pair(tmp_path, dtype):
    model = random_llama(SHAPES["heads wider than the stream"], dtype=dtype)
    write_gguf(model, tmp_path)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    found = {tensor.name: tensor.data.tobytes() for tensor in reader.tensors}
    width = model.shape.head_dim
    for ours, theirs, heads in (("q_proj", "attn_q", 4), ("k_proj", "attn_k", 2)):
        stored = model.tensors[f"layers.0.self_attn.{ours}.weight"]
        rows = [
            stored[head * width + pair + half * width // 2]
            for head in range(heads)
            for pair in range(width // 2)
            for half in (0, 1)
        ]
        assert found[f"blk.0.{theirs}.weight"] == np.stack(rows).tobytes()
    value = model.tensors["layers.0.self_attn.v_proj.weight"]
    assert found["blk.0.attn_v.weight"] == value.tobytes()


def test_a_window_is_refused_as_gguf(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        write_gguf(random_llama(SHAPES["heads in pairs"], WINDOW), tmp_path)
    assert str(caught.value) == (
        "CheckpointError: GGUF's Llama is another architecture than `llama`: its positions see a "
        "window, and llama.cpp gives a Llama none\n"
        f"  where: {tmp_path / 'model.gguf'}\n"
        "  fix:   write ONNX"
    )
    assert not list(tmp_path.iterdir())


def llama_cpp_logits(folder, ids):
    package = pytest.importorskip(
        "llama_cpp", reason="llama-cpp-python is not installed; it is a judge only where it is"
    )
    path = str(folder / "model.gguf")
    model = package.Llama(
        path, n_ctx=0, n_threads=1, logits_all=True, type_k=0, type_v=0, verbose=False
    )
    assert model.tokenize(b"ab")[0] == ids[0], "the tokenizer adds the begin token"
    model.eval(list(ids))
    found = np.array(model.scores[1 : len(ids)])
    model.close()
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_llama_cpp_gives_the_logits_of_numpy(tmp_path, shape, architecture):
    model = random_llama(shape, architecture)
    write_gguf(model, tmp_path)
    ids = texts_of(model, rows=1)
    found = llama_cpp_logits(tmp_path, begun(model, ids)[0].tolist())
    np.testing.assert_allclose(found, model.forward(ids)[0], atol=5e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_llama_cpp_answers_a_compiled_program_as_meant(tmp_path, dtype):
    model = compile_program(AAB, architecture=LLAMA, dtype=dtype).model
    write_gguf(model, tmp_path)
    ids = texts_of(model, rows=1, length=200)
    found = llama_cpp_logits(tmp_path, begun(model, ids)[0].tolist())
    assert (found.argmax(-1) == meant(AAB, ids)[0]).all()
