"""Modular: add two numbers modulo 97, where each number is a single token.

Every number is stored in the bits of its token. At the sign `=` one head attends to the first token and
another one to the token before, and one neuron finds out whether the sum of the two numbers reaches 97.
In the second block each neuron is a threshold on the sum, less 97 where it does, and together they
write the token of the remainder.
"""

from handcraft import Program, Prompts, predict, select

PRIME = 97
NUMBERS = [str(number) for number in range(PRIME)]

prompts = Prompts([*NUMBERS, "+", "="], context=4, inputs=r"\d\d? [+] \d\d? =")
token, position = prompts.token, prompts.position

number = token.map({name: int(name) for name in NUMBERS}, default=0)
first = select(position, 0).latest(number)
second = select(position, position.map(lambda here: max(here - 1, 0))).latest(number)
total = first + second

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
