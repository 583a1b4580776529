"""The worked example, laid out by hand: one head attends to the last two tokens.

One-hot positions, one-hot tokens and one scratch dimension make the residual stream. The head
attends to the last two positions, moves a as +1 and b as -1 into the scratch dimension, and projects
their mean back to token space: two a's predict b, anything else a. The rules at the end state this, so
that it can be proved.
"""

from sympy import Symbol

from handcraft import Program, Prompts, predict
from handcraft.circuits import (
    Block,
    Circuits,
    Head,
    bias,
    embed_position,
    embed_token,
    one_hot,
    project,
    scalar,
    value_map,
    window,
)

L = Symbol("L", positive=True)  # large: how sharp attention is, and how sure the answer

position = one_hot("position", range(5))
token = one_hot("token", "ab")
scratch = scalar("scratch")

circuits = Circuits(
    vocabulary="ab",
    context=5,
    embedding=[embed_position(position), embed_token(token)],
    scratch=[scratch],
    blocks=[
        Block(
            heads=(
                Head(
                    name="last two",
                    attends=window(position, back=2),
                    moves=(value_map(token, {"a": +1, "b": -1}, into=scratch),),
                    writes=(project(scratch, into=token, numbers={"a": -L, "b": +L}),),
                    sharpness=L,
                ),
            ),
            attention_bias=(bias(token, {"a": L}),),
        )
    ],
    unembedding=token,
    values={"L": 1024},
)

prompts = Prompts("ab", context=5)

means = Program(
    prompts=prompts,
    rules=[
        predict("b").when((prompts.token == "a") & (prompts.token.at(-1, default="a") == "a")),
        predict("a").otherwise(),
    ],
)
"""What the circuits are to mean. The first position takes the mean of one token: a lone a suffices."""
