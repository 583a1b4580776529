"""Programs that are proved in several tests, and models of which one weight is changed."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import strategies as st

from handcraft import Program, Prompts, predict, select
from handcraft.proofs import statement_of
from handcraft_check.program.meaning import Meaning

LETTERS = "abcd"


def adder_ahead(digits=4):
    """Sums to base 3, the most significant digit first: the carry comes from digits further right."""
    number = f"0[012]{{{digits - 1}}}"
    prompts = Prompts("012+=", context=3 * digits + 1, inputs=rf"{number}\+{number}=", writes=digits)
    position = prompts.position
    digit = prompts.token.map({"0": 0, "1": 1, "2": 2}, default=0)

    def at(places, value):
        there = position.map(lambda here: max(here - places, 0))
        return select(position, there).latest(value, default=0)

    pair = digit + at(digits + 1, digit)
    is_second = (position > digits) & (position <= 2 * digits)
    right = select(position, position - digits, ">") & select(is_second & (pair != 2), True)
    carry = right.earliest(pair, default=0) >= 3
    return Program(
        prompts=prompts, rules=[predict(((at(digits, pair) + carry) % 3).map(str)).otherwise()]
    )


def meaning_of(program):
    """What its certificate says."""
    stated = json.loads(json.dumps(statement_of(program)))
    return Meaning.read(stated["meaning"], program.vocabulary.tokens, causal=True)


@st.composite
def n_grams(draw, most=8):
    """Programs of a few patterns, the longer ones first."""
    size, length = draw(st.integers(2, 4)), draw(st.integers(1, 7))
    token = st.sampled_from(LETTERS[:size])
    pattern = st.lists(token, min_size=1, max_size=min(length, 3)).map("".join)
    patterns = draw(st.lists(pattern, min_size=1, max_size=most, unique=True))
    rules = [predict(draw(token)).after(each) for each in sorted(patterns, key=lambda p: -len(p))]
    prompts = Prompts(LETTERS[:size], context=length)
    if draw(st.booleans()):
        where = prompts.position == draw(st.integers(0, length - 1))
        rules.insert(0, predict(draw(token)).when(where))
    return Program(prompts=prompts, rules=[*rules, predict(draw(token)).otherwise()])


def one_weight_changed(tensors, number):
    """A copy of tensors in which one weight, drawn by a number, is 0, its negative, or near it.

    Returns:
        The tensors, the name of the changed one, and the place of the weight in it.
    """
    rng = np.random.default_rng(number)
    changed = {name: tensor.copy() for name, tensor in tensors.items()}
    name = str(rng.choice([each for each in sorted(changed) if changed[each].any()]))
    flat = changed[name].reshape(-1)
    place = rng.choice(np.flatnonzero(flat))
    flat[place] = rng.choice([0, -flat[place], flat[place] * (1 + 2.0 ** -rng.integers(0, 20))])
    return changed, name, place
