"""Histogram: after `=`, write how often each letter of the alphabet occurs before it, as digits.

One head attends to all tokens equally and computes the fraction of each letter. Neurons turn fractions
into counts: a step function with a threshold for each digit. Another head finds whether the separator
is one token back. The rules choose the letter by how far after the separator the text ends.
"""

from handcraft import Expression, Program, Prompts, predict, select

LETTERS = 9

prompts = Prompts("abc0123456789=", context=LETTERS + 3, inputs=f"[abc]{{1,{LETTERS}}}=", writes=3)


def how_often(letter: str) -> Expression:
    """How often a letter stands in the text, as a digit."""
    return select(prompts.token, letter).count().assume(range(LETTERS + 1)).map(str)


program = Program(
    prompts=prompts,
    rules=[
        predict(how_often("a")).after("="),
        predict(how_often("b")).after("=."),
        predict(how_often("c")).otherwise(),
    ],
)

starts = prompts.inputs
"""One to nine letters and the sign after them."""


def meaning(prompt: str) -> str:
    """How often each letter of the alphabet occurs."""
    return "".join(str(prompt.count(letter)) for letter in "abc")
