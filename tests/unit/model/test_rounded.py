"""A model rounded at every step, as tools that compute in half precision run it."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft import Program, compile_program, predict
from handcraft.model import Model, as_rounded
from handcraft.verify import verify

PROGRAM = Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])
TEXTS = [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


@pytest.fixture(params=["float16", "bfloat16"])
def model(request):
    return compile_program(PROGRAM, n_positions=8, dtype=request.param).model


def test_every_step_leaves_numbers_of_the_dtype(model):
    def see(name, value):
        assert np.array_equal(value, value.astype(model.dtype).astype(np.float32)), name

    as_rounded(model).watch(TEXTS, see)


def test_its_answers_are_those_of_the_model(model):
    assert verify(as_rounded(model), PROGRAM).passed


def test_a_number_too_large_for_float16_is_seen():
    model = compile_program(PROGRAM, n_positions=8, dtype="float16").model
    gains = np.full_like(model.tensors["h.0.ln_1.weight"], 6e4)
    changed = Model(
        model.architecture, model.shape, model.vocabulary, {**model.tensors, "h.0.ln_1.weight": gains}
    )
    assert np.isfinite(changed.forward(TEXTS)).all()
    assert not np.isfinite(as_rounded(changed).forward(TEXTS)).any()
