"""Rules that read expressions or predict distributions: which one decides, and what it predicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from handcraft.errors import HandcraftWarning
from handcraft.language.graph.node import Aggregate
from handcraft.language.meaning import Meaning, MeantRule, NeverFires
from handcraft.language.patterns.coverage import never_fires
from handcraft.language.patterns.first_match import Ids
from handcraft.language.rules.decision import Deciding, Decision, decided
from handcraft.language.rules.distribution import Distribution
from handcraft.language.rules.read_rules import Parsed, UncoveredError, sure_line, sure_rule
from handcraft.language.rules.rules_on_texts import UNDEFINED, RulesOnTexts
from handcraft.language.sequences import Prompts
from handcraft.origin import Place


class ExpressionRules:
    """Rules of any kind, each as a condition and an answer.

    Raises:
        HandcraftError: everything that is wrong with the rules, all at once.
    """

    def __init__(self, rules: Sequence[Parsed], prompts: Prompts, place: Place | None) -> None:
        self.prompts, self.place = prompts, place
        self.rules = [each.rule for each in rules]
        self.vocabulary, self.reach = prompts.vocabulary, prompts.context
        deciding = Deciding(prompts)
        self.every = tuple(map(deciding.decide, rules))
        self._last = next((i for i, d in enumerate(self.every) if d.is_always), None)
        tried = self.every if self._last is None else self.every[: self._last + 1]
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
        for i, decision in enumerate(self.every):
            if decision.is_never or i > self._last:
                hiding = [self.rules[self._last]] if i > self._last else []
                warnings.warn(HandcraftWarning(never_fires(decision.rule, hiding)), stacklevel=3)

    def meant(self, longer: Callable[[int], Meaning] | None) -> Meaning:
        """The rules for explanations, pictures and certificates.

        Args:
            longer: makes them for a longer context, where they mean the same there.
        """
        numbers = {decision: number for number, decision in enumerate(self.every, 1)}
        fires = [(numbers[decision], decision) for decision in self.decisions]
        rules = tuple(MeantRule(at, d.rule.origin, d.answer, d.condition) for at, d in fires)
        never = numbers.keys() - set(self.decisions)
        return Meaning(
            self.vocabulary.tokens,
            self.prompts.context,
            self.prompts.causal,
            rules,
            tuple(NeverFires(numbers[d], d.rule.origin) for d in self.every if d in never),
            promise=self.prompts,
            longer=longer,
        )

    def distribution(self, ids: Sequence[int]) -> Distribution:
        """How probable each token is after exactly these."""
        return self.distributions(ids)[-1]

    def distributions(self, ids: Sequence[int]) -> list[Distribution]:
        """The same after each of them; in a program without a mask, after each in this text."""
        tokens = [self.vocabulary.token(i) for i in ids]
        causal = self.prompts.causal
        return [
            each
            for _, each in decided(self.decisions, tokens, causal=causal, order=self.on_texts.order)
        ]

    def decide(self, texts: Ids, rows: Ids, places: Ids) -> tuple[Ids, Ids]:
        """The rule that decides at each place, and its likeliest token; -1 for no value."""
        winners, tokens = self.on_texts.decide(texts, rows, places)
        known = winners != UNDEFINED
        winners[known] = self._numbers[winners[known]]
        return winners, tokens

    @cached_property
    def selections(self) -> tuple[Aggregate, ...]:
        """As `Program.selections`."""
        return tuple(node for node in self.on_texts.order if isinstance(node, Aggregate))

    def selected_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """As `Program.selected_at`."""
        ends = np.zeros(len(texts), dtype=np.int64)
        np.maximum.at(ends, rows, places + 1)
        found = np.zeros((len(self.selections), 2), dtype=np.int64)
        for part, computed in self.on_texts.computed(texts):
            counted = np.minimum(ends[part], computed.defined)[:, None] > np.arange(texts.shape[1])
            for number, node in enumerate(self.selections):
                selects = np.count_nonzero(computed.selects[node] & counted)
                found[number] += selects, np.count_nonzero(counted) - selects
        return found

    @cached_property
    def on_texts(self) -> RulesOnTexts:
        """The rules on many texts at once."""
        return RulesOnTexts(self.decisions, self.vocabulary.tokens, causal=self.prompts.causal)

    @cached_property
    def _numbers(self) -> Ids:
        """The number of each decision among all rules."""
        numbers = {decision: number for number, decision in enumerate(self.every)}
        return np.array([numbers[decision] for decision in self.decisions], dtype=np.int64)
