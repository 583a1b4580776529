"""Reverse: after `=`, write the text before it backwards, and a full stop.

One head finds the separator, which is the mirror: the next token is written as far after it as its
original is before it. Another head attends to the mirrored position. If that would be before the
beginning, the whole text is written, and neurons write the full stop.
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
