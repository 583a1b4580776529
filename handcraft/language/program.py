"""Programs: rules over a vocabulary, as a user writes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from html import escape as escape_html
from typing import TYPE_CHECKING, Any, overload

from handcraft.errors import HandcraftWarning, ProgramError, raise_all
from handcraft.language.asked import Asked
from handcraft.language.meaning import Meaning
from handcraft.language.ngrams import ngram_rules
from handcraft.language.patterns.coverage import Coverage
from handcraft.language.rules.decision import Decision
from handcraft.language.rules.expression_rules import ExpressionRules
from handcraft.language.rules.pattern_rules import PatternRules
from handcraft.language.rules.read_rules import read_setting, rule_problems, unprompted_problems
from handcraft.language.rules.readings import Readings
from handcraft.language.rules.rule import Clause, Rule
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
class Program(Asked):
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

    @cached_property
    def meant(self) -> Meaning:
        """The rules as expressions, for explanations, pictures and certificates."""
        longer = (lambda context: self.widened(context).meant) if self.has_only_patterns else None
        return self._readings.as_expressions.meant(longer)

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
