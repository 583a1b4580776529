"""ONNX Runtime computes the values that expressions mean, with a causal mask and without."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from judges import judge

from handcraft import Expression, Prompts, compile_sequences, save, select

onnxruntime = judge("onnxruntime")


def histogram(prompts: Prompts) -> Expression:
    return select(prompts.token, prompts.token).count()


def backwards(prompts: Prompts) -> Expression:
    mirrored = prompts.everything.count() - prompts.position - 1
    return select(prompts.position, mirrored).latest(prompts.token, default="a")


def fraction(prompts: Prompts) -> Expression:
    before = select(prompts.position, prompts.position, "<=")
    return before.mean(prompts.token == "a")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("program", [histogram, backwards, fraction])
def test_onnx_runtime_computes_what_an_expression_means(program, causal: bool, tmp_path: Path) -> None:
    prompts = Prompts("abcd", context=9, causal=causal)
    expression = program(prompts)
    compiled = compile_sequences({"value": expression})
    save(compiled, tmp_path / "model", format="onnx")
    session = onnxruntime.InferenceSession(
        str(tmp_path / "model" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (output,) = compiled.outputs
    generator = random.Random(0)
    for length in (1, 2, 5, 9):
        text = [generator.choice("abcd") for _ in range(length)]
        ids = np.array([prompts.vocabulary.ids(text)], dtype=np.int64)
        (stream,) = session.run(["residual"], {"input_ids": ids})  # [batch, position, n_embd]
        total = np.full(length, float(output.constant))
        for part in output.reads:
            for i, number in part.entries:
                cells, constant = compiled.plan.layout.read(part.subspace, i, number)
                total += sum(stream[0, :, d] * float(factor) for d, factor in cells) + float(constant)
        assert tuple(map(output.value, total.tolist())) == expression.trace(text)
