"""What can be asked of a program: what it means after one text, or in arrays after many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from handcraft.errors import ProgramError, VocabularyError
from handcraft.language.graph.node import Aggregate
from handcraft.language.judged import Judged
from handcraft.language.meaning import Meaning
from handcraft.language.patterns.first_match import NONE, Ids
from handcraft.language.rules.distribution import likeliest
from handcraft.language.rules.expression_rules import ExpressionRules
from handcraft.language.rules.pattern_rules import PatternRules
from handcraft.language.rules.rule import Rule
from handcraft.language.sequences import Prompts
from handcraft.vocabulary import Vocabulary


class Asked(ABC):
    """The answers of a program, which has the rules and the texts that they are about."""

    vocabulary: Vocabulary
    context: int
    rules: tuple[Rule, ...]
    prompts: Prompts

    @property
    @abstractmethod
    def meant(self) -> Meaning:
        """The rules as expressions."""

    @property
    @abstractmethod
    def has_only_patterns(self) -> bool:
        """Whether every rule predicts one token after a pattern."""

    @property
    @abstractmethod
    def _reading(self) -> PatternRules | ExpressionRules:
        """The reading of the rules that decides."""

    def meaning(self, context: str | Sequence[str]) -> str:
        """The token that the first matching rule predicts; of a distribution the most likely.

        Args:
            context: text or tokens; of more than `self.context` tokens only the last ones count.

        Raises:
            VocabularyError: a token is unknown, or there is none.
            PromptError: the context is not an allowed prompt of the program.
            AssumptionError: the context breaks an assumption of the program.
        """
        return self.vocabulary.token(self.next_token(self._seen(context)))

    def distribution(self, context: str | Sequence[str]) -> dict[str, Fraction]:
        """The probabilities that the first matching rule gives; a single token has 1.

        >>> from handcraft import Program, predict
        >>> program = Program("ab", 5, [predict({"a": 0.25, "b": 0.75}).otherwise()])
        >>> program.distribution("a")
        {'a': Fraction(1, 4), 'b': Fraction(3, 4)}
        """
        return dict(self._reading.distribution(self._seen(context)))

    def trace(self, text: str | Sequence[str]) -> tuple[str, ...]:
        """The token that is predicted at every position of a text of at most `self.context` tokens.

        In a causal program this is the meaning of every prefix, at the cost of the whole text alone.
        Whether the text or its prefixes are allowed prompts is not checked.

        Raises:
            ProgramError: the text is empty or too long.
        """
        ids = self.vocabulary.ids(text)
        if not 0 < len(ids) <= self.context:
            raise ProgramError(
                f"a text of {len(ids)} tokens for a context of {self.context}",
                fix=f"give 1 to {self.context} tokens",
            )
        return tuple(self.vocabulary.token(i) for i in self.next_tokens(ids))

    def next_token(self, ids: Sequence[int]) -> int:
        """The id of the token that the first matching rule predicts after exactly the tokens `ids`."""
        return self.vocabulary.id(likeliest(self._reading.distribution(ids)))

    def next_tokens(self, ids: Sequence[int]) -> list[int]:
        """As `trace`, but in ids: the token that is predicted at every position of the tokens `ids`."""
        return [self.vocabulary.id(likeliest(each)) for each in self._reading.distributions(ids)]

    def answers_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """The ids of the tokens that are predicted at some positions of many texts.

        The same as `next_tokens` for one text at a time, but in arrays, and many times faster.

        Args:
            texts: token ids, [text, position].
            rows: for each answer its text: [answer].
            places: for each answer its position: [answer].

        Returns:
            [answer]; -1 where the text, up to there with causal prompts, breaks an assumption.

        Raises:
            UncoveredError: no rule covers what ends at one of the places.
        """
        winners, tokens = self._reading.decide(texts, rows, places)
        if self.has_only_patterns and (uncovered := np.flatnonzero(winners == NONE)).size:
            first = uncovered[0]
            self.next_token(texts[rows[first], : places[first] + 1].tolist())  # raises the error
        return tokens

    def rules_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """The numbers of the rules that decide at some positions of many texts, as for `answers_at`.

        Returns:
            [answer]; -1 where a text breaks an assumption, or no rule matches.
        """
        return self._reading.decide(texts, rows, places)[0]

    def judged(self, context: str | Sequence[str]) -> Judged:
        """What becomes of each rule after a prompt, and the values of the expressions.

        Whether the prompt is allowed is not checked; of more than `context` tokens the last ones count.

        Raises:
            VocabularyError: a token is unknown, or there is none.
            AssumptionError: the prompt breaks an assumption.

        >>> from handcraft import Program, predict
        >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
        >>> for outcome in aab.judged("ba").outcomes:
        ...     print(outcome.state, "|", outcome.origin.what, outcome.misses)
        nearly | predict b after aa 1
        fires | predict a otherwise 0
        """
        ids = self.vocabulary.ids(context)[-self.context :]
        if not ids:
            raise VocabularyError("the prompt is empty", fix="give at least one token to predict from")
        tokens = [self.vocabulary.token(i) for i in ids]
        return self.meant.judged(tokens)

    @property
    def selections(self) -> tuple[Aggregate, ...]:
        """The selections that the rules use, in the order in which they are computed."""
        return self._reading.selections

    def selected_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """At how many positions up to the answers each selection found a source, and at how many none.

        Returns:
            [selection, 2], in the order of `selections`.
        """
        return self._reading.selected_at(texts, rows, places)

    def probabilities_at(self, texts: Ids, rows: Ids, places: Ids) -> npt.NDArray[np.float64]:
        """How probable each token is, as for `answers_at`: [answer, token]; 0 where that gives -1."""
        winners, tokens = self._reading.decide(texts, rows, places)
        found = np.zeros((len(tokens), len(self.vocabulary)))
        known = np.flatnonzero(tokens >= 0)
        found[known, tokens[known]] = 1
        for number, rule in enumerate(self.rules):
            if isinstance(rule.answer, Mapping):
                shares = [float(rule.answer.get(token, 0)) for token in self.vocabulary.tokens]
                found[winners == number] = shares
        return found

    def _seen(self, context: str | Sequence[str]) -> tuple[int, ...]:
        """The ids of the tokens of a prompt that count."""
        ids = self.vocabulary.ids(context)
        if not ids:
            raise VocabularyError("the prompt is empty", fix="give at least one token to predict from")
        tokens = [self.vocabulary.token(i) for i in ids]
        self.prompts.check_promised(
            tokens, lambda text: self.vocabulary.token(self.next_token(self.vocabulary.ids(text)))
        )
        return ids[-self.context :]
