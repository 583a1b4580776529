"""Circuits that several packages test with."""

from __future__ import annotations

import pytest

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    embed_position,
    embed_token,
    look_back,
    one_hot,
    scalar,
)
from handcraft.origin import Origin


@pytest.fixture(scope="session")
def two_heads() -> Circuits:
    """`aa` predicts b, anything else a: two heads add up conditions, and write logits themselves."""
    position, token = one_hot("position", range(5)), one_hot("token", "ab")
    rule, otherwise = (Origin("predict b after aa"),), (Origin("predict a otherwise"),)

    def head(distance: int, *moves: tuple) -> Head:
        channel = scalar(f"rule 1, {distance} back")
        return Head(
            look_back(position, distance).label,
            attends=look_back(position, distance),
            moves=tuple(LinearMap(source, channel, (entry,), rule) for source, entry in moves),
            writes=(LinearMap(channel, token, ((0, 1, 256),), rule),),
            origins=rule,
        )

    here = head(0, (token, (0, 0, 1)), (position, (0, 0, -1)))
    return Circuits(
        "ab",
        5,
        embedding=(embed_position(position), embed_token(token)),
        blocks=[
            Block(
                heads=(here, head(1, (token, (0, 0, 1)))),
                attention_bias=(
                    Bias(Coefficients(token, ((1, -256),)), rule),
                    Bias(Coefficients(token, ((0, 128),)), otherwise),
                ),
            )
        ],
        unembedding=token,
    )
