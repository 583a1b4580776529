"""From what a program means to what a transformer computes, keeping every stage on the way."""

from typing import TYPE_CHECKING

from handcraft.compiler.compile_program import compile_program
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.complete import complete
from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.compiler.ordinal import PASSES
    from handcraft.compiler.symbolic import Symbolic
    from handcraft.compiler.text.show_pass import show_pass
    from handcraft.compiler.values.compile_sequences import compile_sequences
    from handcraft.compiler.values.compiled_sequences import CompiledSequences
else:
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.compiler.ordinal": ("PASSES",),
            "handcraft.compiler.symbolic": ("Symbolic",),
            "handcraft.compiler.text.show_pass": ("show_pass",),
            "handcraft.compiler.values.compile_sequences": ("compile_sequences",),
            "handcraft.compiler.values.compiled_sequences": ("CompiledSequences",),
        },
    )

__all__ = [
    "PASSES",
    "Compiled",
    "CompiledSequences",
    "Symbolic",
    "compile_program",
    "compile_sequences",
    "complete",
    "show_pass",
]
