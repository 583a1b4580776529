"""The language: rules over a vocabulary, and their meaning in plain Python."""

from typing import TYPE_CHECKING

from handcraft.language.automata import Automaton, regex
from handcraft.language.program import Program
from handcraft.language.rules.decision import Decision
from handcraft.language.rules.rule import Prediction, Rule, predict
from handcraft.language.sequences import (
    Comparison,
    Expression,
    Prompts,
    Selection,
    lookup,
    select,
    weighted,
    where,
    window,
)
from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.language.text.rules_text import parse_one_liner, parse_rules
    from handcraft.language.text.write_rules import write_rules
else:
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.language.text.rules_text": ("parse_one_liner", "parse_rules"),
            "handcraft.language.text.write_rules": ("write_rules",),
        },
    )

__all__ = [
    "Automaton",
    "Comparison",
    "Decision",
    "Expression",
    "Prediction",
    "Program",
    "Prompts",
    "Rule",
    "Selection",
    "lookup",
    "parse_one_liner",
    "parse_rules",
    "predict",
    "regex",
    "select",
    "weighted",
    "where",
    "window",
    "write_rules",
]
