"""A model rounded at every step, as tools that compute in half precision run it."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft import Program, compile_program, predict
from handcraft.model import Model, as_reordered, as_rounded
from handcraft.verify import verify

PROGRAM = Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])
TEXTS = [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


@pytest.fixture(params=["float16", "bfloat16"])
def model(request):
    return compile_program(PROGRAM, n_positions=8, dtype=request.param).model


ROUNDINGS = [as_rounded, as_reordered]


@pytest.mark.parametrize("rounded", ROUNDINGS)
def test_every_step_leaves_numbers_of_the_dtype(model, rounded):
    def see(name, value):
        assert np.array_equal(value, value.astype(model.dtype).astype(np.float32)), name

    rounded(model).watch(TEXTS, see)


@pytest.mark.parametrize("rounded", ROUNDINGS)
def test_its_answers_are_those_of_the_model(model, rounded):
    assert verify(rounded(model), PROGRAM).passed


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
def test_a_model_in_another_order_is_the_same_function(architecture):
    model, random = compile_program(PROGRAM, architecture=architecture).model, np.random.default_rng(0)
    for tensor in model.tensors.values():
        tensor[:] += random.normal(size=tensor.shape)
    again = in_float32(as_reordered(model))
    assert np.allclose(model.forward(TEXTS), again.forward(TEXTS), rtol=1e-3, atol=1e-3)


def in_float32(model):
    """The tensors of a rounded model, run without rounding."""
    return Model(model.architecture, model.shape, model.vocabulary, model.tensors)


def test_a_number_too_large_for_float16_is_seen():
    model = compile_program(PROGRAM, n_positions=8, dtype="float16").model
    gains = np.full_like(model.tensors["h.0.ln_1.weight"], 6e4)
    changed = Model(
        model.architecture, model.shape, model.vocabulary, {**model.tensors, "h.0.ln_1.weight": gains}
    )
    assert np.isfinite(changed.forward(TEXTS)).all()
    assert not np.isfinite(as_rounded(changed).forward(TEXTS)).any()
