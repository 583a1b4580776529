"""Random texts, changed so that rules fire and selections find sources.

In random contexts a rule for one word out of 500 fires once in 500, and one for four letters once in
456,976. So some texts use only a few tokens, which repeat; some contain the tokens that the program
tests for; some contain a whole window of them; and some stay as they were drawn.
"""

from __future__ import annotations

import numpy as np

from handcraft.circuits import Circuits
from handcraft.language import Program
from handcraft.language.meaning import Meaning
from handcraft.verify.texts.batch import Ids
from handcraft.verify.texts.contexts import Change
from handcraft.verify.texts.named import Named, Window, named_by

FEW = 4
"""The most different tokens in a text of a few."""

AS_DRAWN, FEW_TOKENS, NAMED_TOKENS = range(3)


def change_of(source: Program | Circuits | Meaning) -> Change:
    """A function that changes random texts so that they exercise the rules or circuits.

    Patterns only read windows; for other sources, texts that repeat tokens matter too.
    """
    named = named_by(source)
    repeats = not isinstance(source, Program) or not source.has_only_patterns
    size = len(source.tokens if isinstance(source, Meaning) else source.vocabulary)

    def change(texts: Ids, random: np.random.Generator) -> Ids:
        texts = texts.copy()
        if repeats:
            _mix(texts, named, size, random)
        _plant(texts, named.windows, random)
        return texts

    return change


def _mix(texts: Ids, named: Named, size: int, random: np.random.Generator) -> None:
    """Fill some texts with a few tokens each, and some with those that are named among others."""
    kinds = random.integers(0, 3 if named.tokens else 2, size=len(texts))
    few = np.flatnonzero(kinds == FEW_TOKENS)
    texts[few] = _of_few(random.integers(0, size, size=(len(few), FEW)), texts.shape[1], random)
    rows = np.flatnonzero(kinds == NAMED_TOKENS)
    tokens = np.array(named.tokens, dtype=np.int64)
    pools = tokens[random.integers(0, max(1, len(tokens)), size=(len(rows), FEW))]
    filled = _of_few(pools, texts.shape[1], random)
    dense = random.random((len(rows), 1))  # from texts with one such token to texts with nothing else
    texts[rows] = np.where(random.random(filled.shape) < dense, filled, texts[rows])


def _of_few(pools: Ids, length: int, random: np.random.Generator) -> Ids:
    """Texts over the first few tokens of a pool each, as many as is drawn: [text, position]."""
    used = random.integers(1, FEW + 1, size=(len(pools), 1))
    return np.take_along_axis(pools, random.integers(0, used, size=(len(pools), length)), axis=1)


def _plant(texts: Ids, windows: tuple[Window, ...], random: np.random.Generator) -> None:
    """Put a random window into about every second text, at a random place."""
    length = texts.shape[1]
    fitting = [window for window in windows if len(window.classes) <= length]
    if not fitting:
        return
    rows = np.flatnonzero(random.random(len(texts)) < 0.5)
    chosen = random.integers(0, len(fitting), size=len(rows))
    for number in np.unique(chosen).tolist():
        window, here = fitting[number], rows[chosen == number]
        last = 0 if window.anchored else length - len(window.classes)
        places = random.integers(0, last + 1, size=len(here))
        for i, allowed in enumerate(window.classes):
            if allowed:
                tokens = np.array(allowed, dtype=np.int64)
                texts[here, places + i] = tokens[random.integers(0, len(tokens), size=len(here))]
