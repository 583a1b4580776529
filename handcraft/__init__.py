"""Write rules; get a GPT-2 checkpoint in which every weight can be explained."""

from handcraft.architecture import BLOCK, Architecture
from handcraft.compiler import (
    Compiled,
    CompiledSequences,
    compile_program,
    compile_sequences,
    complete,
)
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
from handcraft.model import Model, generate
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
    "generate",
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
