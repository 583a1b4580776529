"""Copy text: after `=`, write the text before it, and a full stop.

The separator directly follows the text, so its position is the length of the text. One head finds
that position. Another attends that many positions back, and moves the token to write next. Where that
is the separator itself, the whole text is written, and neurons write the full stop.
"""

from handcraft import Program, Prompts, predict, select

LETTERS = 8

prompts = Prompts("abc=.", context=2 * LETTERS + 1, inputs=f"[abc]{{1,{LETTERS}}}=[abc]{{0,{LETTERS}}}")
token, position = prompts.token, prompts.position

length = select(token, "=").latest(position, default=0)
due = select(position, position - length).latest(token, default="a")

program = Program(
    prompts=prompts,
    rules=[
        predict(".").when(due == "="),
        predict(due).otherwise(),
    ],
)

starts = f"[abc]{{1,{LETTERS}}}="
"""One to eight letters and the sign after them."""


def meaning(prompt: str) -> str:
    """The letters once more, and a full stop."""
    return prompt.removesuffix("=") + "."
