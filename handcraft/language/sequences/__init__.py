"""Expressions: a value at every position, computed from values there or at other positions."""

from handcraft.language.graph.node import Comparison
from handcraft.language.sequences.expression import Expression
from handcraft.language.sequences.functions import Selection, lookup, select, weighted, where, window
from handcraft.language.sequences.prompts import Prompts

__all__ = [
    "Comparison",
    "Expression",
    "Prompts",
    "Selection",
    "lookup",
    "select",
    "weighted",
    "where",
    "window",
]
