"""Random patterns and sentences of rule files, each with its meaning as a function of the text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from drawn_values import SIGNS, Text

Fires = Callable[[Text], list[bool]]
"""At which positions of a text something holds."""

Sentence = tuple[str, Callable[[Text], Any]]
"""Words, and what they say of a context."""


def pattern(random: Random, vocabulary: tuple[str, ...], most: int) -> tuple[str, Fires]:
    """The text of a pattern, and at which positions it matches."""
    classes = [_class(random, vocabulary) for _ in range(random.randint(1, most))]
    is_anchored = random.random() < 0.15
    sep = "" if all(len(token) == 1 for token in vocabulary) else " "
    shown = sep.join(shown for shown, _ in classes)

    def fires(text: Text) -> list[bool]:
        size = len(classes)
        found = []
        for end in range(1, len(text) + 1):
            fits = end == size if is_anchored else end >= size
            pairs = zip(text[end - size : end], classes, strict=True) if fits else ()
            found.append(fits and all(token in known for token, (_, known) in pairs))
        return found

    return f"start {shown}" if is_anchored else shown, fires


CLASSES = ("token", "token", "some", "others", "any")


def _class(random: Random, vocabulary: Text, kinds: Text = CLASSES) -> tuple[str, frozenset[str]]:
    kind = random.choice(kinds)
    if kind == "any":
        return ".", frozenset(vocabulary)
    most = 1 if kind == "token" else len(vocabulary) - 1
    known = random.sample(vocabulary, random.randint(1, most))
    if kind == "token":
        return known[0], frozenset(known)
    sep = "" if all(len(token) == 1 for token in vocabulary) else " "
    if kind == "some":
        return f"[{sep.join(known)}]", frozenset(known)
    return f"[^{sep.join(known)}]", frozenset(vocabulary) - frozenset(known)


@dataclass(frozen=True)
class Words:
    """Draws sentences about the last token of a context.

    Args:
        random: the source of all choices.
        vocabulary: the tokens.
        farthest: how many tokens back a sentence may look.
        next_of: the table `next`, from tokens to tokens.
        worth: the table `worth`, from tokens to numbers.
    """

    random: Random
    vocabulary: Text
    farthest: int
    next_of: dict[str, str]
    worth: dict[str, int]

    def answer(self) -> Sentence:
        """What is predicted."""
        token, k = self.random.choice(self.vocabulary), self.random.randint(1, self.farthest)
        return self.random.choice(
            (
                (token, lambda text: token),
                (token, lambda text: token),
                ("the last token", lambda text: text[-1]),
                ("the first token", lambda text: text[0]),
                ("next of the last token", lambda text: self.next_of[text[-1]]),
                (
                    f"the token {k} back otherwise {token}",
                    lambda text: text[-1 - k] if len(text) > k else token,
                ),
                (
                    f"what followed last time otherwise {token}",
                    lambda text: next(
                        (text[i] for i in range(len(text) - 1, 0, -1) if text[i - 1] == text[-1]), token
                    ),
                ),
            )
        )

    def condition(self, depth: int) -> Sentence:
        """A test, or tests joined by `not`, `and` and `or`."""
        shape = self.random.choice(("test", "not", "and", "or")) if depth else "test"
        if shape == "test":
            return self._test()
        (shown, one), (also, other) = self.condition(depth - 1), self.condition(0)
        if shape == "not":
            return f"not ({shown})", lambda text: not one(text)
        if shape == "and":
            return f"({shown}) and {also}", lambda text: one(text) and other(text)
        return f"({shown}) or {also}", lambda text: one(text) or other(text)

    def _test(self) -> Sentence:
        random, token = self.random, self.random.choice(self.vocabulary)
        shown, known = _class(random, self.vocabulary, CLASSES[:-1])
        k, n, sign = random.randint(1, self.farthest), random.randint(0, 4), random.choice(list(SIGNS))
        is_so = SIGNS[sign]
        return random.choice(
            (
                (f"position {sign} {n}", lambda text: is_so(len(text) - 1, n)),
                (f"position % {k + 1} == 1", lambda text: (len(text) - 1) % (k + 1) == 1),
                (f"token is {shown}", lambda text: text[-1] in known),
                (f"token is not {shown}", lambda text: text[-1] not in known),
                (f"first token is {shown}", lambda text: text[0] in known),
                (f"token {k} back is {shown}", lambda text: len(text) > k and text[-1 - k] in known),
                (
                    f"token {k} back is not {shown}",
                    lambda text: len(text) > k and text[-1 - k] not in known,
                ),
                (
                    f"token is the token {k} back",
                    lambda text: len(text) > k and text[-1] == text[-1 - k],
                ),
                ("token is not the first token", lambda text: text[-1] != text[0]),
                (
                    f"token {k} back else {token} is {shown}",
                    lambda text: (text[-1 - k] if len(text) > k else token) in known,
                ),
                (
                    f"next of token is the token {k} back",
                    lambda text: len(text) > k and self.next_of[text[-1]] == text[-1 - k],
                ),
                (
                    f"count of {shown} {sign} {n}",
                    lambda text: is_so(sum(t in known for t in text), n),
                ),
                (
                    f"position {sign} 2 * count of {token} - {n}",
                    lambda text: is_so(len(text) - 1, 2 * text.count(token) - n),
                ),
                (f"{shown} came before", lambda text: any(t in known for t in text)),
                (
                    f"worth of token + worth of the token {k} back {sign} {n}",
                    lambda text: (
                        len(text) > k and is_so(self.worth[text[-1]] + self.worth[text[-1 - k]], n)
                    ),
                ),
            )
        )
