"""Sort: after `=`, write the letters before it in alphabetical order, and a full stop.

A letter is still to be written while it occurs more often before the separator than after it. One head
takes a mean for each letter over the whole text: it counts as one before the separator and as minus
one after it, and a neuron fires if the mean is more than 0. Of the letters still to be written, the
first in the alphabet is next.
"""

from handcraft import Program, Prompts, predict, select, where

LETTERS = 7

prompts = Prompts(
    "abcd=.", context=2 * LETTERS + 1, inputs=f"[abcd]{{1,{LETTERS}}}=[abcd]{{0,{LETTERS}}}"
)
token, everywhere = prompts.token, prompts.everything

sign = where(select(token, "=").exists(), -1, 1)
owed = {letter: everywhere.mean(where(token == letter, sign, 0)) > 0 for letter in "abcd"}

program = Program(
    prompts=prompts,
    rules=[
        *(predict(letter).when(owed[letter]) for letter in "abcd"),
        predict(".").otherwise(),
    ],
)

starts = f"[abcd]{{1,{LETTERS}}}="
"""One to seven letters and the sign after them."""


def meaning(prompt: str) -> str:
    """The letters in alphabetical order, and a full stop."""
    return "".join(sorted(prompt.removesuffix("="))) + "."
