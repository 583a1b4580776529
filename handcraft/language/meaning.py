"""What a model is to compute, as rules over expressions or as expressions alone.

A program has one (`Program.meant`), expressions without rules have one, and so does a certificate,
which contains no code. Explanations and pictures read it, and do not ask where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from handcraft.display import short_repr
from handcraft.errors import ProgramError
from handcraft.language.graph.node import Node, walk
from handcraft.language.judged import Judged, judge
from handcraft.language.patterns.first_match import Ids
from handcraft.language.rules.conditions import MeantCondition, conditions_of
from handcraft.language.rules.distribution import Distribution
from handcraft.language.rules.rules_on_texts import RulesOnTexts
from handcraft.origin import Origin


@dataclass(frozen=True, eq=False)
class MeantRule:
    """A rule that can fire.

    Args:
        number: its place among the rules as they are written, from 1.
        origin: how it reads, and where it was written.
        answer: a category whose values are tokens, or a distribution.
        condition: a flag, which says where it fires if no earlier rule does; None for everywhere.
        read_as: the conditions that it consists of, where they are stored; None to take it apart.
    """

    number: int
    origin: Origin
    answer: Node | Distribution
    condition: Node | None
    read_as: tuple[MeantCondition, ...] | None = None

    @cached_property
    def conditions(self) -> tuple[MeantCondition, ...]:
        """The flags that must all be true where it fires."""
        return conditions_of(self.condition) if self.read_as is None else self.read_as

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What is computed for it: the condition and the answer."""
        return tuple(part for part in (self.condition, self.answer) if isinstance(part, Node))


@dataclass(frozen=True)
class NeverFires:
    """A rule that never fires: its condition is never true, or an earlier rule always fires."""

    number: int
    origin: Origin


class Promise(Protocol):
    """Which prompts a program promises to answer."""

    @property
    def refuses_some(self) -> bool:
        """Whether some texts are known not to be allowed."""

    def check_promised(self, tokens: Sequence[str], answer: Callable[[Sequence[str]], str]) -> None:
        """Raise a PromptError unless a prompt is allowed.

        Args:
            tokens: the prompt.
            answer: what is predicted after a text, for tokens that the program itself writes.
        """


@short_repr
@dataclass(frozen=True, eq=False)
class Meaning:
    """What a model is to compute.

    Args:
        tokens: the vocabulary.
        context: how many positions its expressions are made for.
        causal: whether a position sees only itself and earlier ones.
        rules: those that can fire, in the order in which they are tried; the last one always fires.
            There are none where values are computed.
        never: the other rules as they are written.
        outputs: of a model of values, the expressions by name.
        promise: which prompts it is about; None for all.
        longer: makes the same meaning for a longer context, of rules that mean the same there.
    """

    tokens: tuple[str, ...]
    context: int
    causal: bool
    rules: tuple[MeantRule, ...] = ()
    never: tuple[NeverFires, ...] = field(default=(), repr=False)
    outputs: Mapping[str, Node] = field(default_factory=dict)
    promise: Promise | None = field(default=None, repr=False)
    longer: Callable[[int], Meaning] | None = field(default=None, repr=False)

    @property
    def roots(self) -> list[Node]:
        """The conditions, answers and outputs that are computed."""
        return [*(node for rule in self.rules for node in rule.nodes), *self.outputs.values()]

    @property
    def order(self) -> list[Node]:
        """All that is computed, each after what it is computed from; certificates number it so."""
        return list(walk(*self.roots))

    @property
    def written(self) -> tuple[Origin, ...]:
        """All rules in the order in which they are written."""
        every = {rule.number: rule.origin for rule in self.rules}
        every |= {rule.number: rule.origin for rule in self.never}
        return tuple(every[number] for number in sorted(every))

    def for_length(self, length: int) -> Meaning:
        """What it means for texts of some length.

        Raises:
            ProgramError: it is only about shorter texts.
        """
        if length <= self.context:
            return self
        if self.longer is None:
            raise ProgramError(
                f"the program is about texts of up to {self.context} tokens, and this has {length}",
                fix=f"give at most {self.context} tokens",
            )
        return self.longer(length)

    def judged(self, tokens: Sequence[str]) -> Judged:
        """What becomes of each rule after a text, and the values of the expressions.

        Args:
            tokens: at least one, and no more than the context. Whether the text is an allowed prompt is
                not checked.

        Raises:
            AssumptionError: the text breaks an assumption.
        """
        return judge(self.rules, self.never, self.outputs.values(), tokens, causal=self.causal)

    def answer(self, tokens: Sequence[str]) -> str:
        """The token that the first matching rule predicts; of a distribution the most likely."""
        return self.judged(tokens).answer

    def answers_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """The likeliest tokens at some positions of many texts, as `Program.answers_at` gives them."""
        return self._on_texts.decide(texts, rows, places)[1]

    @cached_property
    def _on_texts(self) -> RulesOnTexts:
        return RulesOnTexts(self.rules, self.tokens, causal=self.causal)

    def check_promised(self, tokens: Sequence[str]) -> None:
        """Raise a PromptError unless an answer to a prompt is promised."""
        if self.promise is not None:
            self.promise.check_promised(tokens, self.answer)
