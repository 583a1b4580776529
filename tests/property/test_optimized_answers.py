"""Random sums of digits, steps along them and remainders: optimized, every answer stays what it was."""

# ruff: noqa: RUF001 - letters that look like others are tokens here
from __future__ import annotations

import re
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, verify, where
from handcraft.circuits import ideal_next
from handcraft.compiler import show_pass
from handcraft.compiler.ordinal import PASSES
from handcraft.compiler.passes.ir import Nearest
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.text.read_graph import read_graph
from handcraft.compiler.text.write_graph import write_graph
from handcraft.errors import CompileError, PrecisionError
from handcraft.model.rounded import as_reordered, as_rounded

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


@settings(max_examples=sweep(80), deadline=None)
@given(
    program=digit_programs(),
    passes=st.sets(st.sampled_from(PASSES), min_size=1),
    architecture=st.sampled_from(["block", "gpt2"]),
    seed=st.integers(0, 999),
)
def test_every_answer_after_an_allowed_prompt_stays(program, passes, architecture, seed):
    compiled = compile_program(program, architecture=architecture, optimize=passes)
    event(f"{architecture}: {'as ever' if compiled.passes[0].did == 'nothing' else 'along a line'}")
    random = np.random.default_rng(seed)
    for length in range(SHORTEST, LONGEST + 1):
        texts = random.integers(0, len(program.vocabulary), (40, length))
        meant = [program.next_token(tuple(row)) for row in texts.tolist()]
        assert compiled.model.forward(texts)[:, -1].argmax(-1).tolist() == meant
        assert ideal_next(compiled.circuits, texts[:10])[:, -1].tolist() == meant[:10]


def many_steps() -> Program:
    """A sum up to 19, of which five steps take 4 each."""
    prompts = Prompts("0123", LONGEST, inputs=f"[0-3]{{{SHORTEST},{LONGEST}}}")
    digit = prompts.token.map(int)
    total = 3 * digit + 2 * digit.at(-2, default=0) - digit.at(-3, default=0) + 1
    return Program(prompts=prompts, rules=[predict((total % 4).map(str)).otherwise()])


@settings(max_examples=sweep(60), deadline=None)
@example(many_steps(), {"relax", "angles"}, "block", "bfloat16", 0)
@given(
    program=digit_programs(),
    passes=st.sets(st.sampled_from(PASSES), min_size=1),
    architecture=st.sampled_from(["block", "gpt2"]),
    dtype=st.sampled_from(["bfloat16", "float16"]),
    seed=st.integers(0, 999),
)
def test_in_half_precision_it_stays_with_every_step_rounded(program, passes, architecture, dtype, seed):
    try:
        compiled = compile_program(program, architecture=architecture, dtype=dtype, optimize=passes)
    except PrecisionError:  # neither way fits
        assume(False)
    texts = np.random.default_rng(seed).integers(0, len(program.vocabulary), (100, LONGEST))
    meant = [program.next_token(tuple(row)) for row in texts.tolist()]
    for run in as_rounded, as_reordered:
        assert run(compiled.model).forward(texts)[:, -1].argmax(-1).tolist() == meant


@settings(max_examples=sweep(60), deadline=None)
@given(program=digit_programs(), seed=st.integers(0, 999))
def test_the_approximate_graph_is_within_its_error_bound_and_reads_back(program, seed):
    try:
        text = show_pass(program, "approximate")
    except CompileError:
        assume(False)
    (result,) = read_graph(text)
    assert read_graph(write_graph([result])) == (result,)
    answer = result.answer
    assert isinstance(answer, Nearest)
    assert answer.error < Fraction(1, 2)
    numbers = {token: number for number, token in answer.values}
    random = np.random.default_rng(seed)
    for length in range(SHORTEST, LONGEST + 1):
        for row in random.integers(0, len(program.vocabulary), (8, length)).tolist():
            prompt = [program.vocabulary.tokens[i] for i in row]
            found, number = run_nodes([answer, answer.number], prompt, causal=True)
            assert found[-1] == program.meaning(prompt)
            assert abs(number[-1] - numbers[found[-1]]) <= answer.error


ODD = "0٣é_-Kkſ"
"""Tokens that classes, with flags or without, tell apart in many ways."""


@settings(max_examples=sweep(30), deadline=None)
@given(
    letter=st.sampled_from([r"\w", r"\d", r"[^\W\d]", "(?i:[a-k]|s)", r"(?a:\w)", "[^k]", "."]),
    flags=st.sampled_from(["", "(?i)", "(?a)"]),
    tokens=st.permutations(ODD).map(lambda letters: letters[:4]),
)
@example(letter=r"\w", flags="", tokens=["0", "1", "3", "é"])
def test_every_allowed_prompt_is_answered_whatever_the_classes_mean(letter, flags, tokens):
    """The compiler believes of allowed prompts what they are, and `verify` tries all of them."""
    prompts = Prompts(tokens, 3, inputs=f"{flags}{letter}.?{letter}")
    number = prompts.token.map({token: n for n, token in enumerate(tokens)})
    total = (2 * number + number.at(-1, default=0)) % len(tokens)
    answer = total.map(dict(enumerate(tokens)))
    program = Program(prompts=prompts, rules=[predict(answer).otherwise()])
    texts = [text for length in (2, 3) for text in product(tokens, repeat=length)]
    allowed = ["".join(text) for text in texts if re.fullmatch(prompts.inputs, "".join(text))]
    assume(allowed)
    compiled = compile_program(program, architecture="block", optimize=True)
    wrong = [text for text in allowed if compiled.complete(text, n=1) != program.meaning(text)]
    assert wrong == []
    report = verify(compiled.model, program)
    assert (report.passed, report.is_exhaustive, report.tried) == (True, True, len(allowed))


def test_most_random_programs_are_along_a_line():
    """So that the property above says something."""
    found = []

    @settings(max_examples=sweep(60), deadline=None, database=None, derandomize=True)
    @given(program=digit_programs())
    def collect(program):
        compiled = compile_program(program, architecture="block", optimize=True)
        found.append(compiled.passes[0].did != "nothing")

    collect()
    assert sum(found) > len(found) / 2
