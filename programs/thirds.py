"""Thirds: after a binary number and `=`, write its remainder modulo 3.

A bit sends the remainder r to 2r + bit, so each bit is a map from three remainders to three remainders,
and so are two bits, four, eight. Block by block, a head moves the map of the segment before, and
neurons compose it with the map of the segment here, which makes the segment twice as long. Four blocks
compute the remainder of fifteen bits, and nothing is written on the way.
"""

from handcraft import Automaton, Program, Prompts, predict

prompts = Prompts("012=", context=16, inputs="[01]+=")

machine = Automaton(
    states=[0, 1, 2],
    start=0,
    accept=[0],
    transitions={
        **{(r, bit): (2 * r + int(bit)) % 3 for r in range(3) for bit in "01"},
        **{(r, "="): r for r in range(3)},
    },
)
remainder = machine.state(prompts.token.assume("01="))

program = Program(
    prompts=prompts,
    rules=[
        predict(remainder.map(str)).otherwise(),
    ],
)

starts = "[01]{1,15}="
"""All numbers of up to fifteen bits, with leading zeros or without."""


def meaning(prompt: str) -> str:
    """The remainder of the number."""
    return str(int(prompt.rstrip("="), 2) % 3)
