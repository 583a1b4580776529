"""Induction: predict what followed last time.

One head moves the previous token to every position. A head of the next block attends to the
positions whose previous token is the last token, and reads the token at the latest of them. Position 0
has nothing before it, so it is left out. Where the last token is new, the answer is a.
"""

from handcraft import Program, Prompts, predict, select

prompts = Prompts("abc", context=8)
token, position = prompts.token, prompts.position

before = token.at(-1, default="a")
followed = select(before, token) & select(position, 0, ">")

program = Program(
    prompts=prompts,
    rules=[
        predict(followed.latest(token, default="a")).otherwise(),
    ],
)
