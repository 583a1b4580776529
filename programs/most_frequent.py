"""Most frequent: predict the letter that occurs most often; of several, the first in the alphabet.

One head attends to all tokens equally and so computes the fraction of each letter. Each neuron
compares two fractions, by the sign of their difference. The rules go through the alphabet: a letter
wins if no later letter is more frequent; earlier letters have been ruled out by earlier rules.
"""

from handcraft import Program, Prompts, predict

LETTERS = 8

prompts = Prompts("abcd", context=LETTERS)
a, b, c, d = (prompts.everything.mean(prompts.token == letter) for letter in "abcd")

program = Program(
    prompts=prompts,
    rules=[
        predict("a").when((a - b >= 0) & (a - c >= 0) & (a - d >= 0)),
        predict("b").when((b - c >= 0) & (b - d >= 0)),
        predict("c").when(c - d >= 0),
        predict("d").otherwise(),
    ],
)

starts = f"[abcd]{{1,{LETTERS}}}"
"""One to eight letters."""


def meaning(prompt: str) -> str:
    """The first in the alphabet of those that occur most often."""
    return max("abcd", key=prompt.count)
