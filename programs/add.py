"""Addition: `=` a `+` b `=`, eleven digits each, least significant first; the sum is written.

Four looks bring the two digits above the next digit of the sum and the two above the last one. Those
and the last digit that was written tell the carry: it is 1 where their sum is larger than what was
written by nine or ten. A few steps along a + b + carry take ten off, and name the digit.
"""

from handcraft import Expression, Program, Prompts, predict, select

WIDTH = 11
"""Digits of each number: ten, and one more for the last carry."""

NUMBER = rf"[0-9]{{{WIDTH - 1}}}0"
"""Ten digits, with a 0 above them."""

prompts = Prompts(
    "0123456789+=",
    context=3 * WIDTH + 2,
    inputs=rf"={NUMBER}\+{NUMBER}=[0-9]{{0,{WIDTH - 1}}}",
)
token, position = prompts.token, prompts.position
digit = token.map({str(number): number for number in range(10)}, default=0)


def back(places: int, name: str) -> Expression:
    """The digit so many tokens back, or the first token's, which counts as 0."""
    there = position.map(lambda here: max(here - places, 0))
    return select(position, there).latest(digit, default=0).named(name)


a, b = back(2 * WIDTH + 1, "a"), back(WIDTH, "b")
a_before, b_before = back(2 * WIDTH + 2, "a before"), back(WIDTH + 1, "b before")
carry = (a_before + b_before - digit >= 9).named("carry")
total = ((a + b + carry) % 10).named("total")

program = Program(
    prompts=prompts,
    rules=[
        predict(total.map(str)).otherwise(),
    ],
)

starts = rf"={NUMBER}\+{NUMBER}="
"""Two numbers."""


def meaning(prompt: str) -> str:
    """The sum, in as many digits, the least significant first."""
    a, b = (int(number[::-1]) for number in prompt.strip("=").split("+"))
    return f"{a + b:0{WIDTH}d}"[::-1]
