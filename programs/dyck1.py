"""Dyck-1: after `=`, write T if the brackets before it are balanced, otherwise F.

An opening bracket counts as 1 and a closing one as -1, and one head takes the mean of all so far. It is
less than 0 where more brackets were closed than opened. A head of the next block finds whether that
happened anywhere. If not, and if the mean is 0 at the end, the text is balanced.
"""

from handcraft import Program, Prompts, predict, select

prompts = Prompts("()=TF", context=13, inputs="[()]{1,12}=")
token = prompts.token

balance = prompts.everything.mean(token.map({"(": 1, ")": -1}, default=0))
closed_too_early = select(balance < 0, True).exists()

program = Program(
    prompts=prompts,
    rules=[
        predict("F").when(closed_too_early),
        predict("F").when(balance > 0),
        predict("T").otherwise(),
    ],
)

starts = "[()]{1,12}="
"""Up to twelve brackets and the sign after them."""


def meaning(prompt: str) -> str:
    """Whether nothing is left after removing `()` repeatedly."""
    text = prompt.rstrip("=")
    while "()" in text:
        text = text.replace("()", "")
    return "F" if text else "T"
