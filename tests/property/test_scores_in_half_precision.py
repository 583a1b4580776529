"""Scores in half precision: whatever overflows belongs to a source that gets no weight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.errors import PrecisionError
from handcraft.model.layers.attention import softmax
from handcraft.model.rounded import as_reordered, as_rounded
from handcraft.verify.facts import check_facts

CONTEXTS = (9, 33, 40, 70)
"""Shorter and longer than what one head orders in float16, with one position more among them."""


@st.composite
def searches(draw: st.DrawFn) -> Program:
    """A program that selects one source, and has an answer of its own where none matches."""
    words = tuple(f"w{n}" for n in range(draw(st.sampled_from((5, 12, 40)))))
    prompts = Prompts(words, context=draw(st.sampled_from(CONTEXTS)))
    token, position = prompts.token, prompts.position
    before = token.at(-1, default=words[0])
    nexts = token.map(dict(zip(words, words[1:] + words[:1], strict=True)))
    read = st.sampled_from((token, before, nexts))
    found = select(draw(read), draw(read), draw(st.sampled_from(("==", "==", "!="))))
    wanted = draw(st.sampled_from(("", "<", "<=", "flag")))
    if wanted == "flag":
        found &= select(token.map(lambda word: word in words[:2]), True)
    elif wanted:
        found &= select(position, position, wanted)
    if draw(st.booleans()):
        chosen = getattr(found, draw(st.sampled_from(("latest", "earliest"))))
        return Program(prompts=prompts, rules=[predict(chosen(draw(read), default="w1")).otherwise()])
    return Program(
        prompts=prompts, rules=[predict("w2").when(found.exists()), predict(token).otherwise()]
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@settings(max_examples=sweep(12))
@given(program=searches(), seed=st.integers(0, 99))
def test_what_can_be_saved_is_right_however_scores_are_rounded(dtype: str, program: Program, seed: int):
    try:
        made = compile_program(program, dtype=dtype)
        check_facts(made)  # refuses what only measuring shows, before anything is saved
    except PrecisionError:
        reject()
    chosen = np.random.default_rng(seed)
    size, context = len(program.vocabulary), program.context
    texts = chosen.integers(0, [[2], [size]], size=(2, context))
    meant = [program.next_tokens(text) for text in texts.tolist()]
    for run in (as_rounded, as_reordered):
        logits = run(made.model).forward(texts)[..., :size]
        assert np.isfinite(logits).all()
        assert (logits.argmax(-1) == meant).all()


def test_scores_that_would_overflow_are_refused_at_the_latest_when_they_are_measured():
    """No source matches at times, and the key at position 0 depends on the token: there is no sink."""
    prompts = Prompts(tuple(f"w{n}" for n in range(5)), context=9)
    token, position = prompts.token, prompts.position
    found = select(token, token.at(-1, default="w0")) & select(position, position, "<")
    rules = [predict("w2").when(found.exists()), predict(token).otherwise()]
    with pytest.raises(PrecisionError, match=r"scores is .* but the largest float16") as caught:
        check_facts(compile_program(Program(prompts=prompts, rules=rules), dtype="float16"))
    assert "float32" in caught.value.fix


def test_scores_of_sources_that_fail_are_minus_infinity_in_float16():
    words = tuple(f"w{n}" for n in range(40))
    prompts = Prompts(words, context=40)
    before = prompts.token.at(-1, default="w0")
    followed = select(before, prompts.token).latest(prompts.token, default="w0")
    program = Program(prompts=prompts, rules=[predict(followed).otherwise()])
    made = compile_program(program, dtype="float16")
    seen: dict[str, np.ndarray] = {}
    text = np.random.default_rng(1).integers(0, 40, size=(1, 40))
    as_rounded(made.model).watch(text, lambda name, value: seen.update({name: value}))
    scores = [value[0, 0] for name, value in seen.items() if name.endswith(".scores")]
    assert any(np.isneginf(each).any() for each in scores)
    for each in scores:
        visible = np.where(np.tri(40, dtype=bool), each, -np.inf)
        assert np.isfinite(visible.max(axis=-1)).all()
        assert not np.isposinf(each).any()


@given(st.lists(st.one_of(st.just(-np.inf), st.floats(-6e4, 6e4, width=16)), min_size=1, max_size=9))
def test_softmax_gives_minus_infinity_no_weight_and_the_rest_what_they_have_alone(scores: list[float]):
    row = np.array(scores, dtype=np.float32)
    finite = np.isfinite(row)
    if not finite.any():
        reject()
    weights = softmax(row)
    assert (weights[~finite] == 0).all()
    np.testing.assert_allclose(weights[finite], softmax(row[finite]), rtol=1e-6)
