"""Write rules; get a GPT-2 checkpoint in which every weight can be explained."""

from typing import TYPE_CHECKING

from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.architecture import BLOCK, Architecture
    from handcraft.compiler import (
        Compiled,
        CompiledSequences,
        compile_program,
        compile_sequences,
        complete,
    )
    from handcraft.disguise import disguise
    from handcraft.errors import HandcraftError, HandcraftWarning
    from handcraft.formats import load, read_checkpoint, save
    from handcraft.language import (
        Automaton,
        Expression,
        Program,
        Prompts,
        Selection,
        lookup,
        parse_rules,
        predict,
        regex,
        select,
        weighted,
        where,
        window,
    )
    from handcraft.model import Model
    from handcraft.verify import Report, verify
    from handcraft.vocabulary import Vocabulary
else:
    # A package and a function are called `verify`, and others `disguise`. The packages are imported
    # now, which takes no time, so that importing them later does not put them in the place of the
    from handcraft import disguise, verify

    del disguise, verify
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.architecture": ("BLOCK", "Architecture"),
            "handcraft.compiler.compile_program": ("compile_program",),
            "handcraft.compiler.compiled": ("Compiled",),
            "handcraft.compiler.complete": ("complete",),
            "handcraft.compiler.values.compile_sequences": ("compile_sequences",),
            "handcraft.compiler.values.compiled_sequences": ("CompiledSequences",),
            "handcraft.disguise": ("disguise",),
            "handcraft.errors": ("HandcraftError", "HandcraftWarning"),
            "handcraft.formats": ("load", "read_checkpoint", "save"),
            "handcraft.language.automata": ("Automaton", "regex"),
            "handcraft.language.program": ("Program",),
            "handcraft.language.rules.rule": ("predict",),
            "handcraft.language.sequences": (
                "Expression",
                "Prompts",
                "Selection",
                "lookup",
                "select",
                "weighted",
                "where",
                "window",
            ),
            "handcraft.language.text.rules_text": ("parse_rules",),
            "handcraft.model": ("Model",),
            "handcraft.verify": ("Report", "verify"),
            "handcraft.vocabulary": ("Vocabulary",),
        },
    )

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
    "disguise",
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
