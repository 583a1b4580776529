"""Parity: after `=`, write how many ones there were so far, even or odd, bit by bit.

A transformer of one block cannot count ones exactly in long texts, but it need not: the program writes
the state of a two-state automaton after each bit, and the next state depends on the last state that was
written and on one bit. Two heads move those two, and one neuron fires if they differ.
"""

from handcraft import Automaton, Program, Prompts, predict

BITS = 8

prompts = Prompts("01=eo", context=2 * BITS, inputs=f"[01]{{{BITS}}}=", writes=BITS)
token = prompts.token

machine = Automaton(
    states="eo",
    start="e",
    accept="e",
    transitions={("e", "0"): "e", ("e", "1"): "o", ("o", "0"): "o", ("o", "1"): "e"},
)

bit = token.at(-BITS, default="0").map({"1": "1"}, default="0")
written = token.map({"o": "o"}, default="e")

program = Program(
    prompts=prompts,
    rules=[
        predict(machine.step(written, bit)).otherwise(),
    ],
)

starts = prompts.inputs
"""Eight bits and the sign after them."""


def meaning(prompt: str) -> str:
    """For each beginning of the bits, whether it has an even or an odd number of ones."""
    bits = prompt.rstrip("=")
    return "".join("eo"[bits[: i + 1].count("1") % 2] for i in range(len(bits)))
