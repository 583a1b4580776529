"""A half-precision folder whose answers another order of summation would change is no pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from handcraft import Program, compile_program, predict, save
from handcraft.formats import read_checkpoint, verify_folder
from handcraft.model import Model, as_rounded
from handcraft.verify import verify

PROGRAM = Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])
BIAS = "h.0.mlp.c_proj.bias"


def edited(model: Model, name: str, place: int, value: float) -> Model:
    tensor = model.tensors[name].copy()
    tensor[place] = value
    return replace(model, tensors={**model.tensors, name: tensor})


def edges(model: Model, name: str) -> Iterator[Model]:
    """For each number of a tensor the model with the last value, away from its own, that is right."""
    for place in np.flatnonzero(model.tensors[name]).tolist():
        right = start = float(model.tensors[name][place])
        wrong = 4 * start
        while (middle := float(model.dtype.type((right + wrong) / 2))) not in (right, wrong):
            is_right = verify(as_rounded(edited(model, name, place, middle)), PROGRAM).passed
            right, wrong = (middle, wrong) if is_right else (right, middle)
        yield edited(model, name, place, right)


def test_margins_that_hold_in_one_order_of_summation_only_are_reported(tmp_path):
    compiled = compile_program(PROGRAM, n_positions=8, dtype="bfloat16")
    checkpoint = read_checkpoint(save(compiled, tmp_path / "out", format="safetensors"))
    assert verify_folder(checkpoint).passed
    found = [verify_folder(replace(checkpoint, model=edge)) for edge in edges(compiled.model, BIAS)]
    assert not any(report.failed for report in found), "in float32 all are right"
    thin = [each.what for report in found for each in report.disagreements]
    assert len(thin) == 1
    assert thin[0].startswith("computed in bfloat16, with sums in another order than here, ")
