"""The error of a context that no rule covers, and the rule that would cover it."""

from __future__ import annotations

from handcraft.errors import ProgramError
from handcraft.language.patterns.pattern import escape
from handcraft.vocabulary import Vocabulary


class UncoveredError(ProgramError):
    """A context that no rule covers."""


def sure_rule(vocabulary: Vocabulary) -> str:
    """A rule that covers every context, as advice in Python."""
    return f'predict("{vocabulary.tokens[0]}").otherwise()'


def sure_line(vocabulary: Vocabulary) -> str:
    """The same, as advice in a rule file."""
    token = escape(vocabulary.tokens[0])
    return f"end the rules with a line that always fires, as in `predict {token} otherwise`"
