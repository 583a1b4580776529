"""Rules that read expressions, on many texts at once: which rule decides, and what it predicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from handcraft.language.graph.node import Node, walk
from handcraft.language.oracle.interpret_texts import Computed, TextsOracle
from handcraft.language.patterns.first_match import Ids
from handcraft.language.rules.distribution import Distribution, likeliest

PAIRS_UP_TO = 1 << 22
"""How many pairs of positions are in memory at once if a program selects some: 4 MB of flags each."""

UNDEFINED = -1
"""Stands for the rule and the token where a text breaks an assumption."""


class Decides(Protocol):
    """A rule: where it fires if no earlier one does, and what it then predicts."""

    @property
    def condition(self) -> Node | None:
        """A flag; None for everywhere."""

    @property
    def answer(self) -> Node | Distribution:
        """A category whose values are tokens, or a distribution."""


def nodes_of(rules: Iterable[Decides]) -> list[Node]:
    """The conditions and answers that are computed."""
    parts = [part for rule in rules for part in (rule.condition, rule.answer)]
    return [part for part in parts if isinstance(part, Node)]


class RulesOnTexts:
    """Rules on many texts at once.

    Args:
        rules: in the order in which they are tried; the last one fires always.
        tokens: the vocabulary.
        causal: whether a position sees only itself and earlier ones.
    """

    def __init__(self, rules: Sequence[Decides], tokens: Sequence[str], *, causal: bool) -> None:
        self.rules, self.tokens, self.causal = tuple(rules), tuple(tokens), causal
        self._latest: tuple[Ids, Computed] | None = None  # computed last, and read several times

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """All conditions and answers, each after what it is computed from."""
        return tuple(walk(*self._nodes))

    def decide(self, texts: Ids, rows: Ids, places: Ids) -> tuple[Ids, Ids]:
        """The place of the rule that decides, and its likeliest token; -1 for no value.

        Args:
            texts: places in the vocabulary, [text, position].
            rows: for each answer its text: [answer].
            places: for each answer its position: [answer].
        """
        winners, tokens = np.full(texts.shape, UNDEFINED), np.full(texts.shape, UNDEFINED)
        place_of = {token: place for place, token in enumerate(self.tokens)}
        for part, computed in self.computed(texts):
            shape = texts[part].shape
            defined = np.arange(shape[1]) < computed.defined[:, None]
            for number, rule in reversed([*enumerate(self.rules)]):  # an earlier one overrides
                fires, condition, answer = defined, rule.condition, rule.answer
                if condition is not None:
                    fires = fires & (
                        computed.values[condition].table(bool)[computed.codes[condition]] > 0
                    )
                winners[part][fires] = number
                if isinstance(answer, Node):
                    table = computed.values[answer].table(place_of.__getitem__)  # type: ignore[arg-type]
                    predicted = np.broadcast_to(table[computed.codes[answer]], shape)
                    tokens[part][fires] = predicted[fires]
                else:
                    tokens[part][fires] = place_of[likeliest(answer)]
        return winners[rows, places], tokens[rows, places]

    def computed(self, texts: Ids) -> Iterator[tuple[slice, Computed]]:
        """The values of all conditions and answers, on so many texts at a time as memory allows."""
        rows = max(1, PAIRS_UP_TO // texts.shape[1] ** 2)
        if len(texts) <= rows:
            if self._latest is None or not np.array_equal(self._latest[0], texts):
                self._latest = None  # so that its memory is free
                self._latest = texts.copy(), self._oracle.compute(texts)
            yield slice(None), self._latest[1]
            return
        for start in range(0, len(texts), rows):
            part = slice(start, start + rows)
            yield part, self._oracle.compute(texts[part])

    @cached_property
    def _nodes(self) -> list[Node]:
        return nodes_of(self.rules)

    @cached_property
    def _oracle(self) -> TextsOracle:
        return TextsOracle(self._nodes, self.tokens, causal=self.causal)
