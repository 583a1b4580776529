"""The plain engine in NumPy computes what `Model` does; codewords are as far apart as stated."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.architecture import GPT2, LLAMA
from handcraft.conformance.cases.request import Request
from handcraft.conformance.faults.known import network_of
from handcraft.conformance.layout.codewords import orthogonal_words, quadratic_words
from handcraft.conformance.layout.gauge import FURTHEST, GROUPS, MARKS, mark_of, mark_rows
from handcraft.conformance.layout.stream import Stream
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

TARGETS = {
    "gpt2": (GPT2, Shape(9, 12, 8, 2, (16, 16))),
    "untied": (replace(GPT2, tied=False), Shape(9, 12, 8, 2, (16,))),
    "by layer": (replace(GPT2, scales_by_layer=True), Shape(9, 12, 8, 2, (16, 16))),
    "llama": (LLAMA, Shape(9, 13, 8, 4, (16, 16), 2, 4)),
    "window": (replace(LLAMA, window=4, tied=False), Shape(9, 13, 8, 4, (16,), 1, 4)),
}


def random_model(target, seed):
    architecture, shape = TARGETS[target]
    draw = np.random.default_rng(seed)
    tensors = {
        name: draw.normal(size=sizes).astype(np.float32)
        for name, sizes in shape.tensors(architecture).items()
    }
    return Model(architecture, shape, Vocabulary("abcdefgh"), tensors)


@pytest.mark.parametrize("target", TARGETS)
@given(seed=st.integers(0, 2**32 - 1), text=st.lists(st.integers(0, 7), min_size=2, max_size=12))
def test_the_reference_computes_what_the_model_does(target, seed, text):
    model = random_model(target, seed)
    engine = network_of(model.architecture)(model)
    begin = () if model.begin_id is None else (model.begin_id,)
    ids = (*begin, *text)
    (logits,) = engine.answer(Request("every", (ids,))).logits
    right = model.forward([text])[0]
    np.testing.assert_allclose(logits[len(begin) :], right, rtol=2e-3, atol=2e-3)
    cut = len(ids) // 2
    (pieces,) = engine.answer(Request("pieces", (ids,), (cut, len(ids) - cut))).logits
    np.testing.assert_allclose(pieces[-1], right[-1], rtol=2e-3, atol=2e-3)
    short = ids[: len(begin) + 1]
    padded = engine.answer(Request("batch", (ids, short))).logits
    alone = model.forward([text[:1]])[0]
    np.testing.assert_allclose(padded[1][0], alone[-1], rtol=2e-3, atol=2e-3)


def test_codewords_are_as_far_apart_as_stated():
    words = quadratic_words(2048)
    products = words @ words.T
    assert products.diagonal().tolist() == [32.0] * 2048
    assert np.max(products - 64 * np.eye(2048)) == 8
    orthogonal = orthogonal_words(16)
    assert (orthogonal @ orthogonal.T == 16 * np.eye(16)).all()
    with pytest.raises(ValueError, match="2049 words"):
        quadratic_words(2049)


@given(number=st.floats(-20, 20))
def test_a_gauge_answers_with_the_nearest_mark(number):
    stream = Stream(GROUPS, half=4)
    state = stream.rows(1, reading=number, one=1.0)[0]
    logits = mark_rows(stream, 1.0).astype(float) @ state
    chosen = int(MARKS[int(logits.argmax())])
    nearest = min(range(-FURTHEST, FURTHEST + 1), key=lambda mark: abs(mark - number))
    assert abs(abs(chosen - number) - abs(nearest - number)) < 1e-5
    assert abs(int(mark_of(number, 1.0)) - number) <= abs(nearest - number) + 1e-9
