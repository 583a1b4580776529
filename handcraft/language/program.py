"""Programs, and the oracle: what a program means, in plain Python, and in arrays for many texts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from html import escape as escape_html
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from handcraft.errors import (
    HandcraftWarning,
    ProgramError,
    VocabularyError,
    raise_all,
)
from handcraft.language.decided_texts import DecidedTexts
from handcraft.language.decision import Decision, Distribution, decided, likeliest
from handcraft.language.ngrams import ngram_rules
from handcraft.language.patterns.coverage import Coverage, cover
from handcraft.language.patterns.first_match import NONE, FirstMatch, Ids
from handcraft.language.patterns.hidden_rules import hiding_rules, never_fires
from handcraft.language.patterns.pattern import escape
from handcraft.language.read_rules import read_clauses, read_decisions, rule_problems
from handcraft.language.read_setting import read_setting
from handcraft.language.rule import Clause, Rule
from handcraft.language.sequences import Prompts
from handcraft.language.sequences.node import Aggregate
from handcraft.origin import Place, caller_place
from handcraft.vocabulary import Vocabulary, shorten

Shares: TypeAlias = npt.NDArray[np.float64]

REPR_UP_TO = 12
"""How many rules a repr shows."""

HTML_UP_TO = 200
"""How many rules the table of a notebook shows."""


class UncoveredError(ProgramError):
    """Some context that no rule covers."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Program:
    """Rules over a vocabulary; the first rule that matches wins.

    A program is made from a vocabulary and a context length, or, where its rules read expressions, from
    the `Prompts` that those speak about. Rules that predict distributions may stand in either.

    Args:
        vocabulary: a `Vocabulary`, or what makes one.
        context: how many tokens the model sees; of a longer text, the last so many.
        rules: the rules, in the order in which they are tried.
        prompts: in place of a vocabulary and a context, what the expressions are made from. None where
            every rule predicts one token after a pattern.

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
    prompts: Prompts | None
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
        known, longest, problems = read_setting(vocabulary, context, prompts, place)
        if not isinstance(vocabulary, Prompts):  # else the rules stand in another place too
            problems += rule_problems(rules, place)
        raise_all(problems)
        if prompts is None and _has_only_distributions(rules):
            prompts = Prompts(known, longest, place=place)
        object.__setattr__(self, "vocabulary", known)
        object.__setattr__(self, "context", longest)
        object.__setattr__(self, "rules", tuple(rules))
        object.__setattr__(self, "prompts", prompts)
        object.__setattr__(self, "place", place)
        if prompts is None:
            self._check_coverage()
        else:
            self._check_decisions()

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
        """The n-gram model of a text: what followed the longest context that the text holds.

        The rules count exactly. After a context that the text does not hold, the model backs off to
        the longest ending of it that the text does hold.

        Args:
            text: to count in, or its tokens.
            order: 2 reads one token back, 3 reads two.
            smoothing: what is added to the count of every token, exact: a whole number, a `Fraction`
                or a text such as ``"1/10"``.
            words: read a text as words between blanks, not as characters.
            greedy: predict the token that followed most often, instead of a distribution; of several
                the first in the vocabulary.
            vocabulary: by default the tokens of the text, in sorted order.
            context: how many tokens the model sees; by default as many as it reads.

        Raises:
            HandcraftError: the text is too short or holds an unknown token; or an argument is wrong.

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
        if self.prompts is not None:
            return f"Program(prompts=Prompts({vocabulary}, {self.context}), rules=[{rules}])"
        return f"Program({vocabulary}, {self.context}, [{rules}])"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same for IPython and Hypothesis, which would list every field."""
        printer.text(repr(self))

    def meaning(self, context: str | Sequence[str]) -> str:
        """The token that the first matching rule predicts; of a distribution the most likely.

        Args:
            context: text or tokens; of more than `self.context` tokens only the last ones count.

        Raises:
            VocabularyError: a token is unknown, or there is none.
            PromptError: the context is no legal prompt of the program.
            AssumptionError: the context breaks an assumption of the program.
        """
        return self.vocabulary.token(self.next_token(self._seen(context)))

    def distribution(self, context: str | Sequence[str]) -> dict[str, Fraction]:
        """How probable each token is that the first matching rule allows: 1 for the only one.

        Args:
            context: as for `meaning`.

        >>> from handcraft import predict
        >>> program = Program("ab", 5, [predict({"a": 0.25, "b": 0.75}).otherwise()])
        >>> program.distribution("a")
        {'a': Fraction(1, 4), 'b': Fraction(3, 4)}
        """
        ids = self._seen(context)
        if self.prompts is None:
            return {self.vocabulary.token(self.next_token(ids)): Fraction(1)}
        return dict(self._decided(ids)[-1])

    def trace(self, text: str | Sequence[str]) -> tuple[str, ...]:
        """The token that is predicted at every position of a text of at most `self.context` tokens.

        Where the prompts are causal that is the meaning of every prefix; it costs no more than that of
        the whole text. Whether the text or its prefixes are legal prompts is not checked.

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
        if self.prompts is not None:
            return self.vocabulary.id(likeliest(self._decided(ids)[-1]))
        for clause in self._tried_after[ids[-1]]:
            if clause.pattern.matches(ids):
                return clause.token
        raise UncoveredError(f"no rule covers {self.vocabulary.text(ids)!r}", where=self.place)

    def next_tokens(self, ids: Sequence[int]) -> list[int]:
        """The id of the token that is predicted at every position of the tokens `ids`.

        As `trace`, but in ids.
        """
        if self.prompts is None:
            return [self.next_token(ids[:length]) for length in range(1, len(ids) + 1)]
        return [self.vocabulary.id(likeliest(shares)) for shares in self._decided(ids)]

    def answers_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """The ids of the tokens that are predicted at some positions of many texts.

        What `next_tokens` says of one text at a time, but in arrays, and many times faster.

        Args:
            texts: token ids, [text, position].
            rows: for each answer its text: [answer].
            places: for each answer its position: [answer].

        Returns:
            [answer]; -1 where the text, up to there with causal prompts, breaks an assumption.

        Raises:
            UncoveredError: no rule covers what ends at one of the places.
        """
        if self.prompts is not None:
            return np.asarray(self._decided_texts.tokens(texts)[rows, places])
        winners = self._first_match.at(texts, rows, places)
        uncovered = np.flatnonzero(winners == NONE)
        if len(uncovered):
            first = int(uncovered[0])
            context = texts[rows[first], : places[first] + 1].tolist()
            raise UncoveredError(f"no rule covers {self.vocabulary.text(context)!r}", where=self.place)
        return np.asarray(self._tokens_of_clauses[winners])

    def rules_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """The numbers of the rules that decide at some positions of many texts, as for `answers_at`.

        Returns:
            [answer]; -1 where a text breaks an assumption, or no rule matches.
        """
        if self.prompts is None:
            winners = self._first_match.at(texts, rows, places)
            return np.where(winners == NONE, -1, winners)
        numbers = {decision: number for number, decision in enumerate(self._each_rule)}
        decided = [numbers[decision] for decision in self.decisions]
        return np.array([*decided, -1])[self._decided_texts.winners(texts)[rows, places]]

    @property
    def selections(self) -> tuple[Aggregate, ...]:
        """What the rules read at other positions, those that are computed first before the others."""
        return self._decided_texts.selections if self.prompts is not None else ()

    def selected_at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """At how many positions up to the answers each selection found a source, and at how many none.

        Args:
            texts: as for `answers_at`.
            rows: as for `answers_at`.
            places: as for `answers_at`.

        Returns:
            [selection, 2], in the order of `selections`.
        """
        if self.prompts is None:
            return np.zeros((0, 2), dtype=np.int64)
        ends = np.zeros(len(texts), dtype=np.int64)
        np.maximum.at(ends, rows, places + 1)
        return self._decided_texts.selected(texts, ends)

    def shares_at(self, texts: Ids, rows: Ids, places: Ids) -> Shares:
        """How probable each token is at some positions of many texts: [answer, token].

        Args:
            texts: as for `answers_at`; a text that breaks an assumption gives 0 for every token.
            rows: as for `answers_at`.
            places: as for `answers_at`.
        """
        if self.prompts is not None:
            return np.asarray(self._decided_texts.shares(texts)[rows, places])
        return np.eye(len(self.vocabulary))[self.answers_at(texts, rows, places)]

    def widened(self, context: int) -> Program:
        """The same rules seeing up to `context` tokens.

        Raises:
            UncoveredError: they leave some longer context uncovered.
            ProgramError: they read expressions, whose values depend on the context length.
        """
        if self.prompts is not None:
            raise ProgramError(
                f"the expressions of the program are made for {self.context} tokens, not for {context}",
                where=self.place,
                fix=f"declare Prompts(..., context={context})",
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HandcraftWarning)  # told once, when this was made
            return Program(self.vocabulary, context, self.rules, place=self.place)

    @property
    def reach(self) -> int:
        """How many tokens the longest pattern reads; expressions read the whole context."""
        if self.prompts is not None:
            return self.context
        return max((len(clause.pattern) for clause in self.clauses), default=0)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The rules as expressions, in the order in which they are tried; the last one fires always.

        Rules that never fire are left out: their flag never holds, or a rule before them fires always.
        """
        last = next((i for i, d in enumerate(self._each_rule) if d.is_always), len(self.rules))
        return tuple(d for d in self._each_rule[: last + 1] if not d.is_never)

    @cached_property
    def texts(self) -> Prompts:
        """The prompts that its rules read: those that it states, or any text up to its context."""
        return self.prompts or Prompts(self.vocabulary, self.context, place=self.place)

    @cached_property
    def _each_rule(self) -> tuple[Decision, ...]:
        return read_decisions(self.rules, self.texts)

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The rules with their patterns read, where each predicts one token after a pattern.

        Raises:
            ProgramError: the program is one over prompts.
        """
        if self.prompts is not None:
            raise ProgramError(
                "the rules of a program over prompts are more than patterns",
                where=self.place,
                fix="read its decisions",
            )
        return read_clauses(self.rules, self.vocabulary, self.context)

    @cached_property
    def coverage(self) -> Coverage:
        """Which rule wins where, decided over all contexts."""
        patterns = [clause.pattern for clause in self.clauses]
        return cover(patterns, len(self.vocabulary), self.context)

    @cached_property
    def live_clauses(self) -> tuple[Clause, ...]:
        """The clauses that win on some context, in order.

        Where coverage is undecided: all up to the first that always matches.
        """
        if not self.coverage.is_complete:
            always = (
                i for i, c in enumerate(self.clauses) if c.pattern.is_always(len(self.vocabulary))
            )
            return self.clauses[: next(always, len(self.clauses)) + 1]
        return tuple(c for i, c in enumerate(self.clauses) if i in self.coverage.fired)

    @cached_property
    def _tried_after(self) -> tuple[tuple[Clause, ...], ...]:
        """For each last token, the clauses that allow it: only these can match."""
        after: list[list[Clause]] = [[] for _ in self.vocabulary.tokens]
        everywhere = range(len(self.vocabulary))
        for clause in self.clauses:
            last = everywhere if clause.is_otherwise else clause.pattern.backwards(0)
            for token in last:
                after[token].append(clause)
        return tuple(tuple(clauses) for clauses in after)

    @cached_property
    def _first_match(self) -> FirstMatch:
        return FirstMatch([clause.pattern for clause in self.clauses], len(self.vocabulary))

    @cached_property
    def _tokens_of_clauses(self) -> Ids:
        return np.array([clause.token for clause in self.clauses], dtype=np.int64)

    @cached_property
    def _decided_texts(self) -> DecidedTexts:
        assert self.prompts is not None
        return DecidedTexts(self.decisions, self.vocabulary.tokens, causal=self.prompts.causal)

    def _seen(self, context: str | Sequence[str]) -> tuple[int, ...]:
        """The ids of the tokens of a prompt that count."""
        ids = self.vocabulary.ids(context)
        if not ids:
            raise VocabularyError("the prompt is empty", fix="give at least one token to predict from")
        if self.prompts is not None:
            tokens = [self.vocabulary.token(i) for i in ids]
            self.prompts.check_legal(tokens)
            lengths = range(len(ids) - self.prompts.written(tokens), len(ids))
            written = (self.vocabulary.token(self.next_token(ids[:length])) for length in lengths)
            self.prompts.check_written(tokens, written)
        return ids[-self.context :]

    def _decided(self, ids: Sequence[int]) -> list[Distribution]:
        assert self.prompts is not None
        tokens = [self.vocabulary.token(i) for i in ids]
        found = decided(self.decisions, tokens, causal=self.prompts.causal)
        return [shares for _, shares in found]

    @property
    def _otherwise_line(self) -> str:
        """The line that covers every context, as advice in a rule file."""
        token = escape(self.vocabulary.tokens[0])
        return f"end the rules with a line that always fires, as in `predict {token} otherwise`"

    def _check_coverage(self) -> None:
        covered = self.coverage
        if covered.uncovered is not None:
            context = self.vocabulary.text(covered.uncovered)
            raise UncoveredError(
                f"no rule says what to predict after {context!r}",
                where=self.place,
                fix="end the rules with a rule that is always true, as in "
                f'predict("{self.vocabulary.tokens[0]}").otherwise()',
                in_rules=self._otherwise_line,
            )
        if not covered.is_complete and not any(clause.is_otherwise for clause in self.clauses):
            raise UncoveredError(
                "the rules are too entangled to decide whether they cover every context",
                where=self.place,
                fix="end them with an otherwise() rule",
                in_rules=self._otherwise_line,
            )
        if covered.is_complete:
            for i, clause in enumerate(self.clauses):
                if i not in covered.fired:
                    hiding = hiding_rules(i, self.clauses, self._tried_after, covered)
                    warnings.warn(HandcraftWarning(never_fires(clause.rule, hiding)), stacklevel=3)

    def _check_decisions(self) -> None:
        last = next((i for i, d in enumerate(self._each_rule) if d.is_always), None)
        if last is None:
            raise UncoveredError(
                f"no rule is sure to fire: the last one, `{self.rules[-1]}`, has a condition",
                where=self.place,
                fix="end the rules with one that always fires, as in "
                f'predict("{self.vocabulary.tokens[0]}").otherwise()',
                in_rules=self._otherwise_line,
            )
        for i, decision in enumerate(self._each_rule):
            if decision.is_never or i > last:
                hiding = [self.rules[last]] if i > last else []
                warnings.warn(HandcraftWarning(never_fires(decision.rule, hiding)), stacklevel=3)

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


def _has_only_distributions(rules: Sequence[Rule]) -> bool:
    """Whether rules predict distributions, and read no expressions that would bring prompts along."""
    if any(rule.has_expressions for rule in rules):
        return False
    return any(isinstance(rule.answer, Mapping) for rule in rules)
