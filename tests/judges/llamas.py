"""What the judges of Llamas share: models with random weights, programs, and how they are read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft import Program, predict
from handcraft.architecture import LLAMA
from handcraft.dtype import numpy_dtype
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

SHAPES = {
    "heads in pairs": Shape(6, 41, 16, 4, (24, 24), n_kv_head=2),
    "one key for all heads": Shape(6, 41, 16, 4, (24, 24), n_kv_head=1),
    "heads wider than the stream": Shape(6, 41, 16, 4, (24,), n_kv_head=2, own_head_dim=10),
}
ARCHITECTURES = {
    "tied": LLAMA,
    "untied": replace(LLAMA, tied=False, theta=5e5, norm_epsilon=1e-5),
}
WINDOW = replace(LLAMA, window=7)

AAB = Program("ab", 10, [predict("b").after("aa"), predict("a").otherwise()])
WORDS = Program(
    "the cat dog sat",
    5,
    [
        predict("cat").after("start the"),
        predict("dog").after("the cat . [the sat]"),
        predict("sat").after("cat"),
        predict("the").otherwise(),
    ],
)
PROGRAMS = {"aab": AAB, "words": WORDS}


def random_llama(shape, architecture=LLAMA, dtype="float32", seed=0):
    """A Llama with random tensors of the order of 1/2."""
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(scale=0.5, size=sizes).astype(numpy_dtype(dtype))
        for name, sizes in shape.tensors(architecture).items()
    }
    return Model(architecture, shape, Vocabulary("abcdefgh"[: shape.n_vocab - 1]), tensors)


def texts_of(model, rows=3, length=None, seed=1):
    """Random texts, [text, position], without the begin token."""
    size = (rows, model.context if length is None else length)
    return np.random.default_rng(seed).integers(0, len(model.vocabulary), size)


def begun(model, ids):
    """The same with the begin token before every text, as other tools read them."""
    return np.pad(ids, ((0, 0), (1, 0)), constant_values=model.begin_id)
