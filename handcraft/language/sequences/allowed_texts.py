"""The error for a prompt that is not allowed: which token is wrong, and what was expected there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft.errors import PromptError
from handcraft.language.regular.matching import Matching
from handcraft.language.regular.token_table import FIRST, SINK
from handcraft.vocabulary import shorten

SHOWN = 60
"""The most characters of an allowed prompt that is shown as an example."""


@dataclass(frozen=True)
class AllowedTexts:
    """The texts that are allowed prompts, as a graph whose edges are tokens.

    >>> from handcraft import Vocabulary
    >>> texts = AllowedTexts(Matching("(ab)+", Vocabulary("ab"), longest=5))
    >>> texts.begun("abb")
    (2, ('a',), ())
    >>> texts.begun("aba")
    (3, ('b',), ('b',))
    """

    texts: Matching

    def begun(self, tokens: Sequence[str]) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        """How far a text can be followed as the beginning of an allowed one.

        Returns:
            How many of its tokens can, which tokens may come next, and the shortest ending that
            completes an allowed text.
        """
        node, place = FIRST, 0
        for token in tokens:
            following = self._following(node, place)
            if token not in following:
                break
            node, place = following[token], place + 1
        return place, tuple(self._following(node, place)), self._ending(node)

    def _ending(self, node: int) -> tuple[str, ...]:
        """The shortest ending of an allowed text; among equals the first in vocabulary order."""
        ending: list[str] = []
        while self._left.get(node, 0):
            steps = self._steps(node)
            token = min(steps, key=lambda each: self._far(steps[each]))
            ending.append(token)
            node = steps[token]
        return tuple(ending)

    def _following(self, node: int, place: int) -> dict[str, int]:
        """The tokens that can follow so many, and where they lead."""
        room = self.texts.longest - place - 1
        return {token: to for token, to in self._steps(node).items() if self._far(to) <= room}

    def _far(self, node: int) -> float:
        return self._left.get(node, float("inf"))

    def _steps(self, node: int) -> dict[str, int]:
        """From a node, where each token leads that may stand there."""
        table, tokens = self.texts.table, self.texts.vocabulary.tokens
        row = table.columns[node][table.kinds].tolist()
        return {token: to for token, to in zip(tokens, row, strict=True) if to != SINK}

    @cached_property
    def _left(self) -> dict[int, int]:
        """The fewest tokens from each node to the end of an allowed text; other nodes are left out."""
        table = self.texts.table
        before: dict[int, list[int]] = {}
        for node, row in enumerate(table.columns):
            for to in np.unique(row[row != SINK]).tolist():
                before.setdefault(to, []).append(node)
        left = dict.fromkeys(np.flatnonzero(table.final).tolist(), 0)
        waiting = deque(left)
        while waiting:
            node = waiting.popleft()
            for earlier in before.get(node, ()):
                if earlier not in left:
                    left[earlier] = left[node] + 1
                    waiting.append(earlier)
        return left


def refused_prompt(
    tokens: Sequence[str],
    texts: Matching,
    context: int,
    *,
    pattern: str | None,
    writes: int = 1,
    begun: int = 0,
) -> PromptError:
    """The error for a text that is not an allowed prompt.

    Args:
        tokens: the text.
        texts: the inputs: allowed prompts of which the program wrote nothing.
        context: the most tokens of an allowed prompt.
        pattern: what inputs match, as it was given; None where any does.
        writes: as of `Prompts`.
        begun: the length of the longest input that the text begins with; 0 if there is none, or if
            nothing may follow it.
    """
    vocabulary, bos = texts.vocabulary, texts.bos
    text = vocabulary.join(tokens)
    rules = [] if pattern is None else [f"match {pattern}"]
    rules += [] if bos is None else [f"begin with {bos!r} and contain it nowhere else"]
    most = "a token" if writes == 2 else f"up to {writes - 1} tokens"
    rules += [] if writes == 1 else [f"go on with {most} that the program writes"]
    allowed = f"allowed prompts {' and '.join(rules)}"
    long = f"allowed prompts have at most {context} tokens, and this one has {len(tokens)}"
    place, following, ending = AllowedTexts(texts).begun(tokens)
    example = vocabulary.join([*tokens[:place], *ending])
    end = _end_of_writing(tokens, begun, writes, bos)
    if begun and end >= place:
        others = tuple(token for token in vocabulary.tokens if token != bos)
        place, following, ending = end, others if tokens[end] == bos else (), ()
        example = vocabulary.join(tokens[:begun])
    if place == 0 and not following:
        return PromptError(f"no text of up to {texts.longest} tokens is an allowed prompt", fix=allowed)
    fix = f"{allowed}, for example {example!r}" if len(example) <= SHOWN else allowed
    if place == len(tokens):
        is_begun = f"{text!r} is only the beginning of an allowed prompt"
        return PromptError(is_begun if ending else f"{text!r} is not an allowed prompt", fix=fix)
    refused = f"{tokens[place]!r} is not allowed here; expected"
    if place == context:
        what = long
    elif not following:
        what = f"{refused} the end of the prompt"
    elif len(following) == 1:
        what = f"{refused} {following[0]!r}"
    else:
        what = f"{refused} one of {shorten(following)}"
    return PromptError(what, where=f"token {place + 1} of {text!r}", fix=fix)


def _end_of_writing(tokens: Sequence[str], begun: int, writes: int, bos: str | None) -> int:
    """How many tokens at first are an input and what could be written after it."""
    end = min(begun + writes - 1, len(tokens))
    return next((place for place in range(begun, end) if tokens[place] == bos), end)
