"""Rules that read expressions or predict distributions: which one decides, and what it predicts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.errors import HandcraftWarning
from handcraft.language.decided_texts import DecidedTexts
from handcraft.language.decision import Decision, Distribution, decided, likeliest
from handcraft.language.graph.node import Aggregate
from handcraft.language.patterns.first_match import Ids
from handcraft.language.patterns.hidden_rules import never_fires
from handcraft.language.read_rules import read_decisions
from handcraft.language.rule import Rule
from handcraft.language.sequences import Prompts
from handcraft.language.uncovered import UncoveredError, sure_line, sure_rule
from handcraft.origin import Place


class ExpressionRules:
    """What rules of any kind decide, each as a condition and an answer.

    Args:
        rules: in the order in which they are tried.
        prompts: what their expressions are made from.
        place: of the program.

    Raises:
        HandcraftError: everything that is wrong with the rules, all at once.
    """

    def __init__(self, rules: Sequence[Rule], prompts: Prompts, place: Place | None) -> None:
        self.rules, self.prompts, self.place = rules, prompts, place
        self.vocabulary, self.reach = prompts.vocabulary, prompts.context
        self._each = read_decisions(rules, prompts)
        self._last = next((i for i, d in enumerate(self._each) if d.is_always), None)
        tried = self._each if self._last is None else self._each[: self._last + 1]
        self.decisions: tuple[Decision, ...] = tuple(d for d in tried if not d.is_never)

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

    def next_token(self, ids: Sequence[int]) -> int:
        """As `Program.next_token`."""
        return self.vocabulary.id(likeliest(self.distribution(ids)))

    def next_tokens(self, ids: Sequence[int]) -> list[int]:
        """As `Program.next_tokens`."""
        return [self.vocabulary.id(likeliest(each)) for each in self._distributions(ids)]

    def distribution(self, ids: Sequence[int]) -> Distribution:
        """How probable each token is after exactly these."""
        return self._distributions(ids)[-1]

    def answers_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.answers_at`."""
        return np.asarray(self._decided_texts.tokens(texts)[rows, places])

    def rules_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.rules_at`."""
        numbers = {decision: number for number, decision in enumerate(self._each)}
        decided = [numbers[decision] for decision in self.decisions]
        return np.array([*decided, -1])[self._decided_texts.winners(texts)[rows, places]]

    @property
    def selections(self) -> tuple[Aggregate, ...]:
        """As `Program.selections`."""
        return self._decided_texts.selections

    def selected_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.selected_at`."""
        ends = np.zeros(len(texts), dtype=np.int64)
        np.maximum.at(ends, rows, places + 1)
        return self._decided_texts.selected(texts, ends)

    def probabilities_at(self, texts: Ids, rows: Ids, places: Ids) -> npt.NDArray[np.float64]:
        """As `Program.probabilities_at`."""
        return np.asarray(self._decided_texts.probabilities(texts)[rows, places])

    @cached_property
    def _decided_texts(self) -> DecidedTexts:
        return DecidedTexts(self.decisions, self.vocabulary.tokens, causal=self.prompts.causal)

    def _distributions(self, ids: Sequence[int]) -> list[Distribution]:
        tokens = [self.vocabulary.token(i) for i in ids]
        return [each for _, each in decided(self.decisions, tokens, causal=self.prompts.causal)]
