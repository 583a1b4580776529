"""Programs: what a user writes, and what can be asked of it, for one text or in arrays for many."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from html import escape as escape_html
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from handcraft.errors import HandcraftWarning, ProgramError, VocabularyError, raise_all
from handcraft.language.decision import Decision
from handcraft.language.distribution import likeliest
from handcraft.language.expression_rules import ExpressionRules
from handcraft.language.graph.node import Aggregate
from handcraft.language.judged import Judged
from handcraft.language.meaning import Meaning
from handcraft.language.ngrams import ngram_rules
from handcraft.language.pattern_rules import PatternRules
from handcraft.language.patterns.coverage import Coverage
from handcraft.language.patterns.first_match import NONE, Ids
from handcraft.language.read_rules import read_setting, rule_problems, unprompted_problems
from handcraft.language.readings import Readings
from handcraft.language.rule import Clause, Rule
from handcraft.language.sequences import Prompts
from handcraft.origin import Place, caller_place
from handcraft.vocabulary import Vocabulary, shorten

if TYPE_CHECKING:
    import pytest

    from handcraft.draw import Picture

REPR_UP_TO = 12
"""How many rules a repr shows."""

HTML_UP_TO = 200
"""How many rules the table of a notebook shows."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Program:
    """Rules over a vocabulary; the first rule that matches wins.

    A program is made from a vocabulary and a context length or, if its rules read expressions, from
    the `Prompts` of those expressions. Both kinds may have rules that predict distributions.

    Args:
        vocabulary: a `Vocabulary`, or what makes one.
        context: how many tokens the model sees; of a longer text, only the last ones.
        rules: the rules, in the order in which they are tried.
        prompts: in place of a vocabulary and a context, what the expressions are made from, and which
            texts are allowed.

    Raises:
        HandcraftError: everything that is wrong with the program, all at once.

    Warns:
        HandcraftWarning: for every rule that can never fire, naming what hides it.

    >>> from handcraft import Prompts, predict
    >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    >>> aab.meaning("aabaa")
    'b'
    >>> prompts = Prompts("ab", context=5)
    >>> last = predict(prompts.token).when(prompts.position >= 2)
    >>> Program(prompts=prompts, rules=[last, predict("b").otherwise()]).trace("aaa")
    ('b', 'b', 'a')
    """

    vocabulary: Vocabulary
    context: int
    rules: tuple[Rule, ...]
    prompts: Prompts
    place: Place | None

    @overload
    def __init__(
        self,
        vocabulary: Vocabulary | str | Iterable[str],
        context: int,
        rules: Sequence[Rule],
        *,
        place: Place | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self, *, prompts: Prompts, rules: Sequence[Rule], place: Place | None = None
    ) -> None: ...

    def __init__(
        self,
        vocabulary: Vocabulary | str | Iterable[str] | None = None,
        context: int | None = None,
        rules: Sequence[Rule] = (),
        *,
        prompts: Prompts | None = None,
        place: Place | None = None,
    ) -> None:
        place = place or caller_place(1)
        given, problems = read_setting(vocabulary, context, prompts, place)
        if not isinstance(vocabulary, Prompts):  # else the rules are the wrong argument too
            problems += rule_problems(rules, place)
            if prompts is None and not problems:
                problems += unprompted_problems(rules)
        raise_all(problems)
        vars(self).update(vocabulary=given.vocabulary, context=given.context, rules=tuple(rules))
        vars(self).update(prompts=given, place=place)
        self._reading.check()

    @classmethod
    def from_ngrams(
        cls,
        text: str | Sequence[str],
        order: int,
        smoothing: Fraction | int | str = 0,
        *,
        words: bool = False,
        greedy: bool = False,
        vocabulary: Vocabulary | str | Iterable[str] | None = None,
        context: int | None = None,
    ) -> Program:
        """The back-off n-gram model of a text.

        The rules count exactly. They predict what followed the longest suffix of the context that
        occurs in the text.

        Args:
            text: to count in, or its tokens.
            order: 2 reads one token back, 3 reads two.
            smoothing: what is added to the count of every token, exact: a whole number, a `Fraction`
                or a text such as ``"1/10"``.
            words: split the text into words at spaces, not into characters.
            greedy: predict the token that followed most often, instead of a distribution; of several
                the first in the vocabulary.
            vocabulary: by default the tokens of the text, in sorted order.
            context: how many tokens the model sees; by default as many as it reads.

        Raises:
            HandcraftError: the text is too short or has an unknown token, or an argument is wrong.

        >>> model = Program.from_ngrams("abracadabra", order=2)
        >>> model.distribution("a")
        {'b': Fraction(1, 2), 'c': Fraction(1, 4), 'd': Fraction(1, 4)}
        >>> print(*Program.from_ngrams("abab", order=3, greedy=True).rules, sep=", ")
        predict b after a, predict a otherwise
        """
        place = caller_place(1)
        tokens = text.split() if words and isinstance(text, str) else list(text)
        if isinstance(vocabulary, Vocabulary):
            known = vocabulary
        else:
            known = Vocabulary(sorted(set(tokens)) if vocabulary is None else vocabulary)
        rules = ngram_rules(
            tokens, order, smoothing=smoothing, greedy=greedy, vocabulary=known, place=place
        )
        with warnings.catch_warnings():  # where the text leaves nothing for the last rule
            warnings.simplefilter("ignore", HandcraftWarning)
            return cls(known, max(1, order - 1) if context is None else context, rules, place=place)

    def __repr__(self) -> str:
        vocabulary = repr(self.vocabulary).removeprefix("Vocabulary(").removesuffix(")")
        shown = [repr(rule) for rule in self.rules[:REPR_UP_TO]]
        more = len(self.rules) - len(shown)
        rules = ", ".join([*shown, f"... {more:,} more"] if more else shown)
        if self.has_only_patterns:
            return f"Program({vocabulary}, {self.context}, [{rules}])"
        return f"Program(prompts=Prompts({vocabulary}, {self.context}), rules=[{rules}])"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same for IPython and Hypothesis, which would list every field."""
        printer.text(repr(self))

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

        >>> from handcraft import predict
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

        >>> from handcraft import predict
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

    @cached_property
    def meant(self) -> Meaning:
        """The rules as expressions, for explanations, pictures and certificates."""
        longer = (lambda context: self.widened(context).meant) if self.has_only_patterns else None
        return self._readings.as_expressions.meant(longer)

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

    def widened(self, context: int) -> Program:
        """The same rules with a context of `context` tokens.

        Raises:
            UncoveredError: they leave some longer context uncovered.
            ProgramError: they read expressions, whose values depend on the context length.
        """
        if not self.has_only_patterns:
            raise ProgramError(
                f"the expressions of the program are made for {self.context} tokens, not for {context}",
                where=self.place,
                fix=f"declare Prompts(..., context={context})",
            )
        if context == self.context:
            return self
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HandcraftWarning)  # given once, when this was made
            return Program(self.vocabulary, context, self.rules, place=self.place)

    @property
    def has_only_patterns(self) -> bool:
        """Whether every rule predicts one token after a pattern, and any text is an allowed prompt.

        Such rules mean the same in a longer context, read one window of tokens each, and have plans of
        their own in the compiler.
        """
        return self._readings.has_only_patterns

    @property
    def reach(self) -> int:
        """How many tokens the longest pattern reads; expressions read the whole context."""
        return self._reading.reach

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The rules as expressions, in the order in which they are tried; the last one fires always.

        Rules that never fire are left out: their flag is never true, or an earlier rule always fires.
        """
        return self._readings.as_expressions.decisions

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """The rules with their patterns read, where the program has only patterns.

        Raises:
            ProgramError: it has other rules too.
        """
        return self._readings.as_patterns.clauses

    @property
    def coverage(self) -> Coverage:
        """Which rule wins where, decided over all contexts, where the program has only patterns."""
        return self._readings.as_patterns.coverage

    @cached_property
    def _readings(self) -> Readings:
        return Readings(self.rules, self.prompts, self.place)

    @property
    def _reading(self) -> PatternRules | ExpressionRules:
        return self._readings.decisive

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

    def draw(self, *, rule: int | None = None) -> Picture:
        """The values and rules of the program as a picture, which notebooks show.

        Args:
            rule: the number of a rule, from 1: only this one, and what it reads.

        Raises:
            DrawError: there is no such rule, it never fires, or there are too many values.
        """
        from handcraft.draw import program_picture

        return program_picture(self, rule=rule)

    def parametrize(self, argument: str = "rule") -> pytest.MarkDecorator:
        """Run a test of pytest once for each rule, as `handcraft.testing.parametrize`.

        Args:
            argument: the name of the argument that gets the rule, with prompts where it decides.
        """
        from handcraft.testing import parametrize

        return parametrize(self, argument)

    def _repr_html_(self) -> str:
        """The rules as a table, for notebooks."""
        rows = "".join(
            f"<tr><td>{number}</td><td><code>{escape_html(str(rule))}</code></td></tr>"
            for number, rule in enumerate(self.rules[:HTML_UP_TO], 1)
        )
        if len(self.rules) > HTML_UP_TO:
            rows += f"<tr><td></td><td>and {len(self.rules) - HTML_UP_TO:,} more</td></tr>"
        head = f"vocabulary <code>{escape_html(shorten(self.vocabulary.tokens))}</code>"
        return f"<table><caption>{head}, context {self.context}</caption>{rows}</table>"
