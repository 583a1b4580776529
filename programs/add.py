"""Addition: `=` a `+` b `=`, eleven digits each, least significant first; the sum is written.

Heads move the two digits for the next digit of the sum, and the two for the last one. The carry follows
from the latter two and the last digit written: it is 1 if their sum exceeds that digit by nine or ten.
A few thresholds on a + b + carry subtract ten, and select the digit.
"""

from handcraft import Expression, Program, Prompts, predict, select

WIDTH = 11
"""Digits of each number: ten, and one more for the last carry."""

NUMBER = rf"[0-9]{{{WIDTH - 1}}}0"
"""Ten digits, with a 0 above them."""

FIRST = 2 * WIDTH + 2
"""The position after which the first digit of the sum is written."""

prompts = Prompts(
    "0123456789+=",
    context=FIRST + WIDTH,
    inputs=rf"={NUMBER}\+{NUMBER}=",
    writes=WIDTH,
)
token, position = prompts.token, prompts.position
digit = token.map({str(number): number for number in range(10)}, default=0)


def back(places: int) -> Expression:
    """The digit `places` tokens back; before the sum begins, the first token, which counts as 0."""
    there = position.map(lambda here: here - places if here >= FIRST else 0)
    return select(position, there).latest(digit, default=0)


a, b = back(2 * WIDTH + 1), back(WIDTH)
a_before, b_before, sum_before = back(2 * WIDTH + 2), back(WIDTH + 1), back(0)
carry = (a_before + b_before - sum_before).assume([-1, 0, 9, 10]) >= 9
total = (a + b + carry) % 10

program = Program(
    prompts=prompts,
    rules=[
        predict(total.map(str)).otherwise(),
    ],
)

starts = prompts.inputs
"""Two numbers."""


def meaning(prompt: str) -> str:
    """The sum, in as many digits, the least significant first."""
    a, b = (int(number[::-1]) for number in prompt.strip("=").split("+"))
    return f"{a + b:0{WIDTH}d}"[::-1]
