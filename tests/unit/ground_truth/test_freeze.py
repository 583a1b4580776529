"""freeze.safetensors: the masks cover every weight that has an origin, and leave the rest free."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import load

from handcraft import Model, Program, compile_program, predict
from handcraft.cli.input.sources import find
from handcraft.ground_truth import Wanted, of_compiled
from handcraft.ground_truth.freeze import make_freeze
from handcraft.testing import rule_programs
from handcraft.weights import Sizes
from handcraft.weights.compiled_part import CompiledPart


def masks_of(compiled):
    return load(make_freeze(of_compiled(compiled), Wanted()).files["freeze.safetensors"])


@pytest.mark.parametrize("name", ["aab", "induction", "parity", "sort", "by_hand"])
def test_every_weight_with_an_origin_is_frozen(name):
    compiled = compile_program(find(name).source)
    masks = masks_of(compiled)
    assert {n: mask.shape for n, mask in masks.items()} == {
        n: tensor.shape for n, tensor in compiled.model.tensors.items()
    }
    for tensor, values in compiled.model.tensors.items():
        if "ln_" not in tensor:
            assert masks[tensor][values != 0].all(), tensor


def noisy(model: Model, masks, size):
    """The model with noise of a size in all numbers that are not frozen."""
    generator = np.random.default_rng(0)
    tensors = {
        name: np.where(masks[name], values, values + size * generator.normal(size=values.shape))
        for name, values in model.tensors.items()
    }
    return Model(
        model.architecture,
        model.shape,
        model.vocabulary,
        {name: values.astype(model.dtype) for name, values in tensors.items()},
    )


@given(rule_programs(max_tokens=4, max_context=5))
@settings(max_examples=25, deadline=None)
def test_compiled_dimensions_store_the_same_whatever_the_free_numbers_are(program):
    """Exactly so in `block`, which has no LayerNorm."""
    compiled = compile_program(program, architecture="block", sizes=Sizes(n_embd=64, n_head=4))
    masks, part = masks_of(compiled), CompiledPart.of(compiled.model)
    if part.dimensions.all():
        return
    texts = np.random.default_rng(1).integers(0, len(program.vocabulary), size=(8, program.context))
    seen = [{}, {}]
    compiled.model.watch(texts, seen[0].__setitem__)
    noisy(compiled.model, masks, 1.0).watch(texts, seen[1].__setitem__)
    for name in ("embedding", *(f"h.{block}.output" for block in range(compiled.model.shape.n_layer))):
        one, other = (each[name][..., part.dimensions] for each in seen)
        np.testing.assert_array_equal(one, other)


def test_a_compiled_head_reads_no_free_dimension():
    aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    compiled = compile_program(aab, sizes=Sizes(n_embd=32, n_head=2))
    part = CompiledPart.of(compiled.model)
    assert (part.heads[0].tolist(), int(part.dimensions.sum()) < 32) == ([True, False], True)
    mask = masks_of(compiled)["h.0.attn.c_attn.weight"]
    columns = mask.all(axis=0)
    assert columns.sum() == 3 * 16  # query, key and value of one of two heads
    assert not mask[:, ~columns].any()


def test_without_isolation_other_rows_may_write_into_compiled_dimensions():
    compiled = compile_program(find("aab").source, sizes=Sizes(n_embd=32, n_head=2))
    part = CompiledPart.of(compiled.model)
    alone, shared = part.masks(), part.masks(isolated=False)
    name = "h.0.attn.c_proj.weight"
    assert alone[name][:, part.dimensions].all()
    assert not shared[name][np.repeat(~part.heads[0], 16)].any()
    assert shared[name][compiled.model.tensors[name] != 0].all()
