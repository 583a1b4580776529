"""Heads that look back by distance, in circuits whose texts start with a begin token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.circuits import (
    Block,
    Circuits,
    Head,
    LookBack,
    Relation,
    Table,
    copy,
    embed_token,
    ideal_next,
    ideal_stream,
    one_hot,
)
from handcraft.errors import CircuitError, HandcraftError

TOKEN = one_hot("token", ("a", "b", "<s>"))
BEFORE = one_hot("before", ("a", "b", "<s>"))


def looking(back: int, begin: str | None = "<s>") -> Circuits:
    """Circuits in which one head moves the token so far back into `before`."""
    relation = Relation("back", (), (), picks_one=True, distance=LookBack(back))
    head = Head("moves", relation, (copy(TOKEN, BEFORE),), (copy(BEFORE, BEFORE),))
    return Circuits(
        "ab", 6, embedding=[embed_token(TOKEN)], blocks=[Block((head,))], unembedding=TOKEN, begin=begin
    )


@given(st.lists(st.integers(0, 1), min_size=1, max_size=6), st.integers(0, 7))
def test_a_head_moves_the_token_so_far_back_or_the_begin_token(text, back):
    found = ideal_stream(looking(back), [text])[BEFORE][0]
    wanted = [text[i - back] if i >= back else 2 for i in range(len(text))]
    assert found.astype(int).tolist() == np.eye(3, dtype=int)[wanted].tolist()


def test_the_begin_token_is_no_answer():
    assert ideal_next(looking(1), [[0, 1, 1]]).tolist() == [[0, 1, 1]]


def test_tables_of_the_token_have_a_row_for_the_begin_token():
    short = Table("token", TOKEN, (((0, 1),), ((1, 1),)))
    with pytest.raises(CircuitError, match="has 2 rows for 3 tokens"):
        Circuits("ab", 6, embedding=[short], blocks=[], unembedding=None, begin="<s>")
    with pytest.raises(HandcraftError, match="with the values a b <s>"):
        looking(1, begin=None)
