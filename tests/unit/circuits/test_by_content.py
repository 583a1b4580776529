"""Rotary heads that select by content, as ideal circuits have them."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.circuits import (
    Block,
    ByContent,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Relation,
    embed_token,
    ideal_stream,
    one_hot,
    scalar,
    stream_at_begin,
)
from handcraft.errors import CircuitError

TOKEN = one_hot("token", ["a", "b", "c", "<s>"])
CHANNEL, CARRIED = scalar("match"), scalar("carried")


def circuits(picks: str, *, less: int = 1) -> Circuits:
    """A head that reads the c at a source that is no b, and writes whether it is one."""
    found = scalar("found")
    attends = Relation(
        "no b",
        (),
        (LinearMap(TOKEN, CHANNEL, ((1, 0, -less),)),),
        query_bias=(Coefficients(CHANNEL, ((0, 1),)),),
        content=ByContent(picks),  # type: ignore[arg-type]
    )
    moves = (LinearMap(TOKEN, CARRIED, ((2, 0, 1), (3, 0, 5))),)
    head = Head("no b", attends, moves, (LinearMap(CARRIED, found, ((0, 0, 1),)),))
    return Circuits(
        "abc",
        5,
        embedding=[embed_token(TOKEN)],
        blocks=[Block(heads=(head,))],
        unembedding=None,
        scratch=[found],
        begin="<s>",
    )


@pytest.mark.parametrize(
    ("picks", "expected"),
    [("latest", [5, 1, 1, 0, 0]), ("earliest", [5, 1, 1, 1, 1])],
)
def test_one_match_wins_or_the_begin_token(picks, expected):
    made = circuits(picks)
    (found,) = (each for each in made.stream if each.name == "found")
    stream = ideal_stream(made, np.array([[1, 2, 1, 0, 1]]))
    assert stream[found][0, :, 0].tolist() == expected


def test_matches_share_the_attention():
    made = circuits("any")
    (found,) = (each for each in made.stream if each.name == "found")
    stream = ideal_stream(made, np.array([[1, 2, 1, 0, 1]]))
    assert [float(n) for n in stream[found][0, :, 0]] == [5, 1, 1, 0.5, 0.5]


def test_a_score_above_0_is_an_error():
    with pytest.raises(CircuitError, match="above 0"):
        ideal_stream(circuits("latest", less=-1), np.array([[1]]))


def test_the_stream_at_the_begin_token_is_known_before_each_block():
    before, after = stream_at_begin(circuits("latest"))
    (found,) = (each for each in before if each.name == "found")
    assert (before[found], after[found]) == ((0,), (5,))
    assert before[TOKEN] == (0, 0, 0, 1)
