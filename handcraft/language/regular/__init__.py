"""Regular expressions as Python reads them, decided by automata and never by backtracking."""

from handcraft.language.regular.letters import Letters
from handcraft.language.regular.machine import DEAD, Machine
from handcraft.language.regular.read import RegularExpressionError, mentioned, parse

__all__ = ["DEAD", "Letters", "Machine", "RegularExpressionError", "mentioned", "parse"]
