"""Most frequent: predict the letter that occurs most often; of several, the first in the alphabet.

One head looks everywhere alike and so brings the share that each letter has of the text. Neurons
compare two shares each, by the sign of their difference. The rules go through the alphabet: a letter
wins where none that comes later is ahead of it, for those that come earlier have lost already.
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
