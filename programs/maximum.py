"""Maximum: after `>`, write the largest digit before it.

One head attends to all tokens equally and computes the fraction of each digit, and a neuron for each
digit fires if its fraction is more than 0. The rules try 9 first, then 8, and so on down, and the
first digit that occurred is written. Only the order of the rules expresses that 9 is more than 8.
"""

from handcraft import Program, Prompts, predict, select

prompts = Prompts("0123456789>", context=7, inputs="[0-9]{1,6}>")
token = prompts.token

program = Program(
    prompts=prompts,
    rules=[
        *(predict(digit).when(select(token, digit).exists()) for digit in "987654321"),
        predict("0").otherwise(),
    ],
)

starts = "[0-9]{1,6}>"
"""One to six digits and the sign after them."""


def meaning(prompt: str) -> str:
    """The largest digit."""
    return max(prompt.rstrip(">"))
