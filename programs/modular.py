"""Modular: add two numbers modulo 97, where each number is a single token.

Every number has a column of its own in the embedding, and its value is one entry of that column. At the
sign `=` one head attends three tokens back and another one token back, and the residual stream adds up
the two values by itself. Neurons are thresholds on the sums from 0 to 192, and write the token of the
remainder.
"""

from handcraft import Program, Prompts, predict

PRIME = 97
NUMBERS = [str(number) for number in range(PRIME)]

prompts = Prompts([*NUMBERS, "+", "="], context=4, inputs=r"\d\d? [+] \d\d? =")
token, position = prompts.token, prompts.position

number = token.map({name: int(name) for name in NUMBERS}, default=0)
total = number.at(-3, default=0) + number.at(-1, default=0)

program = Program(
    prompts=prompts,
    rules=[
        predict((total % PRIME).map(str)).otherwise(),
    ],
)

starts = [f"{a} + {b} =" for a in range(PRIME) for b in range(PRIME)]
"""All pairs of numbers: an addition table of 97 rows and 97 columns."""


def meaning(prompt: str) -> str:
    """The remainder of the sum."""
    a, _, b, _ = prompt.split()
    return str((int(a) + int(b)) % PRIME)
