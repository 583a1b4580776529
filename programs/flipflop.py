"""Flip-flop: after `r`, write the bit that was written last: the 1 of `w1i0i1r`.

In `w1` a bit is written, in `i0` one is ignored, in `r1` the last written one is read. One head
moves the instruction before each bit to that bit. A head of the next block attends to the bits
after a `w`, and reads the latest of them.
"""

from handcraft import Program, Prompts, predict, select

prompts = Prompts("wir01", context=14, inputs="(w0(i[01]|r0)*|w1(i[01]|r1)*)+r")
token = prompts.token

instruction = token.at(-1, default="i")
written = select(instruction, "w").latest(token, default="0")

program = Program(
    prompts=prompts,
    rules=[
        predict(written).otherwise(),
    ],
)

starts = "(w0(i[01]|r0)*|w1(i[01]|r1)*)+r"
"""Instructions with their bits, the first of them a `w`, and an `r` that waits for its bit."""


def meaning(prompt: str) -> str:
    """The bit after the last `w`."""
    return prompt[prompt.rindex("w") + 1]
