"""Random sums of digits, steps along them and remainders: optimized, every answer stays what it was."""

from __future__ import annotations

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from handcraft import Program, Prompts, compile_program, predict, where
from handcraft.circuits import ideal_next
from handcraft.compiler.ordinal import PASSES

LONGEST, SHORTEST = 8, 6


@st.composite
def digit_programs(draw: st.DrawFn) -> Program:
    """A program over digits of a small base whose answer is a remainder of a sum."""
    base = draw(st.integers(2, 5))
    digits = "".join(map(str, range(base)))
    prompts = Prompts(digits, LONGEST, inputs=f"[{digits}]{{{SHORTEST},{LONGEST}}}")
    digit = prompts.token.map(int)
    back = st.integers(0, SHORTEST - 1)
    factors = st.integers(1, 3)

    def some_sum(size: int):
        total = prompts.constant(draw(st.integers(0, 2)))
        for offset in draw(st.lists(back, min_size=1, max_size=size, unique=True)):
            there = digit if offset == 0 else digit.at(-offset, default=0)
            total = total + draw(factors) * there
        return total

    total = some_sum(3)
    if draw(st.booleans()):
        inner = some_sum(2)
        low, high = inner.domain.low, inner.domain.high
        total = total + (inner >= draw(st.integers(low, high + 1)))
    if draw(st.booleans()):
        total = where(prompts.position >= SHORTEST - 1, total, 0)
    return Program(prompts=prompts, rules=[predict((total % base).map(str)).otherwise()])


@settings(max_examples=40, deadline=None)
@given(
    program=digit_programs(),
    passes=st.sets(st.sampled_from(PASSES), min_size=1),
    architecture=st.sampled_from(["block", "gpt2"]),
    seed=st.integers(0, 999),
)
def test_every_answer_after_a_legal_prompt_stays(program, passes, architecture, seed):
    compiled = compile_program(program, architecture=architecture, optimize=passes)
    event(f"{architecture}: {'as ever' if compiled.passes[0].did == 'nothing' else 'along a line'}")
    random = np.random.default_rng(seed)
    for length in range(SHORTEST, LONGEST + 1):
        texts = random.integers(0, len(program.vocabulary), (40, length))
        meant = [program.next_token(tuple(row)) for row in texts.tolist()]
        assert compiled.model.forward(texts)[:, -1].argmax(-1).tolist() == meant
        assert ideal_next(compiled.circuits, texts[:10])[:, -1].tolist() == meant[:10]


def test_most_random_programs_are_along_a_line():
    """So that the property above says something."""
    found = []

    @settings(max_examples=30, deadline=None, database=None, derandomize=True)
    @given(program=digit_programs())
    def collect(program):
        compiled = compile_program(program, architecture="block", optimize=True)
        found.append(compiled.passes[0].did != "nothing")

    collect()
    assert sum(found) > len(found) / 2
