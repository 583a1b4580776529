"""What a program means: rules over a vocabulary, interpreted in plain Python."""

from handcraft.language.program import Program
from handcraft.language.rule import Prediction, Rule, predict
from handcraft.language.rules_text import parse_one_liner, parse_rules, write_rules

__all__ = [
    "Prediction",
    "Program",
    "Rule",
    "parse_one_liner",
    "parse_rules",
    "predict",
    "write_rules",
]
