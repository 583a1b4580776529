"""Programs in the shapes of Llamas that engines know."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft import Program, compile_program, predict
from handcraft.errors import CompileError, LayoutError
from handcraft.model import grow, published, published_shape

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


@pytest.mark.parametrize("name", ["stories260k", "stories15m"])
def test_a_grown_llama_answers_the_same(name):
    compiled = compile_program(AAB, architecture="llama", like=name)
    architecture, shape = published(name)
    assert compiled.model.architecture == architecture
    grown = grow(compiled.model, shape, ids=[7, 3])
    assert {k: v.shape for k, v in grown.tensors.items()} == shape.tensors(architecture)
    texts = np.random.default_rng(0).integers(0, 2, (2, 40))
    small = compiled.model.forward(texts).argmax(axis=-1)
    large = grown.forward(np.where(texts == 0, 7, 3)).argmax(axis=-1)
    assert (np.where(small == 0, 7, 3) == large).all()


def test_a_shape_of_another_architecture_is_refused():
    with pytest.raises(CompileError, match="stories15m is a llama, and the architecture is gpt2"):
        compile_program(AAB, like="stories15m")
    with pytest.raises(CompileError, match="gpt2-small is a gpt2, and the architecture is llama"):
        compile_program(AAB, architecture="llama", like="gpt2-small")
    with pytest.raises(LayoutError, match="no published model called 'gpt3'"):
        published_shape("gpt3")


def test_more_rules_than_a_shape_has_hidden_units_are_refused():
    letters = "abcdefghijklmnop"
    pairs = [f"{one}{two}" for one in letters for two in letters]
    rules = [predict(letters[i * 7 % 16]).after(pair) for i, pair in enumerate(pairs)]
    program = Program(letters, 4, [*rules, predict("a").otherwise()])
    compiled = compile_program(program, architecture="llama", like="stories260k")
    with pytest.raises(LayoutError, match="hidden units, but the shape has 172"):
        grow(compiled.model, published_shape("stories260k"))
