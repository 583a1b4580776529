"""Write rules; get a GPT-2 checkpoint in which every weight can be explained."""

from importlib import import_module

from handcraft.on_use import imported_on_use

# A package and a function are called `verify`. The package is imported first, which takes no time, so
# that importing it later does not put it in the place of the function.
import_module("handcraft.verify")

with imported_on_use(__name__):
    from handcraft.architecture import BLOCK, Architecture
    from handcraft.compiler.compile_program import compile_program
    from handcraft.compiler.compiled import Compiled
    from handcraft.compiler.complete import complete
    from handcraft.compiler.values.compile_sequences import compile_sequences
    from handcraft.compiler.values.compiled_sequences import CompiledSequences
    from handcraft.errors import HandcraftError, HandcraftWarning
    from handcraft.formats import load, read_checkpoint, save
    from handcraft.language.automata import Automaton, regex
    from handcraft.language.program import Program
    from handcraft.language.rule import predict
    from handcraft.language.sequences import (
        Expression,
        Prompts,
        Selection,
        lookup,
        select,
        weighted,
        where,
        window,
    )
    from handcraft.language.text.rules_text import parse_rules
    from handcraft.model import Model
    from handcraft.verify import Report, verify
    from handcraft.vocabulary import Vocabulary

__all__ = [
    "BLOCK",
    "Architecture",
    "Automaton",
    "Compiled",
    "CompiledSequences",
    "Expression",
    "HandcraftError",
    "HandcraftWarning",
    "Model",
    "Program",
    "Prompts",
    "Report",
    "Selection",
    "Vocabulary",
    "compile_program",
    "compile_sequences",
    "complete",
    "load",
    "lookup",
    "parse_rules",
    "predict",
    "read_checkpoint",
    "regex",
    "save",
    "select",
    "verify",
    "weighted",
    "where",
    "window",
]
