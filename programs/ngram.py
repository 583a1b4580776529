"""N-gram: how probable each letter is after the last two, as counted in a short text.

The rules are counted: what follows every two letters of the text, every single one, and any. The
first rule that matches wins: a pair that never occurs in the text backs off to its last letter, and the
full stop, which nothing follows, to how often each letter occurs. One head moves the previous letter,
and neurons recognize the pairs and write the logarithms of the probabilities.
"""

from collections import Counter
from fractions import Fraction

from handcraft import Program, predict

TEXT = "she_sells_sea_shells_by_the_sea_shore."


def counted(context: str) -> dict[str, Fraction]:
    """The probability of each letter after a context, counted in the text."""
    size = len(context)
    followers = Counter(TEXT[i] for i in range(size, len(TEXT)) if TEXT[i - size : i] == context)
    return {letter: Fraction(n, followers.total()) for letter, n in followers.items()}


def contexts(size: int) -> list[str]:
    """All parts of the text of `size` letters that are followed by a letter."""
    return list(dict.fromkeys(TEXT[i : i + size] for i in range(len(TEXT) - size)))


program = Program(
    vocabulary="".join(dict.fromkeys(TEXT)),
    context=4,
    rules=[
        *(predict(counted(two)).after(two) for two in contexts(2)),
        *(predict(counted(one)).after(one) for one in contexts(1)),
        predict(counted("")).otherwise(),
    ],
)

starts = "[a-z_.]{1,4}"
"""One to four letters."""


def chances(prompt: str) -> dict[str, float]:
    """The probability of each letter after the last two, or one, or none, whichever the text has."""
    for size in (2, 1, 0):
        known = prompt[len(prompt) - size :]
        followers = [TEXT[i + size] for i in range(len(TEXT) - size) if TEXT.startswith(known, i)]
        if len(prompt) >= size and followers:
            return {letter: followers.count(letter) / len(followers) for letter in followers}
    raise AssertionError("the text has letters")
