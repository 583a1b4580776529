"""What a program over expressions predicts, at every position of many texts at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from handcraft.language.decision import Decision, likeliest
from handcraft.language.graph.node import Aggregate, Node, walk
from handcraft.language.oracle.interpret_texts import Computed, TextsOracle

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

PAIRS_UP_TO = 1 << 22
"""How many pairs of positions are held at once where a program selects some: 4 MB of flags each."""

UNDEFINED = -1
"""Stands for the token where a text breaks an assumption."""


class DecidedTexts:
    """What is predicted after every position of many texts, as `decided` says it of one.

    Args:
        decisions: in the order in which they are tried; the last one fires always.
        tokens: the vocabulary; texts hold places in it.
        causal: whether a position sees only itself and earlier ones.
    """

    def __init__(self, decisions: Sequence[Decision], tokens: Sequence[str], *, causal: bool) -> None:
        self.decisions = tuple(decisions)
        self.places = {token: place for place, token in enumerate(tokens)}
        nodes = [n for d in self.decisions for n in (d.condition, d.answer) if isinstance(n, Node)]
        self.selections = tuple(node for node in walk(*nodes) if isinstance(node, Aggregate))
        self._oracle = TextsOracle(nodes, tokens, causal=causal)
        self._last: tuple[Ids, Computed] | None = None  # what was computed last, asked again and again

    def tokens(self, texts: Ids) -> Ids:
        """The likeliest token at every position, `UNDEFINED` where an assumption is broken.

        Args:
            texts: places in the vocabulary, [text, position].

        Returns:
            [text, position].
        """
        found = np.full(texts.shape, UNDEFINED)
        for part, computed in self._computed(texts):
            winners = self._winners(computed, texts[part].shape)
            here = found[part]
            for number, decision in enumerate(self.decisions):
                wins = winners == number
                if not wins.any():
                    continue
                if isinstance(decision.answer, Node):
                    table = computed.values[decision.answer].table(self.places.__getitem__)  # type: ignore[arg-type]
                    said = np.broadcast_to(table[computed.codes[decision.answer]], here.shape)
                    here[wins] = said[wins]
                else:
                    here[wins] = self.places[likeliest(decision.answer)]
        return found

    def winners(self, texts: Ids) -> Ids:
        """The number of the decision that fires at every position, `UNDEFINED` where none has values.

        Args:
            texts: places in the vocabulary, [text, position].

        Returns:
            [text, position].
        """
        found = np.full(texts.shape, UNDEFINED)
        for part, computed in self._computed(texts):
            found[part] = self._winners(computed, texts[part].shape)
        return found

    def selected(self, texts: Ids, ends: Ids) -> Ids:
        """At how many positions each selection selected at least one source, and at how many none.

        Args:
            texts: places in the vocabulary, [text, position].
            ends: how many positions of each text count, from the first: [text].

        Returns:
            [selection, 2], in the order of `selections`.
        """
        found = np.zeros((len(self.selections), 2), dtype=np.int64)
        for part, computed in self._computed(texts):
            counted = np.minimum(ends[part], computed.defined)[:, None] > np.arange(texts.shape[1])
            for number, node in enumerate(self.selections):
                selects = np.count_nonzero(computed.selects[node] & counted)
                found[number] += selects, np.count_nonzero(counted) - selects
        return found

    def probabilities(self, texts: Ids) -> Array:
        """How probable each token is at every position, 0 for all where an assumption is broken.

        Args:
            texts: places in the vocabulary, [text, position].

        Returns:
            [text, position, token].
        """
        found = np.zeros((*texts.shape, len(self.places)))
        for part, computed in self._computed(texts):
            winners = self._winners(computed, texts[part].shape)
            here = found[part]
            for number, decision in enumerate(self.decisions):
                rows, places = np.nonzero(winners == number)
                if isinstance(decision.answer, Node):
                    table = computed.values[decision.answer].table(self.places.__getitem__)  # type: ignore[arg-type]
                    said = np.broadcast_to(table[computed.codes[decision.answer]], winners.shape)
                    here[rows, places, said[rows, places]] = 1
                else:
                    for token, probability in decision.answer.items():
                        here[rows, places, self.places[token]] = float(probability)
        return found

    def _computed(self, texts: Ids) -> Iterator[tuple[slice, Computed]]:
        """The values of all conditions and answers, on so many texts at a time as memory allows."""
        rows = max(1, PAIRS_UP_TO // texts.shape[1] ** 2)
        if len(texts) <= rows:
            if self._last is None or not np.array_equal(self._last[0], texts):
                self._last = None  # so that its memory is free
                self._last = texts.copy(), self._oracle.compute(texts)
            yield slice(None), self._last[1]
            return
        for start in range(0, len(texts), rows):
            part = slice(start, start + rows)
            yield part, self._oracle.compute(texts[part])

    def _winners(self, computed: Computed, shape: tuple[int, int]) -> Ids:
        """The number of the decision that fires at every position, -1 where a text has no values."""
        winners = np.full(shape, len(self.decisions) - 1)
        for number in reversed(range(len(self.decisions))):
            condition = self.decisions[number].condition
            if condition is None:
                winners[:] = number
            else:
                holds = computed.values[condition].table(bool)[computed.codes[condition]] > 0
                winners[np.broadcast_to(holds, shape)] = number
        winners[np.arange(shape[1]) >= computed.defined[:, None]] = -1
        return winners
