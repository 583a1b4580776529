"""Language to circuits to weights."""

from handcraft.compiler.compile_program import compile_program
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.lower_rules import lower_rules
from handcraft.compiler.symbolic import Symbolic

__all__ = ["Compiled", "Symbolic", "compile_program", "lower_rules"]
