"""The rules of a program, read in two ways: as patterns if all of them are, and as expressions.

Patterns are searched for in a table of windows, which is as fast for 10,000 rules as for ten; whether
they cover all contexts is decided exactly. Expressions are computed, and can mean anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from handcraft.errors import ProgramError
from handcraft.language.rules.expression_rules import ExpressionRules
from handcraft.language.rules.pattern_rules import PatternRules
from handcraft.language.rules.read_rules import Parsed, read_rules
from handcraft.language.rules.rule import Rule
from handcraft.language.sequences import Prompts
from handcraft.origin import Place


@dataclass(frozen=True, eq=False)
class Readings:
    """The readings of some rules, each made when it is first asked for.

    Args:
        rules: the rules, in the order in which they are tried.
        prompts: what they are about.
        place: of the program.
    """

    rules: Sequence[Rule]
    prompts: Prompts
    place: Place | None

    @cached_property
    def has_only_patterns(self) -> bool:
        """As `Program.has_only_patterns`."""
        is_any = self.prompts.causal and self.prompts.inputs is None and self.prompts.bos is None
        return is_any and all(isinstance(rule.answer, str) and rule.flag is None for rule in self.rules)

    @cached_property
    def decisive(self) -> PatternRules | ExpressionRules:
        """The reading that decides: patterns if all rules are."""
        return self.as_patterns if self.has_only_patterns else self.as_expressions

    @cached_property
    def as_patterns(self) -> PatternRules:
        """The rules as patterns.

        Raises:
            ProgramError: not all of them are.
        """
        if not self.has_only_patterns:
            raise ProgramError(
                "not all rules of the program are patterns", where=self.place, fix="read its decisions"
            )
        return PatternRules(self._parsed, self.prompts, self.place)

    @cached_property
    def as_expressions(self) -> ExpressionRules:
        """The rules as conditions and answers, whatever they are."""
        return ExpressionRules(self._parsed, self.prompts, self.place)

    @cached_property
    def _parsed(self) -> list[Parsed]:
        return read_rules(self.rules, self.prompts)
