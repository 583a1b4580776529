"""From what a program means to what a transformer computes, keeping every stage on the way."""

from handcraft.compiler.compile_program import compile_program
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.complete import complete
from handcraft.on_use import imported_on_use

with imported_on_use(__name__):
    from handcraft.compiler.ordinal import PASSES
    from handcraft.compiler.rules.lower_rules import lower_rules
    from handcraft.compiler.symbolic import Symbolic
    from handcraft.compiler.text.show_pass import show_pass
    from handcraft.compiler.values.compile_sequences import compile_sequences
    from handcraft.compiler.values.compiled_sequences import CompiledSequences

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
