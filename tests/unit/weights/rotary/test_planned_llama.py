"""The plan of a Llama: its stream, its heads, and every weight by its place."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.architecture import LLAMA, llama
from handcraft.circuits import Block, Circuits, embed_position, embed_token, one_hot
from handcraft.errors import CompileError, LayoutError
from handcraft.weights import Sizes, plan_model

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def aab(**options):
    return compile_program(AAB, architecture="llama", **options)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-5])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_every_norm_but_the_last_is_undone_exactly(dtype, epsilon):
    compiled = compile_program(AAB, architecture=llama(epsilon=epsilon), dtype=dtype)
    plan = compiled.plan
    d = plan.layout.n_embd
    assert d & (d - 1) == 0
    squares = {Fraction(norm.sum_of_squares, d) for norm in plan.norms[:-1]}
    (square,) = squares
    assert square > epsilon * 2**25
    assert square in [Fraction(4) ** power for power in range(12)]
    gain = compiled.model.tensors["layers.0.input_layernorm.weight"].astype(float)
    assert (gain**2 == float(square)).all()
    rows = compiled.model.tensors["embed_tokens.weight"].astype(float)
    assert (np.square(rows).sum(axis=1) == float(square) * d).all()


def test_a_tied_aab_is_small():
    """The issue asks for at most 1,600 parameters."""
    assert aab().model.parameters <= 400


def test_the_unembedding_is_tied_or_reads_the_logits_alone():
    compiled = compile_program(AAB, architecture=llama(tied=False))
    tied = aab().model.tensors["embed_tokens.weight"]
    head = compiled.model.tensors["lm_head.weight"]
    logits = compiled.circuits.unembedding
    start = compiled.layout.start[logits]
    assert (head[:, start : start + logits.width] == tied[:, start : start + logits.width]).all()
    assert np.count_nonzero(head) == np.count_nonzero(head[:, start : start + logits.width])


def test_every_weight_has_an_origin_and_a_name():
    compiled = aab()
    for name, placed in compiled.placement.tensors.items():
        weights = compiled.model.tensors[name]
        assert placed.shape == weights.shape
        assert [len(axis) for axis in placed.axes] == list(weights.shape)
        assert placed.origins.keys() == placed.values.keys()
        assert np.count_nonzero(weights) == len(placed.values)


def test_sizes_that_are_asked_for_are_kept():
    compiled = aab(sizes=Sizes(n_embd=32, n_head=4, head_dim=16, n_kv_head=2))
    shape = compiled.model.shape
    assert (shape.n_embd, shape.n_head, shape.head_dim, shape.kv_heads) == (32, 4, 16, 2)
    assert compiled.verify().failed == 0


def test_a_width_that_is_too_small_is_refused():
    with pytest.raises(LayoutError, match="more than 4 dimensions"):
        aab(sizes=Sizes(n_embd=4))


def test_circuits_that_embed_positions_are_refused():
    token, position = one_hot("token", "ab"), one_hot("position", range(3))
    circuits = Circuits(
        "ab",
        3,
        embedding=[embed_token(token), embed_position(position)],
        blocks=[Block()],
        unembedding=token,
    )
    with pytest.raises(CompileError, match="embeds no positions, but the circuits do: `position`"):
        plan_model(circuits, LLAMA)
    bare = Circuits("ab", 3, embedding=[embed_token(token)], blocks=[Block()], unembedding=token)
    with pytest.raises(CompileError, match="needs a begin token"):
        plan_model(bare, LLAMA)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_mean_is_stored_so_small_that_the_norm_divides_as_planned(dtype):
    prompts = Prompts("ab", context=6)
    ones = prompts.everything.mean(prompts.token.map({"a": 0, "b": 1}))
    rules = [predict("b").when(ones >= Fraction(1, 2)), predict("a").otherwise()]
    compiled = compile_program(Program(prompts=prompts, rules=rules), architecture="llama", dtype=dtype)
    report = compiled.verify()
    assert (report.failed, report.tried) == (0, 126)


@pytest.mark.parametrize("window", [2, 3, 1000])
def test_rules_over_patterns_need_no_begin_token_in_the_window(window):
    assert compile_program(AAB, architecture=llama(window=window)).verify().passed


def test_a_count_needs_the_begin_token_in_the_window():
    prompts = Prompts("ab", context=6)
    seen = select(prompts.token, "b").count()
    program = Program(prompts=prompts, rules=[predict("b").when(seen >= 3), predict("a").otherwise()])
    with pytest.raises(CompileError, match="a window of 3 positions no head finds"):
        compile_program(program, architecture=llama(window=3))
