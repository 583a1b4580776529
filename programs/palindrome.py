"""Palindrome: after `=`, write T if the text before it reads the same backwards, otherwise F.

Only at the sign is it known where the text ends, so all pairs are compared there, at once. For each
pair one head attends to a position counted from the front, another to one counted from the back. Any
pair that differs makes it F; if a short text has no such pair, both heads attend to the sign itself.
"""

from handcraft import Program, Prompts, predict

PAIRS = 4

prompts = Prompts("abc=TF", context=2 * PAIRS + 1, inputs=f"[abc]{{1,{2 * PAIRS}}}=")
token = prompts.token.assume("abc=")

from_front = [token.at_position(k, default="=") for k in range(PAIRS)]
from_back = [token.at(-1 - k, default="=") for k in range(PAIRS)]

program = Program(
    prompts=prompts,
    rules=[
        *(predict("F").when(front != back) for front, back in zip(from_front, from_back, strict=True)),
        predict("T").otherwise(),
    ],
)

starts = f"[abc]{{1,{2 * PAIRS}}}="
"""Up to eight letters and the sign after them."""


def meaning(prompt: str) -> str:
    """Whether the text is its own reverse."""
    text = prompt.rstrip("=")
    return "T" if text == text[::-1] else "F"
