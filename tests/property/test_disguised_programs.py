"""Random programs, disguised in random ways, keep every answer."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from handcraft import compile_program, disguise
from handcraft.disguise import Distract, Match, Pad, Permute, Rotate, Split, Superpose, carried_weights
from handcraft.disguise.draft import draft_of
from handcraft.errors import LayoutError, PrecisionError
from handcraft.testing.strategies import rule_programs
from handcraft.verify import every_context

TRANSFORMS = st.lists(
    st.one_of(
        st.just(Permute()),
        st.builds(Rotate, st.booleans()),
        st.builds(Split, st.integers(1, 3), st.integers(1, 3)),
        st.builds(Distract, st.integers(0, 2), st.integers(0, 5)),
        st.builds(Distract, st.just(2), st.just(4), st.just("pairs")),
        st.builds(Match, st.sampled_from([0.3, 1.0])),
        st.builds(Pad, n_layer=st.integers(4, 6)),
    ),
    min_size=1,
    max_size=4,
)


def disguised(compiled, transforms, seed):
    """The disguise, where it is not refused.

    Two rotations beside ballast may lose an answer, and a padding may ask for fewer blocks than there
    are.
    """
    try:
        return disguise(compiled, transforms, seed=seed, untie=True)
    except (LayoutError, PrecisionError):
        reject()


@settings(max_examples=15, deadline=None)
@given(rule_programs(max_tokens=4, max_context=5, max_rules=4), TRANSFORMS, st.integers(0, 99))
def test_a_disguised_program_answers_as_the_oracle_means(program, transforms, seed):
    compiled = compile_program(program, positions="auto")
    made = disguised(compiled, transforms, seed)
    assert made.after.passed
    tokens = program.vocabulary.tokens
    for batch in every_context(made.model, program.context):
        for row in range(0, len(batch.rows), 7):
            text = [tokens[i] for i in batch.context(row)]
            assert tokens[int(batch.logits[row, : len(tokens)].argmax())] == program.meaning(text)


@settings(max_examples=10, deadline=None)
@given(rule_programs(max_tokens=4, max_context=5, max_rules=3), TRANSFORMS, st.integers(0, 99))
def test_the_original_is_found_again_in_the_disguise(program, transforms, seed):
    compiled = compile_program(program, positions="auto")
    made = disguised(compiled, transforms, seed)
    old, new = {}, {}
    numbers = compiled.model.vocabulary.numbers
    ids = np.random.default_rng(seed).choice(numbers, size=(8, program.context))
    compiled.model.watch(ids, lambda name, value: old.__setitem__(name, value.astype(float)))
    made.model.watch(ids, lambda name, value: new.__setitem__(name, value.astype(float)))
    carried = made.carried
    for block in range(compiled.model.shape.n_layer):
        was = old[f"h.{block}.output"]
        found = new[f"h.{carried.block(block)}.output"] @ carried.inverse.T
        was, found = (each - each.mean(axis=-1, keepdims=True) for each in (was, found))
        assert np.abs(found - was).max() <= 1e-4 * np.abs(was).max()  # float32, beside distractors
    wide = draft_of(compiled.model, "float64", 5).model
    parts = carried_weights(wide, made.model, carried, wide.tensors)
    assert parts.keys() == {name for name in made.model.tensors if ".ln_" not in f".{name}"}


@settings(max_examples=6, deadline=None)
@given(rule_programs(max_tokens=4, max_context=5, max_rules=3), st.integers(0, 99))
def test_a_stream_without_spare_dimensions_loses_nothing(program, seed):
    compiled = compile_program(program, positions="auto")
    shape = compiled.model.shape
    assume(shape.n_embd - shape.n_head >= 2)
    narrower = Superpose(shape.n_embd - shape.n_head, interference=1e-6)
    made = disguise(compiled, [narrower], seed=seed, untie=True)
    assert made.after.margin > made.before.margin / 2
