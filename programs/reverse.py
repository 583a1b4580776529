"""Reverse: after `=`, write what stands before it backwards, and a full stop.

One head finds the separator, which is the mirror: what is written next stands as far behind it as the
token that is due stands before it. Another head looks at the mirrored position. Where that falls
before the beginning it finds nothing, the whole text is written, and neurons say the full stop.
"""

from handcraft import Program, Prompts, predict, select

LETTERS = 7

prompts = Prompts("abc=.", context=2 * LETTERS + 1, inputs=f"[abc]{{1,{LETTERS}}}=[abc]{{0,{LETTERS}}}")
token, position = prompts.token, prompts.position

middle = select(token, "=").latest(position, default=0)
due = select(position, 2 * middle - 1 - position).latest(token, default=".")

program = Program(
    prompts=prompts,
    rules=[
        predict(due).otherwise(),
    ],
)

starts = f"[abc]{{1,{LETTERS}}}="
"""One to seven letters and the sign after them."""


def meaning(prompt: str) -> str:
    """The letters from the last to the first, and a full stop."""
    return prompt.removesuffix("=")[::-1] + "."
