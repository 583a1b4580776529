"""Addition, the most significant digit first: the carry comes from digits that are not written yet.

The next digit of the sum needs the carry out of all digits to its right, and none of them is written
yet. A pair of digits makes a carry (10 or more), stops it (8 or less) or passes it on (9). So one head
attends to the nearest pair on the right that does not pass it on, and reads the carry of that pair.
"""

from handcraft import Expression, Program, Prompts, predict, select

WIDTH = 11
"""Digits of each number: ten, and one more for the last carry."""

NUMBER = rf"0[0-9]{{{WIDTH - 1}}}"
"""Ten digits, with a 0 before them."""

prompts = Prompts(
    "0123456789+=",
    context=3 * WIDTH + 1,
    inputs=rf"{NUMBER}\+{NUMBER}=",
    writes=WIDTH,
)
token, position = prompts.token, prompts.position
digit = token.map({str(number): number for number in range(10)}, default=0)


def at(places: int, value: Expression) -> Expression:
    """The value `places` tokens back, or at the first token."""
    there = position.map(lambda here: max(here - places, 0))
    return select(position, there).latest(value, default=0)


pair = digit + at(WIDTH + 1, digit)
"""At each digit of b: its sum with the digit of a above it."""

due = at(WIDTH, pair)
"""The pair whose digit of the sum is written next."""

is_second = (position > WIDTH) & (position <= 2 * WIDTH)
column = position - WIDTH
to_the_right = select(position, column, ">") & select(is_second & (pair != 9), True)
carry = to_the_right.earliest(pair, default=0) >= 10

program = Program(
    prompts=prompts,
    rules=[
        predict(((due + carry) % 10).map(str)).otherwise(),
    ],
)

starts = prompts.inputs
"""Two numbers."""


def meaning(prompt: str) -> str:
    """The sum, in as many digits."""
    a, b = map(int, prompt.rstrip("=").split("+"))
    return f"{a + b:0{WIDTH}d}"
