"""A program, its model, and the same with a weight that is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from handcraft import Program, compile_program, predict
from handcraft.architecture import BLOCK
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary


@pytest.fixture
def program():
    """Classes, an anchored pattern, two rules for one token: neurons decide."""
    rules = [
        predict("b").after("start ca"),
        predict("b").after("[ab]b"),
        predict("c").after("a.b"),
        predict("a").otherwise(),
    ]
    return Program("abc", 4, rules)


@pytest.fixture
def model(program):
    return compile_program(program, architecture="block").model


@pytest.fixture
def with_wrong_weight():
    """A copy of a model in which one weight is another number."""

    def change(model: Model, name: str, index: tuple[int, ...], value: float) -> Model:
        tensors = {key: tensor.copy() for key, tensor in model.tensors.items()}
        assert tensors[name][index] != value
        tensors[name][index] = value
        return dataclasses.replace(model, tensors=tensors)

    return change


@pytest.fixture
def random_model():
    """A model with random tensors: every context has logits of its own."""

    def make(n_vocab=3, n_positions=4, n_head=2, n_inner=(5, 0), seed=0):
        shape = Shape(n_vocab, n_positions, 4 * n_head, n_head, tuple(n_inner))
        random = np.random.default_rng(seed)
        tensors = {
            name: random.normal(scale=0.5, size=sizes) for name, sizes in shape.tensors().items()
        }
        return Model(BLOCK, shape, Vocabulary("abcdefgh"[:n_vocab]), tensors)

    return make
