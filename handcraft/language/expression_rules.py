"""Rules that read expressions or predict distributions: which one decides, and what it predicts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.errors import HandcraftWarning
from handcraft.language.decision import Deciding, Decision, decided, nodes_of
from handcraft.language.distribution import Distribution, likeliest
from handcraft.language.graph.node import Aggregate, Node, walk
from handcraft.language.oracle.interpret_texts import Computed, TextsOracle
from handcraft.language.patterns.coverage import never_fires
from handcraft.language.patterns.first_match import Ids
from handcraft.language.read_rules import read_rules
from handcraft.language.rule import Rule
from handcraft.language.sequences import Prompts
from handcraft.language.uncovered import UncoveredError, sure_line, sure_rule
from handcraft.origin import Place

Flags = npt.NDArray[np.bool_]

PAIRS_UP_TO = 1 << 22
"""How many pairs of positions are in memory at once if a program selects some: 4 MB of flags each."""

UNDEFINED = -1
"""Stands for the token where a text breaks an assumption."""


class ExpressionRules:
    """Rules of any kind, each as a condition and an answer.

    Raises:
        HandcraftError: everything that is wrong with the rules, all at once.
    """

    def __init__(self, rules: Sequence[Rule], prompts: Prompts, place: Place | None) -> None:
        self.rules, self.prompts, self.place = rules, prompts, place
        self.vocabulary, self.reach = prompts.vocabulary, prompts.context
        deciding = Deciding(prompts)
        self._each = tuple(map(deciding.decide, read_rules(rules, prompts)))
        self._last = next((i for i, d in enumerate(self._each) if d.is_always), None)
        tried = self._each if self._last is None else self._each[: self._last + 1]
        self.decisions: tuple[Decision, ...] = tuple(d for d in tried if not d.is_never)
        self._latest: tuple[Ids, Computed] | None = None  # computed last, and asked again and again

    def check(self) -> None:
        """Raise unless the last rule fires always; warn of rules that never do."""
        if self._last is None:
            raise UncoveredError(
                f"no rule is sure to fire: the last one, `{self.rules[-1]}`, has a condition",
                where=self.place,
                fix=f"end the rules with one that always fires, as in {sure_rule(self.vocabulary)}",
                in_rules=sure_line(self.vocabulary),
            )
        for i, decision in enumerate(self._each):
            if decision.is_never or i > self._last:
                hiding = [self.rules[self._last]] if i > self._last else []
                warnings.warn(HandcraftWarning(never_fires(decision.rule, hiding)), stacklevel=3)

    def distribution(self, ids: Sequence[int]) -> Distribution:
        """How probable each token is after exactly these."""
        return self.distributions(ids)[-1]

    def distributions(self, ids: Sequence[int]) -> list[Distribution]:
        """The same after each of them; in a program without a mask, after each in this text."""
        tokens = [self.vocabulary.token(i) for i in ids]
        causal = self.prompts.causal
        return [each for _, each in decided(self.decisions, tokens, causal=causal, order=self._order)]

    def answers_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.answers_at`."""
        found = np.full(texts.shape, UNDEFINED)
        for part, wins, answer in self._predictions(texts):
            sure = answer if isinstance(answer, np.ndarray) else self._place_of[likeliest(answer)]
            found[part][wins] = sure
        return np.asarray(found[rows, places])

    def probabilities_at(self, texts: Ids, rows: Ids, places: Ids) -> npt.NDArray[np.float64]:
        """As `Program.probabilities_at`."""
        found = np.zeros((*texts.shape, len(self.vocabulary)))
        for part, wins, answer in self._predictions(texts):
            if isinstance(answer, np.ndarray):
                found[part][(*np.nonzero(wins), answer)] = 1
            else:
                for token, probability in answer.items():
                    found[part][wins, self._place_of[token]] = float(probability)
        return np.asarray(found[rows, places])

    def rules_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.rules_at`."""
        numbers = {decision: number for number, decision in enumerate(self._each)}
        found = np.full(texts.shape, UNDEFINED)
        for part, computed in self._computed(texts):
            found[part] = self._winners(computed, texts[part].shape)
        decided = np.array([*(numbers[decision] for decision in self.decisions), UNDEFINED])
        return np.asarray(decided[found[rows, places]])

    @cached_property
    def selections(self) -> tuple[Aggregate, ...]:
        """As `Program.selections`."""
        return tuple(node for node in self._order if isinstance(node, Aggregate))

    def selected_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.selected_at`."""
        ends = np.zeros(len(texts), dtype=np.int64)
        np.maximum.at(ends, rows, places + 1)
        found = np.zeros((len(self.selections), 2), dtype=np.int64)
        for part, computed in self._computed(texts):
            counted = np.minimum(ends[part], computed.defined)[:, None] > np.arange(texts.shape[1])
            for number, node in enumerate(self.selections):
                selects = np.count_nonzero(computed.selects[node] & counted)
                found[number] += selects, np.count_nonzero(counted) - selects
        return found

    @cached_property
    def _nodes(self) -> list[Node]:
        return nodes_of(self.decisions)

    @cached_property
    def _order(self) -> tuple[Node, ...]:
        return tuple(walk(*self._nodes))

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary.tokens)}

    @cached_property
    def _oracle(self) -> TextsOracle:
        return TextsOracle(self._nodes, self.vocabulary.tokens, causal=self.prompts.causal)

    def _predictions(self, texts: Ids) -> Iterator[tuple[slice, Flags, Ids | Distribution]]:
        """For every decision that wins somewhere: where, and the tokens there, or a distribution.

        Args:
            texts: places in the vocabulary, [text, position].

        Yields:
            Some of the texts, at which of their positions it wins, and what it predicts: [win].
        """
        for part, computed in self._computed(texts):
            winners = self._winners(computed, texts[part].shape)
            for number, decision in enumerate(self.decisions):
                wins, answer = winners == number, decision.answer
                if not wins.any():
                    continue
                if isinstance(answer, Node):
                    table = computed.values[answer].table(self._place_of.__getitem__)  # type: ignore[arg-type]
                    yield part, wins, np.broadcast_to(table[computed.codes[answer]], wins.shape)[wins]
                else:
                    yield part, wins, answer

    def _computed(self, texts: Ids) -> Iterator[tuple[slice, Computed]]:
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

    def _winners(self, computed: Computed, shape: tuple[int, ...]) -> Ids:
        """The number of the decision that fires at every position, -1 where a text has no values."""
        winners = np.full(shape, len(self.decisions) - 1)
        for number in reversed(range(len(self.decisions))):
            condition = self.decisions[number].condition
            if condition is None:
                winners[:] = number
            else:
                holds = computed.values[condition].table(bool)[computed.codes[condition]] > 0
                winners[np.broadcast_to(holds, shape)] = number
        winners[np.arange(shape[1]) >= computed.defined[:, None]] = UNDEFINED
        return winners
