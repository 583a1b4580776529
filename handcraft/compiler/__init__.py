"""From what a program means to what a transformer computes, keeping every stage on the way."""

from handcraft.compiler.compile_program import compile_program
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.complete import complete
from handcraft.compiler.lower_rules import lower_rules
from handcraft.compiler.ordinal import PASSES
from handcraft.compiler.sequences import CompiledSequences, compile_sequences
from handcraft.compiler.show_pass import show_pass
from handcraft.compiler.symbolic import Symbolic

__all__ = [
    "PASSES",
    "Compiled",
    "CompiledSequences",
    "Symbolic",
    "compile_program",
    "compile_sequences",
    "complete",
    "lower_rules",
    "show_pass",
]
